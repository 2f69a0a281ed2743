package eventrunner.process_test

import data.eventrunner
import data.eventrunner.fixture_test as fixture

event := fixture.question("process_event", "an admin's event is processed")

test_the_prototypes_questions_are_answered_as_the_vectors_say if fixture.wrong("process_event") == set()

test_the_prototypes_question_stands_on_each_of_its_parts if {
	every path in ["/user", "/action", "/tenant"] {
		not fixture.allowed(fixture.without(event, path))
	}
}

test_a_role_that_loses_the_action_may_no_longer if {
	roles := {"admin": ["read"]}
	not eventrunner.decision.allow with input as event with data.platform.tenants as {"acme": {"suspended": false}}
		with data.platform.users as {"alice": {"roles": {"acme": "admin"}}}
		with data.platform.roles as roles
}
