//! What can be set on the provider (wadm: `config` of the capability).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use er_policy::Limits;
use er_provider_kit::settings::Error;
use er_provider_kit::Settings;
use er_provider_opa::log::Allowed;
use er_provider_opa::Options;

const OWNER: &str = "provider opa";
const METRICS_PORT: u16 = 9469;
const HOUR_S: u64 = 3_600;
const BUNDLE: &str = "build/policies.tar.gz";

#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// JetStream's address; none: the lattice's own NATS.
    pub nats_url: Option<String>,
    pub metrics_addr: SocketAddr,
    pub log_age_max: Duration,
    pub log_bytes_max: i64,
    /// Ids in the lattice of providers that may ask for decisions without a link: wadm puts none between providers.
    pub callers: Vec<String>,
    pub desk: Options,
}

// === impl ProviderSettings ===

impl ProviderSettings {
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new(OWNER, map);
        let own = Limits::default();
        let limits = Limits {
            fuel_max: s.number("fuel_max", own.fuel_max, 100_000..=10_000_000_000)?,
            memory_bytes_max: s.number("memory_bytes_max", own.memory_bytes_max, 4 << 20..=1 << 30)?,
            instances: s.number("instances", own.instances, 1..=64)?,
            cached_max: s.number("cached_max", own.cached_max, 0..=10_000_000)?,
            ..own
        };
        let tenants_bucket = s.text("tenants_bucket").unwrap_or(er_tenant::TENANTS_BUCKET);
        let settings = Self {
            nats_url: s.text("nats_url").map(str::to_string),
            metrics_addr: s.addr("metrics_addr", METRICS_PORT)?,
            log_age_max: Duration::from_secs(s.number("log_age_max_h", 720, 1..=87_600)? * HOUR_S),
            log_bytes_max: s.number("log_bytes_max", 1 << 30, 1 << 20..=1 << 44)?,
            callers: s.list("callers"),
            desk: Options {
                bundle: s.text("bundle").unwrap_or(BUNDLE).into(),
                tenants_bucket: Some(tenants_bucket).filter(|name| *name != "none").map(str::to_string),
                poll: s.millis("poll_ms", 500, 50..=2_000)?,
                stale_after: Duration::from_secs(s.number("stale_after_s", 10, 5..=10)?),
                log_allowed: allowed(s.text("log_allowed"))?,
                replicas: s.number("replicas", 1, 1..=5)?,
                limits,
            },
        };
        s.finish()?;
        Ok(settings)
    }
}

fn allowed(text: Option<&str>) -> Result<Allowed, Error> {
    match text {
        None | Some("fresh") => Ok(Allowed::Fresh),
        Some("all") => Ok(Allowed::All),
        Some("none") => Ok(Allowed::None),
        Some(other) => Err(Error::Invalid {
            owner: OWNER.into(),
            key: "log_allowed".into(),
            value: other.into(),
            reason: "use one of none, fresh, all".into(),
        }),
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
    fn nothing_is_required() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.metrics_addr.to_string(), "127.0.0.1:9469");
        assert_eq!(settings.desk.tenants_bucket.as_deref(), Some("ER_TENANTS"));
        assert_eq!(settings.desk.limits, Limits::default());
        assert_eq!(parse(&[("tenants_bucket", "none")]).unwrap().desk.tenants_bucket, None);
    }

    #[test]
    fn limits_are_held_on_both_sides() {
        for (key, value, good) in [
            ("stale_after_s", "5", true),
            ("stale_after_s", "4", false),
            ("stale_after_s", "11", false),
            ("poll_ms", "2000", true),
            ("poll_ms", "2001", false),
            ("poll_ms", "49", false),
            ("fuel_max", "99999", false),
            ("memory_bytes_max", "4194304", true),
            ("memory_bytes_max", "4194303", false),
            ("instances", "0", false),
            ("instances", "64", true),
            ("cached_max", "0", true),
            ("cached_max", "10000001", false),
            ("log_allowed", "all", true),
            ("log_allowed", "some", false),
            ("log_age_max_h", "0", false),
            ("replicas", "6", false),
            ("stale_after", "5", false),
        ] {
            assert_eq!(parse(&[(key, value)]).is_ok(), good, "{key}={value}");
        }
    }
}
