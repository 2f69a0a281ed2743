# May this principal do this through the API?
package eventrunner.api

import data.eventrunner.lib

default allow := false

allow if {
	may
	lib.active(input.tenant)
	input.action != "tenants"
}

# An operator looks after tenants that are suspended, and makes those that are not there yet.
allow if {
	may
	lib.operator(input.principal)
	lib.known(input.tenant)
}

allow if {
	may
	lib.operator(input.principal)
	input.action == "tenants"
}

may if {
	lib.identified(input.principal)
	lib.role_may(input.principal.role, input.action)
	lib.reaches(input.principal, input.tenant)
}

decision := lib.granted(lib.sentence(["role", input.principal.role, "may", input.action])) if allow

decision := lib.refused(missing | lib.principal_missing) if not allow

# === what is told ===

missing contains lib.tenant_missing(input.tenant) if input.action != "tenants"

missing contains "an API action needs action and tenant" if not asked

asked if {
	is_string(input.action)
	lib.has("tenant")
}
