package eventrunner.start_test

import data.eventrunner
import data.eventrunner.fixture_test as fixture

component := fixture.question("start", "a tenant's component starts")

test_starts_are_answered_as_the_vectors_say if fixture.wrong("start") == set()

test_a_tenants_start_stands_on_each_of_its_parts if {
	every path in ["/kind", "/manifest", "/tenant", "/type", "/image", "/imports", "/host"] {
		not fixture.allowed(fixture.without(component, path))
	}
}

test_issuers_can_be_narrowed_down if {
	narrow := json.patch(fixture.platform, [{"op": "replace", "path": "/issuers/tenant", "value": ["GOOD"]}])
	not eventrunner.decision.allow with input as component with data.platform as narrow
	not eventrunner.decision.allow with input as fixture.without(component, "/issuer") with data.platform as narrow
	good := fixture.changed(component, "/issuer", "GOOD")
	eventrunner.decision.allow with input as good with data.platform as narrow
}

test_no_version_of_a_forbidden_interface_is_allowed if {
	every path in ["wasi:http/outgoing-handler", "wasi:http/outgoing-handler@0.2.0", "wasi:sockets/tcp@9", "", "@wasi:cli/exit"] {
		not fixture.allowed(fixture.changed(component, "/imports", [path]))
	}
}
