package eventrunner.link_test

import data.eventrunner.fixture_test as fixture

emits := fixture.question("link", "a tenant's consumer may emit")

platform := fixture.question("link", "the api may read and follow the streams")

test_links_are_answered_as_the_vectors_say if fixture.wrong("link") == set()

test_a_tenants_link_stands_on_each_of_its_parts if {
	fixture.allowed(emits)
	every path in ["/kind", "/manifest", "/tenant", "/source", "/target", "/package", "/interfaces", "/config"] {
		not fixture.allowed(fixture.without(emits, path))
	}
}

test_every_link_of_the_table_is_allowed_and_none_backwards_that_is_not_in_it if {
	table := fixture.platform.links
	every source, targets in table {
		every target, interfaces in targets {
			there := json.patch(platform, [
				{"op": "replace", "path": "/source/name", "value": source},
				{"op": "replace", "path": "/target/name", "value": target},
				{"op": "replace", "path": "/interfaces", "value": interfaces},
			])
			fixture.allowed(there)
			not fixture.allowed(fixture.changed(there, "/interfaces", array.concat(interfaces, ["more"])))
		}
	}
}

test_a_tenants_own_name_does_not_make_it_the_platform if {
	not fixture.allowed(fixture.changed(platform, "/tenant", "acme"))
}
