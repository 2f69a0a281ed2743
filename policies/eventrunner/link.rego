# May one part be linked to another?
package eventrunner.link

import data.eventrunner.lib

default allow := false

allow if platform_link

allow if {
	tenant_link
	lib.active(input.tenant)
}

decision := lib.granted(grounds) if allow

decision := lib.refused(missing) if not allow

grounds := "a link of the platform" if platform_link

grounds := "a tenant's own consumer and the platform's stream" if {
	not platform_link
	tenant_link
}

platform_link if {
	well_formed
	input.tenant == null
	lib.platform_manifest(input.manifest)
	lib.platform_manifest(input.source.app)
	lib.platform_manifest(input.target.app)
	listed(data.platform.links[input.source.name][input.target.name])
}

tenant_link if {
	from_the_tenant
	of_the_tenant(input.source.app)
	lib.platform_manifest(input.target.app)
	listed(data.platform.tenant.emits_to[input.target.name])
}

tenant_link if {
	from_the_tenant
	lib.platform_manifest(input.source.app)
	of_the_tenant(input.target.app)
	listed(data.platform.tenant.fed_by[input.source.name])
}

# What a link of a tenant is told is about that tenant: the provider believes the configuration.
from_the_tenant if {
	well_formed
	is_string(input.tenant)
	lib.tenant_manifest(input.manifest, input.tenant)
	input.config.tenant == input.tenant
	count(unknown_settings) == 0
}

unknown_settings contains key if {
	some key, _ in input.config
	not key in data.platform.tenant.settings
}

of_the_tenant(app) if app == input.manifest

well_formed if {
	lib.name(input.source.app)
	lib.name(input.source.name)
	lib.name(input.target.app)
	lib.name(input.target.name)
	lib.matches(input.package, data.platform.packages)
	is_array(input.interfaces)
	count(input.interfaces) > 0
}

listed(interfaces) if every interface in input.interfaces {
	interface in interfaces
}

# === what is told ===

missing contains "a link needs source and target (app and name), a package of the platform and interfaces" if not well_formed

missing contains lib.tenant_missing(input.tenant) if input.tenant != null

missing contains message if {
	input.tenant != null
	not lib.tenant_manifest(input.manifest, input.tenant)
	message := lib.sentence(["manifest", lib.said("manifest"), "is none of tenant", lib.said("tenant")])
}

missing contains message if {
	input.tenant != null
	not input.config.tenant == input.tenant
	message := lib.sentence(["the link's setting `tenant` is not", lib.said("tenant")])
}

missing contains message if {
	input.tenant != null
	some key in unknown_settings
	message := lib.sentence(["a tenant may not set", lib.text(key)])
}

missing contains message if {
	one := lib.owner(input.source.app)
	other := lib.owner(input.target.app)
	one != other
	message := lib.sentence(["it leads from tenant", one, "to tenant", lib.text(other)])
}

missing contains message if {
	input.tenant == null
	not lib.platform_manifest(input.manifest)
	message := lib.sentence(["manifest", lib.said("manifest"), "is none of the platform's"])
}

missing contains message if {
	not platform_link
	not tenant_link
	message := lib.sentence([
		"nothing allows", lib.text(input.source.name), "of", lib.text(input.source.app),
		"to call", lib.text(input.interfaces), "of", lib.text(input.target.name), "of", lib.text(input.target.app),
	])
}
