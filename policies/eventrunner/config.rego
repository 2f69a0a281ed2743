# May this configuration be put?
package eventrunner.config

import data.eventrunner.lib

default allow := false

allow if platform_config

allow if {
	tenant_config
	lib.active(input.tenant)
}

decision := lib.granted(grounds) if allow

decision := lib.refused(missing) if not allow

grounds := "a configuration of the platform" if platform_config

grounds := "a configuration of a tenant's own manifest" if {
	not platform_config
	tenant_config
}

platform_config if {
	well_formed
	input.tenant == null
	lib.platform_manifest(input.manifest)
	named_after_its_manifest
}

tenant_config if {
	well_formed
	is_string(input.tenant)
	lib.tenant_manifest(input.manifest, input.tenant)
	named_after_its_manifest
	about_the_tenant
	settings_known
}

# wadm names a configuration <manifest>-<name>. Without that, one manifest could write over another's.
named_after_its_manifest if startswith(input.name, concat("", [input.manifest, "-"]))

about_the_tenant if input.config.tenant == input.tenant

about_the_tenant if not names_a_tenant

names_a_tenant if _ := input.config.tenant

# A component's own environment is between the tenant and its code; the platform does not read it. No link may take it
# for its settings: see link.rego.
settings_known if input.name == concat("", [input.manifest, "-env"])

settings_known if count(unknown_settings) == 0

unknown_settings contains key if {
	some key, _ in input.config
	not key in data.platform.tenant.settings
}

well_formed if {
	lib.name(input.manifest)
	lib.name(input.name)
	is_object(input.config)
	every value in input.config { is_string(value) }
}

# === what is told ===

missing contains "a configuration needs manifest, name and config (an object of texts)" if not well_formed

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

missing contains message if {
	not named_after_its_manifest
	message := lib.sentence(["configuration", lib.said("name"), "does not begin with its manifest's name"])
}

missing contains message if {
	input.tenant != null
	not about_the_tenant
	message := lib.sentence(["the setting `tenant` is not", lib.said("tenant")])
}

missing contains message if {
	input.tenant != null
	not settings_known
	some key in unknown_settings
	message := lib.sentence(["a tenant may not set", lib.text(key)])
}
