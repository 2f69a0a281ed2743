//! What can be set on the provider (wadm: `config` of the capability).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use er_consumer::Limits;
use er_provider_control::{gateway, keto, Options};
use er_provider_kit::settings::Error;
use er_provider_kit::Settings;

const OWNER: &str = "provider control";
const METRICS_PORT: u16 = 9470;
const IMAGES: &str = "var/images/consumers";
const SPOOL: &str = "var/data/uploads";
const TENANT_LOG: &str = "var/lattice/tenant.log";
const PROBATION_LOG: &str = "var/lattice/probation.log";
/// As `deploy/oathkeeper` has them.
const ISSUER: &str = "urn:eventrunner:gateway";
const AUDIENCE: &str = "eventrunner";

#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// JetStream's address; none: the lattice's own NATS.
    pub nats_url: Option<String>,
    pub metrics_addr: SocketAddr,
    /// `lattice_url` and `lattice` are for the host to say.
    pub desk: Options,
    pub gateway: gateway::Options,
    /// None: nobody asks Keto.
    pub keto: Option<keto::Options>,
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
                tenant_logs: logs(s.list("tenant_logs")),
                consumers_max: s.number("consumers_max", 50, 1..=10_000)?,
                registries: s.list("registries"),
                deploy_within: Duration::from_secs(s.number("deploy_within_s", 120, 5..=3_600)?),
                seen_within: Duration::from_secs(s.number("seen_within_s", 30, 1..=600)?),
                reconcile: Duration::from_secs(s.number("reconcile_s", 60, 1..=3_600)?),
                probation: Duration::from_secs(s.number("probation_s", 600, 0..=604_800)?),
                replicas: s.number("replicas", 1, 1..=5)?,
                limits: Limits::default(),
                lattice_url: String::new(),
                lattice: String::new(),
            },
            gateway: gateway::Options {
                jwks_url: s.text("jwks_url").map(str::to_string),
                issuer: s.text("gateway_issuer").unwrap_or(ISSUER).to_string(),
                audience: s.text("gateway_audience").unwrap_or(AUDIENCE).to_string(),
                only: s.number("gateway_only", false, false..=true)?,
                refresh: Duration::from_secs(s.number("jwks_refresh_s", 30, 1..=3_600)?),
                stale_s: s.number("jwks_stale_s", 600, 10..=86_400)?,
            },
            keto: keto(&mut s)?,
        };
        s.finish()?;
        if settings.gateway.only && settings.gateway.jwks_url.is_none() {
            return Err(invalid("gateway_only", "true", "set jwks_url, too: without a gateway nobody gets in"));
        }
        Ok(settings)
    }
}

fn logs(given: Vec<String>) -> Vec<PathBuf> {
    if given.is_empty() {
        return [TENANT_LOG, PROBATION_LOG].map(PathBuf::from).to_vec();
    }
    given.into_iter().map(PathBuf::from).collect()
}

/// Keto, where it is told of: both of its addresses, or neither.
fn keto(s: &mut Settings<'_>) -> Result<Option<keto::Options>, Error> {
    let repair = Duration::from_secs(s.number("keto_repair_s", 10, 1..=3_600)?);
    match (s.text("keto_read_url"), s.text("keto_write_url")) {
        (None, None) => Ok(None),
        (Some(read), Some(write)) => {
            let client = keto::Client::new(read, write).map_err(|e| invalid("keto_read_url", read, &e.to_string()))?;
            Ok(Some(keto::Options { client, repair }))
        }
        (Some(read), None) => Err(invalid("keto_read_url", read, "set keto_write_url, too")),
        (None, Some(write)) => Err(invalid("keto_write_url", write, "set keto_read_url, too")),
    }
}

fn invalid(key: &str, value: &str, reason: &str) -> Error {
    Error::Invalid { owner: OWNER.into(), key: key.into(), value: value.into(), reason: reason.into() }
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
    fn without_a_word_there_is_no_gateway_and_no_keto() {
        let settings = parse(&[]).unwrap();
        assert!(settings.gateway.jwks_url.is_none() && !settings.gateway.only && settings.keto.is_none());
        let (read, write) = (("keto_read_url", "http://127.0.0.1:4466"), ("keto_write_url", "http://127.0.0.1:4467"));
        assert!(parse(&[read, write]).unwrap().keto.is_some());
        assert!(parse(&[read]).unwrap_err().contains("keto_write_url") && parse(&[write]).is_err());
        let jwks = ("jwks_url", "http://127.0.0.1:4456/.well-known/jwks.json");
        assert!(parse(&[jwks, ("gateway_only", "true")]).unwrap().gateway.only);
        assert!(parse(&[("gateway_only", "true")]).unwrap_err().contains("jwks_url"));
        assert!(parse(&[("gateway_only", "yes")]).is_err());
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
            ("probation_s", "0", true),
            ("probation_s", "604801", false),
            ("replicas", "6", false),
            ("image_dir", "x", false),
        ] {
            assert_eq!(parse(&[(key, value)]).is_ok(), good, "{key}={value}");
        }
    }
}
