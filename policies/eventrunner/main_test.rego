package eventrunner_test

import data.eventrunner
import data.eventrunner.fixture_test as fixture

groups := {"api", "config", "deliver", "garbage", "link", "process_event", "redrive", "replay", "start"}

test_there_are_vectors_of_every_kind if {
	every group in groups { count(data.vectors[group]) > 10 }
	every kind in eventrunner.kinds { count(data.vectors[kind]) > 10 }
}

test_garbage_is_denied if {
	fixture.wrong("garbage") == set()
	every case in data.vectors.garbage { case.decision.allow == false }
}

test_a_question_without_a_kind_is_denied if not fixture.allowed({"tenant": "acme"})

test_no_question_at_all_is_denied if eventrunner.decision.allow == false

test_every_answer_has_a_reason if {
	every group in groups {
		every case in data.vectors[group] {
			decision := fixture.decided(case.input)
			is_boolean(decision.allow)
			decision.reason != ""
			count(decision) == 2
		}
	}
}

test_without_data_nothing_is_allowed if {
	every group in groups {
		every case in data.vectors[group] {
			decision := eventrunner.decision with input as case.input with data.platform as {}
			decision.allow == false
		}
	}
}

test_without_tenants_only_the_platform_and_operators_are_served if {
	every group in groups {
		every case in data.vectors[group] {
			decision := eventrunner.decision with input as case.input with data.platform.tenants as {}
			served_without_tenants(case.input, decision.allow)
		}
	}
}

served_without_tenants(_, false)

served_without_tenants(question, true) if question.tenant == null

served_without_tenants(question, true) if {
	question.action == "tenants"
	question.principal.role == "operator"
}
