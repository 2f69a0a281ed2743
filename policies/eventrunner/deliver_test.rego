package eventrunner.deliver_test

import data.eventrunner
import data.eventrunner.fixture_test as fixture

delivery := fixture.question("deliver", "a tenant's consumer gets its events")

test_deliveries_are_answered_as_the_vectors_say if fixture.wrong("deliver") == set()

test_a_delivery_stands_on_each_of_its_parts if {
	every path in ["/kind", "/tenant", "/consumer", "/consumer/tenant", "/consumer/name", "/type"] {
		not fixture.allowed(fixture.without(delivery, path))
	}
}

test_a_record_that_does_not_say_whether_it_is_suspended_delivers_nothing if {
	every record in [{}, {"suspended": null}, {"suspended": "no"}, {"suspended": 0}, null, "acme"] {
		not eventrunner.decision.allow with input as delivery with data.platform.tenants as {"acme": record}
	}
}

test_a_restriction_that_is_malformed_lets_nothing_through if {
	record := {"suspended": false, "consumers": {"alert": {"types": "*"}}}
	not eventrunner.decision.allow with input as delivery with data.platform.tenants as {"acme": record}
	not eventrunner.decision.allow with input as delivery
		with data.platform.tenants as {"acme": {"suspended": false, "consumers": {"alert": {}}}}
}
