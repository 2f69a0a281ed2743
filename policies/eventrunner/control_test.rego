package eventrunner.control_test

import data.eventrunner.fixture_test as fixture

removal := fixture.question("control", "a link is taken away")

test_changes_are_answered_as_the_vectors_say if fixture.wrong("control") == set()

test_a_change_stands_on_each_of_its_parts if {
	fixture.allowed(removal)
	every path in ["/kind", "/operation", "/subject"] {
		not fixture.allowed(fixture.without(removal, path))
	}
}

test_without_the_table_nothing_is_allowed if {
	every key in ["operations", "protected_labels"] {
		label := fixture.question("control", "a label that decides nothing is put")
		platform := json.remove(fixture.platform, [concat("", ["/control/", key])])
		not data.eventrunner.decision.allow with input as label with data.platform as platform
	}
}
