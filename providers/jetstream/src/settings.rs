//! What can be set on the provider and on its links.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use er_provider_kit::settings::Error;
use er_provider_kit::Settings;

/// Settings of the provider itself (wadm: `config` of the capability).
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// JetStream's address; none: the lattice's own NATS.
    pub nats_url: Option<String>,
    pub metrics_addr: SocketAddr,
    /// Shards of `ER_RAW`, each of which is pulled from by itself. Fixed for the life of a stream.
    pub shards: u32,
    pub raw_bytes_max: i64,
    pub events_bytes_max: i64,
    /// Of what waits to be tried again, of all consumers.
    pub retry_bytes_max: i64,
    pub events_age_max: Duration,
    pub dead_age_max: Duration,
    /// How long usage records can be read again to prove an invoice. More than a month and the time to ask.
    pub usage_age_max: Duration,
    /// Replicas of every stream: 1 on one machine, 3 on a cluster.
    pub replicas: usize,
    /// Calls that fail as a whole in a row, until a consumer is paused; 0: never.
    pub strikes_max: u32,
    /// Tenants that metrics name; what is of more is told as one sum.
    pub metrics_tenants_max: usize,
    /// Reads of live tails under way at once: of a tenant, and of all. Each holds an instance of the API for as long as it lasts:
    /// about half of those that the manifest gives it.
    pub tails_tenant_max: usize,
    pub tails_max: usize,
    /// Between two looks at what waits in the streams.
    pub backlog_every: Duration,
    /// Id in the lattice of the provider that decides what may be delivered; none: the one that a link names.
    pub policy: Option<String>,
}

/// Settings of the link to the engine.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// How long one `process` call may take.
    pub timeout: Duration,
}

/// Settings of the link to billing.
#[derive(Debug, Clone)]
pub struct CollectorSettings {
    /// How long one `collect` or `close` call may take.
    pub timeout: Duration,
    /// `collect` calls under way at once.
    pub calls_max: usize,
    /// Between two looks whether a month is over.
    pub close_every: Duration,
}

/// Settings of the link to a tenant's consumer.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    pub tenant: String,
    /// What the tenant calls it; none: it is called as its component in the lattice. It keeps its place in the stream, its
    /// retries and its state under this name, whatever its component is called by then.
    pub consumer: Option<String>,
    /// Types wanted, `*` ending a prefix; empty is all.
    pub types: Vec<String>,
    /// Sources wanted, `*` ending a prefix; empty is all.
    pub sources: Vec<String>,
    /// Sub-streams wanted, as rules route events to them; empty is every event, routed or not.
    pub routes: Vec<String>,
    pub batch_events_max: usize,
    /// How long one `handle` call may take. At least the tenant host's `max_execution_time`, so that an
    /// endless loop is over before the next call is made.
    pub timeout: Duration,
    pub attempts_max: u32,
    /// Wait before the second attempt; it doubles with each further one.
    pub backoff: Duration,
    /// Linear memory that an instance may have, as its host was told: what is billed for the time of a call.
    pub memory_mib: u64,
    /// Where a consumer that was never there before starts: at the oldest event kept, or at the next.
    pub from_start: bool,
}

/// Settings of the link from a tenant's consumer (its emitter).
#[derive(Debug, Clone)]
pub struct EmitterSettings {
    pub tenant: String,
}

const GIB: i64 = 1 << 30;

// === impl ProviderSettings ===

impl ProviderSettings {
    pub fn parse(map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new("provider jetstream", map);
        let hour = 3600;
        let settings = Self {
            nats_url: s.text("nats_url").map(str::to_string),
            metrics_addr: s.addr("metrics_addr", 9464)?,
            shards: s.number("shards", 4, 1..=64)?,
            raw_bytes_max: s.number("raw_bytes_max", GIB, 1 << 20..=1 << 44)?,
            events_bytes_max: s.number("events_bytes_max", 8 * GIB, 1 << 20..=1 << 44)?,
            retry_bytes_max: s.number("retry_bytes_max", 2 * GIB, 1 << 20..=1 << 44)?,
            events_age_max: Duration::from_secs(s.number("events_age_max_h", 168, 1..=8760)? * hour),
            dead_age_max: Duration::from_secs(s.number("dead_age_max_h", 720, 1..=8760)? * hour),
            usage_age_max: Duration::from_secs(s.number("usage_age_max_h", 1_680, 1..=87_600)? * hour),
            replicas: s.number("replicas", 1, 1..=5)?,
            strikes_max: s.number("strikes_max", 5, 0..=1_000)?,
            metrics_tenants_max: s.number("metrics_tenants_max", 50, 0..=1_000)?,
            tails_tenant_max: s.number("tails_tenant_max", 8, 1..=1_000)?,
            tails_max: s.number("tails_max", 32, 1..=10_000)?,
            backlog_every: s.millis("backlog_every_ms", 5_000, 100..=600_000)?,
            policy: s.text("policy").map(str::to_string),
        };
        s.finish()?;
        Ok(settings)
    }
}

// === impl EngineSettings ===

impl EngineSettings {
    pub fn parse(target: &str, map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new(format!("link to engine {target}"), map);
        let settings = Self { timeout: s.millis("timeout_ms", 5_000, 100..=60_000)? };
        s.finish()?;
        Ok(settings)
    }
}

// === impl CollectorSettings ===

impl CollectorSettings {
    pub fn parse(target: &str, map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new(format!("link to billing {target}"), map);
        let settings = Self {
            timeout: s.millis("timeout_ms", 20_000, 100..=60_000)?,
            calls_max: s.number("calls_max", 8, 1..=64)?,
            close_every: s.millis("close_every_ms", 60_000, 100..=3_600_000)?,
        };
        s.finish()?;
        Ok(settings)
    }
}

// === impl ConsumerSettings ===

impl ConsumerSettings {
    pub fn parse(target: &str, map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new(format!("link to consumer {target}"), map);
        let settings = Self {
            tenant: tenant(&mut s)?,
            consumer: consumer(&mut s, target)?,
            types: s.list("types"),
            sources: s.list("sources"),
            routes: s.list("routes"),
            batch_events_max: s.number("batch_events_max", 256, 1..=er_event::limits::BATCH_EVENTS_MAX)?,
            timeout: s.millis("timeout_ms", 6_000, 100..=60_000)?,
            attempts_max: s.number("attempts_max", 5, 1..=20)?,
            backoff: s.millis("backoff_ms", 500, 10..=60_000)?,
            memory_mib: s.number("memory_mib", 64, 1..=4_095)?,
            from_start: s.text("deliver").is_some_and(|value| value == "all"),
        };
        s.finish()?;
        Ok(settings)
    }
}

// === impl EmitterSettings ===

impl EmitterSettings {
    pub fn parse(source: &str, map: &HashMap<String, String>) -> Result<Self, Error> {
        let mut s = Settings::new(format!("link from emitter {source}"), map);
        let tenant = tenant(&mut s)?;
        s.finish()?;
        Ok(Self { tenant })
    }
}

fn consumer(s: &mut Settings<'_>, target: &str) -> Result<Option<String>, Error> {
    match s.text("consumer") {
        Some(name) if !er_tenant::consumers::valid_name(name) => Err(Error::Invalid {
            owner: format!("link to consumer {target}"),
            key: "consumer".into(),
            value: name.into(),
            reason: "not a consumer's name (a-z, 0-9 and single -, a letter first, at most 40)".into(),
        }),
        name => Ok(name.map(str::to_string)),
    }
}

fn tenant(s: &mut Settings<'_>) -> Result<String, Error> {
    let tenant = s.required("tenant")?;
    if er_event::keys::valid_tenant(tenant) {
        Ok(tenant.to_string())
    } else {
        Err(Error::Invalid {
            owner: "link of a consumer".into(),
            key: "tenant".into(),
            value: tenant.into(),
            reason: "not a tenant name (a-z, 0-9 and -, at most 40)".into(),
        })
    }
}
