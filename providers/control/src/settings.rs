//! What can be set on the provider (wadm: `config` of the capability).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use er_consumer::Limits;
use er_provider_control::Options;
use er_provider_kit::settings::Error;
use er_provider_kit::Settings;

const OWNER: &str = "provider control";
const METRICS_PORT: u16 = 9470;
const IMAGES: &str = "var/images/consumers";
const SPOOL: &str = "var/data/uploads";
const TENANT_LOG: &str = "var/lattice/tenant.log";

#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// JetStream's address; none: the lattice's own NATS.
    pub nats_url: Option<String>,
    pub metrics_addr: SocketAddr,
    /// `lattice_url` and `lattice` are for the host to say.
    pub desk: Options,
}

// === impl ProviderSettings ===

impl ProviderSettings {
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new(OWNER, map);
        let settings = Self {
            nats_url: s.text("nats_url").map(str::to_string),
            metrics_addr: s.addr("metrics_addr", METRICS_PORT)?,
            desk: Options {
                // Relative to where the host runs.
                images_dir: PathBuf::from(s.text("images_dir").unwrap_or(IMAGES)),
                spool_dir: PathBuf::from(s.text("spool_dir").unwrap_or(SPOOL)),
                tenant_log: PathBuf::from(s.text("tenant_log").unwrap_or(TENANT_LOG)),
                consumers_max: s.number("consumers_max", 50, 1..=10_000)?,
                registries: s.list("registries"),
                deploy_within: Duration::from_secs(s.number("deploy_within_s", 120, 5..=3_600)?),
                seen_within: Duration::from_secs(s.number("seen_within_s", 30, 1..=600)?),
                reconcile: Duration::from_secs(s.number("reconcile_s", 60, 1..=3_600)?),
                replicas: s.number("replicas", 1, 1..=5)?,
                limits: Limits::default(),
                lattice_url: String::new(),
                lattice: String::new(),
            },
        };
        s.finish()?;
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<ProviderSettings, String> {
        let map = pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        ProviderSettings::parse(&map).map_err(|e| e.to_string())
    }

    #[test]
    fn nothing_is_required_and_no_registry_is_called() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.metrics_addr.to_string(), "127.0.0.1:9470");
        assert!(settings.desk.registries.is_empty());
        assert_eq!(parse(&[("registries", "ghcr.io, 127.0.0.1:5000")]).unwrap().desk.registries.len(), 2);
    }

    #[test]
    fn limits_are_held_on_both_sides() {
        for (key, value, good) in [
            ("consumers_max", "1", true),
            ("consumers_max", "0", false),
            ("deploy_within_s", "5", true),
            ("deploy_within_s", "4", false),
            ("seen_within_s", "600", true),
            ("seen_within_s", "601", false),
            ("reconcile_s", "0", false),
            ("replicas", "6", false),
            ("image_dir", "x", false),
        ] {
            assert_eq!(parse(&[(key, value)]).is_ok(), good, "{key}={value}");
        }
    }
}
