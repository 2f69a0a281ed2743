package eventrunner.api_test

import data.eventrunner.fixture_test as fixture

reads := fixture.question("api", "viewer: read")

test_api_actions_are_answered_as_the_vectors_say if fixture.wrong("api") == set()

test_an_api_action_stands_on_each_of_its_parts if {
	every path in ["/kind", "/principal", "/principal/tenant", "/principal/role", "/principal/key", "/action", "/tenant"] {
		not fixture.allowed(fixture.without(reads, path))
	}
}

# As er_event::keys::Role::allows has it.
test_roles_do_what_they_say_and_no_more if {
	expected := {
		"operator": {"publish", "read", "write", "keys", "members", "tenants"},
		"tenant_admin": {"publish", "read", "write", "keys", "members"},
		"admin": {"publish", "read", "write", "keys"},
		"publisher": {"publish"},
		"viewer": {"read"},
	}
	every role, actions in expected {
		{action | some action in fixture.platform.roles[role]; action != "process_event"} == actions
	}
	object.keys(expected) == object.keys(fixture.platform.roles)
}
