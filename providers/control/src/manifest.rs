//! The application of a consumer: `wadm/consumer.yaml`, filled in.

use std::path::Path;

use serde_json::json;
use wadm_types::Manifest;

use crate::names::app;
use crate::record::Version;
use crate::standing::Standing;
use crate::Error;

/// Calls into one consumer at once.
const INSTANCES: u32 = 4;
/// What its host gives an instance at most, and what is billed.
const MEMORY_MIB: &str = "64";
/// The platform's application, and its part that delivers.
const PLATFORM: &str = "eventrunner";
const JETSTREAM: &str = "jetstream";
/// The label of hosts by which it is chosen where a version runs.
pub const ROLE: &str = "eventrunner.role";
const DIGEST_CHARS: usize = 10;

/// What wadm calls a version of a consumer's, where it runs now.
pub fn version_of(version: &Version) -> String {
    version_at(version, version.standing)
}

/// Whether wadm's version is this one on other hosts.
pub fn is_elsewhere(version: &Version, running: &str) -> bool {
    let other = match version.standing {
        Standing::Probation => Standing::Proven,
        Standing::Proven => Standing::Probation,
    };
    version_at(version, other) == running
}

fn version_at(version: &Version, standing: Standing) -> String {
    let digest = version.digest.as_deref().unwrap_or_default();
    let digest = digest.get(..DIGEST_CHARS).unwrap_or(digest);
    let place = match standing {
        Standing::Probation => "-probation",
        Standing::Proven => "",
    };
    format!("v{}-{digest}{place}", version.version)
}

pub fn of(tenant: &str, name: &str, version: &Version, image: &Path) -> Result<Manifest, Error> {
    let app = app(tenant, name);
    let role = version.standing.role();
    let mut delivery = version.spec.delivery();
    delivery.insert("tenant", tenant.to_owned());
    delivery.insert("consumer", name.to_owned());
    delivery.insert("memory_mib", MEMORY_MIB.to_owned());
    let mut properties = json!({ "image": format!("file://{}", image.display()) });
    if !version.spec.env.is_empty() {
        properties["config"] = json!([{ "name": format!("{app}-env"), "properties": version.spec.env }]);
    }
    let manifest = json!({
        "apiVersion": "core.oam.dev/v1beta1",
        "kind": "Application",
        "metadata": {
            "name": app,
            "annotations": {
                "version": version_of(version),
                "description": format!("The consumer {name} of the tenant {tenant}"),
            },
        },
        "spec": { "components": [
            {
                "name": name,
                "type": "component",
                "properties": properties,
                "traits": [
                    { "type": "spreadscaler", "properties": {
                        "instances": INSTANCES,
                        // wadm says the name where there is no such host.
                        "spread": [{ "name": format!("{ROLE}={role}"), "requirements": { ROLE: role } }],
                    } },
                    { "type": "link", "properties": {
                        "namespace": "eventrunner", "package": "platform", "interfaces": ["emitter"],
                        "target": { "name": JETSTREAM, "config": [
                            { "name": format!("{app}-emitter"), "properties": { "tenant": tenant } },
                        ] },
                    } },
                ],
            },
            {
                "name": JETSTREAM,
                "type": "capability",
                "properties": { "application": { "name": PLATFORM, "component": JETSTREAM } },
                "traits": [
                    { "type": "link", "properties": {
                        "namespace": "eventrunner", "package": "platform", "interfaces": ["consumer"],
                        "name": app,
                        "source": { "config": [{ "name": format!("{app}-delivery"), "properties": delivery }] },
                        "target": { "name": name },
                    } },
                ],
            },
        ] },
    });
    serde_json::from_value(manifest).map_err(|e| Error::Internal(format!("the manifest of {app}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    #[test]
    fn it_is_the_manifest_that_is_deployed_by_hand() {
        let mut version = Version {
            version: 3,
            digest: Some("0123456789abcdef".into()),
            at: String::new(),
            by: String::new(),
            spec: Spec::parse(r#"{"types":["com.github.push"],"attempts_max":5,"env":{"LEVEL":"high"}}"#).unwrap(),
            tried: true,
            trials_begun: 0,
            note: None,
            standing: Standing::Proven,
        };
        let manifest = of("acme", "rust-alert", &version, Path::new("/images/x.wasm")).unwrap();
        assert_eq!(manifest.metadata.annotations["version"], "v3-0123456789");
        let text = serde_json::to_value(&manifest).unwrap();
        let parts = &text["spec"]["components"];
        assert_eq!(parts[0]["properties"]["image"], "file:///images/x.wasm");
        assert_eq!(parts[0]["properties"]["config"][0]["name"], "acme-rust-alert-env");
        let settings = &parts[1]["traits"][0]["properties"]["source"]["config"][0]["properties"];
        assert_eq!(settings["consumer"], "rust-alert");
        assert_eq!((&settings["tenant"], &settings["types"]), (&"acme".into(), &"com.github.push".into()));
        // Where the one by hand has a link, this one has it too.
        let by_hand = include_str!("../../../wadm/consumer.yaml");
        for line in
            ["interfaces: [emitter]", "interfaces: [consumer]", "eventrunner.role: tenant", "component: jetstream"]
        {
            assert!(by_hand.contains(line), "{line}");
        }
        let role = |manifest: &Manifest| {
            let text = serde_json::to_value(manifest).unwrap();
            let scaler = &text["spec"]["components"][0]["traits"][0]["properties"];
            scaler["spread"][0]["requirements"][ROLE].clone()
        };
        assert_eq!(role(&manifest), "tenant");
        assert!(is_elsewhere(&version, "v3-0123456789-probation"));
        version.standing = Standing::Probation;
        let manifest = of("acme", "rust-alert", &version, Path::new("/images/x.wasm")).unwrap();
        assert_eq!(manifest.metadata.annotations["version"], "v3-0123456789-probation");
        assert_eq!(role(&manifest), "probation");
        assert!(is_elsewhere(&version, "v3-0123456789") && !is_elsewhere(&version, "v2-0123456789"));
    }
}
