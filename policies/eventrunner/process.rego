# The prototype's question: may this user's event of this tenant be processed? {"user", "action": "process_event",
# "tenant"}. A user's roles are told per tenant by data.platform.users.
package eventrunner.process

import data.eventrunner.lib

default allow := false

allow if {
	input.action == "process_event"
	lib.active(input.tenant)
	is_string(role)
	lib.role_may(role, "process_event")
}

decision := lib.granted(lib.sentence(["role", role, "may process_event"])) if allow

decision := lib.refused(missing) if not allow

# The user's role in the tenant, else an operator's everywhere.
role := data.platform.users[input.user].roles[input.tenant]

role := "operator" if {
	not data.platform.users[input.user].roles[input.tenant]
	data.platform.users[input.user].roles.operator == "operator"
}

# === what is told ===

missing contains lib.tenant_missing(input.tenant)

missing contains "process_event needs a tenant" if not lib.has("tenant")

missing contains "process_event needs action process_event" if not input.action == "process_event"

missing contains message if {
	not is_object(data.platform.users[input.user])
	message := lib.sentence(["user", lib.said("user"), "is unknown"])
}

missing contains message if {
	is_object(data.platform.users[input.user])
	not role
	message := lib.sentence(["user", lib.said("user"), "has no role in tenant", lib.said("tenant")])
}

missing contains message if {
	not lib.role_may(role, "process_event")
	message := lib.sentence(["role", lib.text(role), "may not process_event"])
}
