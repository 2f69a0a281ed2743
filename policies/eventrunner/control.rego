# May the lattice be changed in this way? What takes something away, and what is about whole hosts; what puts something
# there is asked as a link, a start or a configuration.
package eventrunner.control

import data.eventrunner.lib

default allow := false

allow if {
	well_formed
	listed
	unprotected
}

decision := lib.granted(grounds) if allow

decision := lib.refused(missing) if not allow

grounds := "an operator's change of the lattice"

listed if input.operation in data.platform.control.operations

labels := {"label-put", "label-del"}

unprotected if not input.operation in labels

# A host that takes another role takes other code.
unprotected if {
	input.operation in labels
	every pattern in data.platform.control.protected_labels {
		not lib.matches_one(input.subject, pattern)
	}
}

well_formed if {
	lib.name(input.operation)
	lib.filled(input.subject)
}

# === what is told ===

missing contains "a change needs operation and subject" if not well_formed

missing contains message if {
	not listed
	message := lib.sentence(["the operation", lib.said("operation"), "is allowed to nobody"])
}

missing contains message if {
	input.operation in labels
	not unprotected
	message := lib.sentence(["the label", lib.said("subject"), "says which code a host may run; start the host with another"])
}
