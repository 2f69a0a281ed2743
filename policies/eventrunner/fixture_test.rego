# What the tests share: the tenants and users of policies/vectors, and the cases that come out wrong.
package eventrunner.fixture_test

import data.eventrunner

# policies/platform/data.json with the tenants and users of the vectors.
platform := object.union(data.platform, data.vectors.platform)

decided(question) := decision if {
	decision := eventrunner.decision with input as question with data.platform as platform
}

allowed(question) if decided(question).allow == true

# Cases by name; told by `opa test` when a test fails, through print.
wrong(group) := {case.name |
	some case in data.vectors[group]
	decision := object.get({"decision": decided(case.input)}, "decision", "undefined")
	decision != case.decision
	print(group, case.name, "answers", decision)
}

# The allowed question of a group with that name.
question(group, name) := case.input if {
	some case in data.vectors[group]
	case.name == name
	case.decision.allow
}

# The question with the value at that path changed.
changed(asked, path, value) := json.patch(asked, [{"op": "replace", "path": path, "value": value}])

without(asked, path) := json.patch(asked, [{"op": "remove", "path": path}])
