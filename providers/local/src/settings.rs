//! What can be set on the provider (wadm: `config` of the capability).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use er_provider_kit::settings::Error;
use er_provider_kit::Settings;

const MIB: u64 = 1 << 20;
const HOUR_S: u64 = 3600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Where everything lies; made if it is not there. Relative to where the host runs.
    pub data_dir: PathBuf,
    pub metrics_addr: SocketAddr,
    /// How long events stay after they came in.
    pub retention: Duration,
    /// Blocks of tables kept in memory for reads.
    pub cache_bytes: u64,
    /// `libchdb.so`, for the analytics. Not set: where a system has it.
    pub chdb_lib: Option<PathBuf>,
    /// What chDB may take for statements and merges.
    pub chdb_memory_bytes: u64,
}

// === impl ProviderSettings ===

impl ProviderSettings {
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new("provider local", map);
        let settings = Self {
            data_dir: s.required("data_dir")?.into(),
            metrics_addr: s.addr("metrics_addr", 9466)?,
            retention: Duration::from_secs(s.number("retention_h", 720, 1..=87_600)? * HOUR_S),
            cache_bytes: s.number("cache_bytes_max", 16 * MIB, MIB..=1 << 40)?,
            chdb_lib: s.text("chdb_lib").map(PathBuf::from),
            chdb_memory_bytes: s.number("chdb_memory_bytes_max", 512 * MIB, 256 * MIB..=1 << 40)?,
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
    fn only_the_directory_is_required() {
        let settings = parse(&[("data_dir", "var/local")]).unwrap();
        assert_eq!(settings.retention, Duration::from_secs(720 * 3600));
        assert_eq!(settings.metrics_addr.to_string(), "127.0.0.1:9466");
        assert!(parse(&[]).unwrap_err().contains("`data_dir` is missing"));
    }

    #[test]
    fn limits_are_held_on_both_sides() {
        for (key, value, good) in [
            ("retention_h", "1", true),
            ("retention_h", "0", false),
            ("retention_h", "87600", true),
            ("retention_h", "87601", false),
            ("cache_bytes_max", "1048576", true),
            ("cache_bytes_max", "1048575", false),
            ("cache_byte_max", "1048576", false),
            ("chdb_lib", "/opt/libchdb.so", true),
            ("chdb_memory_bytes_max", "268435456", true),
            ("chdb_memory_bytes_max", "268435455", false),
        ] {
            assert_eq!(parse(&[("data_dir", "x"), (key, value)]).is_ok(), good, "{key}={value}");
        }
    }
}
