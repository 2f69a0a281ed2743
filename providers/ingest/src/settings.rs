//! What can be set on the provider.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use er_provider_kit::settings::Error;
use er_provider_kit::Settings;

/// Settings of the provider (wadm: `config` of the capability).
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Where HTTP is served.
    pub addr: SocketAddr,
    /// Where gRPC is served.
    pub grpc_addr: SocketAddr,
    pub metrics_addr: SocketAddr,
    /// Bodies held at once, over all requests; more is answered 503.
    pub inflight_bytes_max: usize,
    /// Connections of each protocol at once; further ones wait in the kernel.
    pub connections_max: usize,
    /// Events a second of each tenant that has no quota of its own; 0: as many as it likes.
    pub tenant_events_per_s: u32,
    /// Calls into the ingest component at once. At most its instances.
    pub admits_max: usize,
    /// How long one call into the ingest component may take.
    pub admit_timeout: Duration,
    /// How long an API key's answer is believed: a revoked key works at most this long.
    pub key_ttl: Duration,
}

// === impl IngestSettings ===

impl IngestSettings {
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new("provider ingest", map);
        let settings = Self {
            addr: s.addr("addr", 8080)?,
            grpc_addr: s.addr("grpc_addr", 8081)?,
            metrics_addr: s.addr("metrics_addr", 9465)?,
            inflight_bytes_max: s.number("inflight_bytes_max", 32 << 20, 1 << 20..=1 << 32)?,
            connections_max: s.number("connections_max", 2_048, 1..=100_000)?,
            tenant_events_per_s: s.number("tenant_events_per_s", 0, 0..=10_000_000)?,
            admits_max: s.number("admits_max", 8, 1..=256)?,
            admit_timeout: s.millis("admit_timeout_ms", 5_000, 100..=60_000)?,
            key_ttl: s.millis("key_ttl_ms", 3_000, 0..=60_000)?,
        };
        s.finish()?;
        Ok(settings)
    }
}
