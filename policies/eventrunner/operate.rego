# May this principal let dead letters be delivered again (redrive), or stored events (replay)?
package eventrunner.operate

import data.eventrunner.lib

default allow := false

allow if {
	lib.identified(input.principal)
	lib.role_may(input.principal.role, "write")
	lib.reaches(input.principal, input.tenant)
	lib.active(input.tenant)
	to_own_consumer
	within_limits
}

decision := lib.granted(lib.sentence(["role", input.principal.role, "may", input.kind])) if allow

decision := lib.refused(missing | lib.principal_missing) if not allow

# No consumer: all of the tenant's.
to_own_consumer if input.consumer == null

to_own_consumer if {
	lib.name(input.consumer.name)
	input.consumer.tenant == input.tenant
}

within_limits if {
	input.kind == "redrive"
	is_number(input.events)
	input.events >= 0
	input.events <= data.platform.limits.redrive_events_max
}

within_limits if {
	input.kind == "replay"
	is_number(input.age_h)
	input.age_h >= 0
	input.age_h <= data.platform.limits.replay_h_max
}

# === what is told ===

missing contains lib.tenant_missing(input.tenant)

missing contains "the tenant is missing" if not lib.has("tenant")

missing contains message if {
	not to_own_consumer
	message := lib.sentence([lib.said("kind"), "goes to consumers of tenant", lib.said("tenant"), "only; consumer is none of them, nor null"])
}

missing contains message if {
	input.kind == "redrive"
	not within_limits
	message := lib.sentence(["redrive needs events, from 0 to", lib.text(data.platform.limits.redrive_events_max)])
}

missing contains message if {
	input.kind == "replay"
	not within_limits
	message := lib.sentence(["replay needs age_h, from 0 to", lib.text(data.platform.limits.replay_h_max)])
}
