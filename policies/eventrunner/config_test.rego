package eventrunner.config_test

import data.eventrunner.fixture_test as fixture

delivery := fixture.question("config", "a tenant configures its delivery")

test_configurations_are_answered_as_the_vectors_say if fixture.wrong("config") == set()

test_a_tenants_configuration_stands_on_each_of_its_parts if {
	every path in ["/kind", "/manifest", "/tenant", "/name", "/config"] {
		not fixture.allowed(fixture.without(delivery, path))
	}
}

test_every_setting_of_the_table_may_be_set_and_no_other if {
	every key in fixture.platform.tenant.settings {
		fixture.allowed(fixture.changed(delivery, "/config", {key: "acme"}))
	}
	not fixture.allowed(fixture.changed(delivery, "/config", {"metrics_addr": "0.0.0.0:1"}))
}
