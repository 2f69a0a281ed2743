# METADATA
# title: What may be done on the platform
# description: |
#   One question, one answer: data.eventrunner.decision of an input is {"allow": boolean, "reason": string}. Which
#   fields an input has depends on its kind; see policies/README.md. What no rule allows is denied.
# scope: subpackages
package eventrunner

import data.eventrunner.api
import data.eventrunner.config
import data.eventrunner.control
import data.eventrunner.deliver
import data.eventrunner.lib
import data.eventrunner.link
import data.eventrunner.operate
import data.eventrunner.process
import data.eventrunner.start

kinds := ["api", "config", "control", "deliver", "link", "process_event", "redrive", "replay", "start"]

# METADATA
# entrypoint: true
default decision := {
	"allow": false,
	"reason": "no policy decides this input: its kind is none of api, config, control, deliver, link, process_event, redrive, replay, start",
}

decision := api.decision if kind == "api"

decision := config.decision if kind == "config"

decision := control.decision if kind == "control"

decision := deliver.decision if kind == "deliver"

decision := link.decision if kind == "link"

decision := process.decision if kind == "process_event"

decision := operate.decision if kind in {"redrive", "replay"}

decision := start.decision if kind == "start"

kind := input.kind

# The prototype asked without a kind.
kind := "process_event" if {
	not lib.has("kind")
	input.action == "process_event"
}
