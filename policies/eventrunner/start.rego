# May this component or provider start?
package eventrunner.start

import data.eventrunner.lib

default allow := false

allow if platform_start

allow if {
	tenant_start
	lib.active(input.tenant)
}

decision := lib.granted(grounds) if allow

decision := lib.refused(missing) if not allow

grounds := "a part of the platform" if platform_start

grounds := "a tenant's own component" if {
	not platform_start
	tenant_start
}

platform_start if {
	well_formed
	input.tenant == null
	lib.platform_manifest(input.manifest)
	trusted("platform")
}

tenant_start if {
	well_formed
	is_string(input.tenant)
	lib.tenant_manifest(input.manifest, input.tenant)
	trusted("tenant")
	tenant_code
}

# Code of a tenant is a component on the hosts meant for it, and reaches for nothing outside its world.
tenant_code if {
	input.type == "component"
	on_tenants_host
	count(forbidden) == 0
}

# Of proven code, and of code that is new or did harm.
on_tenants_host if input.host.role in {"tenant", "probation"}

forbidden contains path if {
	some path in input.imports
	not lib.matches(unversioned(path), data.platform.tenant.imports)
}

unversioned(path) := split(path, "@")[0]

trusted(whose) if {
	lib.matches(input.image, data.platform.images[whose])
	lib.matches(object.get(input, "issuer", ""), data.platform.issuers[whose])
}

well_formed if {
	lib.name(input.manifest)
	lib.filled(input.image)
	input.type in {"component", "provider"}
	is_array(input.imports)
	every path in input.imports { is_string(path) }
}

# === what is told ===

missing contains "a start needs manifest, image, type (component or provider) and imports" if not well_formed

missing contains lib.tenant_missing(input.tenant) if input.tenant != null

missing contains message if {
	input.tenant != null
	not lib.tenant_manifest(input.manifest, input.tenant)
	message := lib.sentence(["manifest", lib.said("manifest"), "is none of tenant", lib.said("tenant")])
}

missing contains message if {
	input.tenant == null
	not lib.platform_manifest(input.manifest)
	message := lib.sentence(["manifest", lib.said("manifest"), "is none of the platform's"])
}

whose := "platform" if input.tenant == null

whose := "tenant" if input.tenant != null

missing contains message if {
	not lib.matches(input.image, data.platform.images[whose])
	message := lib.sentence(["image", lib.said("image"), "comes from nowhere that is trusted"])
}

missing contains message if {
	not lib.matches(object.get(input, "issuer", ""), data.platform.issuers[whose])
	message := lib.sentence(["issuer", lib.said("issuer"), "is not trusted"])
}

missing contains "a tenant's code is a component, not a provider" if {
	input.tenant != null
	not input.type == "component"
}

missing contains "a tenant's code runs on hosts of role tenant or probation only" if {
	input.tenant != null
	not on_tenants_host
}

missing contains message if {
	input.tenant != null
	some path in forbidden
	message := lib.sentence(["a tenant's code may not import", lib.text(path)])
}
