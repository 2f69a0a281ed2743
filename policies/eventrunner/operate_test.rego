package eventrunner.operate_test

import data.eventrunner.fixture_test as fixture

redrive := fixture.question("redrive", "an admin may redrive")

replay := fixture.question("replay", "an admin may replay")

test_redrives_are_answered_as_the_vectors_say if fixture.wrong("redrive") == set()

test_replays_are_answered_as_the_vectors_say if fixture.wrong("replay") == set()

test_each_stands_on_each_of_its_parts if {
	every path in ["/kind", "/principal", "/principal/key", "/tenant", "/consumer", "/consumer/tenant", "/events"] {
		not fixture.allowed(fixture.without(redrive, path))
	}
	every path in ["/kind", "/principal", "/principal/key", "/tenant", "/consumer", "/consumer/tenant", "/age_h"] {
		not fixture.allowed(fixture.without(replay, path))
	}
}

test_one_does_not_pass_as_the_other if {
	not fixture.allowed(fixture.changed(redrive, "/kind", "replay"))
	not fixture.allowed(fixture.changed(replay, "/kind", "redrive"))
}
