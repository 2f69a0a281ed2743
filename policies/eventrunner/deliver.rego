# May events of this type be delivered to this consumer?
package eventrunner.deliver

import data.eventrunner.lib

default allow := false

allow if {
	lib.active(input.tenant)
	own_consumer
	lib.name(input.consumer.name)
	lib.filled(input.type)
	not type_blocked
	consumer_wants
}

decision := lib.granted("the tenant's own consumer") if allow

decision := lib.refused(missing) if not allow

record := data.platform.tenants[input.tenant]

own_consumer if input.consumer.tenant == input.tenant

# A tenant's data may keep types from being delivered to anybody (blocked_types) …
type_blocked if lib.matches(input.type, record.blocked_types)

# … and name the types of single consumers; those that it does not name get all.
consumer_wants if not restricted

consumer_wants if lib.matches(input.type, record.consumers[input.consumer.name].types)

restricted if _ := record.consumers[input.consumer.name]

# === what is told ===

missing contains lib.tenant_missing(input.tenant)

missing contains "a delivery needs a tenant" if not lib.has("tenant")

missing contains "a delivery needs consumer.name and type" if {
	not named
}

named if {
	lib.name(input.consumer.name)
	lib.filled(input.type)
}

missing contains message if {
	not own_consumer
	message := lib.sentence(["a consumer of", lib.text(input.consumer.tenant), "gets no events of tenant", lib.said("tenant")])
}

missing contains message if {
	type_blocked
	message := lib.sentence(["tenant", lib.said("tenant"), "delivers no events of type", lib.said("type")])
}

missing contains message if {
	not consumer_wants
	message := lib.sentence(["consumer", lib.text(input.consumer.name), "may not get type", lib.said("type")])
}
