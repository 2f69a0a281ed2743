# What every policy is built from. A policy allows by one conjunction (allow); what is missing is only told, never
# decided by, so that a reason that can't be put into words opens nothing.
package eventrunner.lib

granted(grounds) := {"allow": true, "reason": grounds}

refused(missing) := {"allow": false, "reason": concat("; ", sort(missing))} if count(missing) > 0

refused(missing) := {"allow": false, "reason": "the input is malformed"} if count(missing) == 0

has(field) if _ := input[field]

# The value of a field, for a sentence.
said(field) := text(object.get(input, field, null))

text(value) := value if is_string(value)

text(value) := "(none)" if is_null(value)

text(value) := json.marshal(value) if {
	not is_string(value)
	not is_null(value)
}

sentence(words) := concat(" ", words)

# A name that the platform made: what a NATS subject, a path and a message can hold.
name(value) if {
	is_string(value)
	value != ""
	count(value) <= 200
	not contains(value, " ")
}

filled(value) if {
	is_string(value)
	value != ""
}

# === tenants ===

known(tenant) if is_object(data.platform.tenants[tenant])

active(tenant) if data.platform.tenants[tenant].suspended == false

tenant_missing(tenant) := sentence(["tenant", text(tenant), "is unknown"]) if not known(tenant)

tenant_missing(tenant) := sentence(["tenant", text(tenant), "is suspended"]) if {
	known(tenant)
	not active(tenant)
}

# === principals ===

role_may(role, action) if action in data.platform.roles[role]

# Operators belong to a tenant of their own and act in all of them; everybody else acts in theirs.
reaches(principal, _) if operator(principal)

reaches(principal, tenant) if {
	principal.role != "operator"
	principal.tenant == tenant
}

operator(principal) if {
	principal.role == "operator"
	principal.tenant == "operator"
}

identified(principal) if {
	name(principal.tenant)
	name(principal.role)
	name(principal.key)
}

principal_missing contains "the principal needs a tenant, a role and a key" if not identified(input.principal)

principal_missing contains sentence(["role", text(input.principal.role), "may not", text(needed)]) if {
	needed := {"redrive": "write", "replay": "write"}[input.kind]
	not role_may(input.principal.role, needed)
}

principal_missing contains message if {
	input.kind == "api"
	not role_may(input.principal.role, input.action)
	message := sentence(["role", text(input.principal.role), "may not", said("action")])
}

principal_missing contains message if {
	not reaches(input.principal, input.tenant)
	message := sentence(["role", text(input.principal.role), "of tenant", text(input.principal.tenant), "does not reach tenant", said("tenant")])
}

# === manifests ===

platform_manifest(manifest) if manifest in data.platform.manifests

# A tenant's manifests are named after it. Where one tenant's name is the beginning of another's (acme, acme-eu), the
# manifests acme-eu-* are the other's.
tenant_manifest(manifest, tenant) if {
	name(manifest)
	not platform_manifest(manifest)
	startswith(manifest, concat("", [tenant, "-"]))
	not of_a_longer_name(manifest, tenant)
}

of_a_longer_name(manifest, tenant) if {
	parts := split(manifest, "-")
	some last in numbers.range(1, count(parts))
	other := concat("-", array.slice(parts, 0, last))
	count(other) > count(tenant)
	known(other)
}

# Whose a manifest is, by its name alone: the longest one that is known.
owner(manifest) := tenant if {
	name(manifest)
	not platform_manifest(manifest)
	parts := split(manifest, "-")
	prefixes := [prefix |
		some last in numbers.range(1, count(parts) - 1)
		prefix := concat("-", array.slice(parts, 0, last))
		known(prefix)
	]
	tenant := prefixes[count(prefixes) - 1]
}

# === patterns: exact, or a beginning that ends in * ===

matches(value, patterns) if {
	some pattern in patterns
	matches_one(value, pattern)
}

matches_one(value, pattern) if value == pattern

matches_one(value, pattern) if {
	endswith(pattern, "*")
	startswith(value, trim_suffix(pattern, "*"))
}
