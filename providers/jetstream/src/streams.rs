//! The streams: names, subjects, limits. One place, so that every reader and writer agrees.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::{pull, AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};

pub use er_tenant::consumers::{delivery_names, retry_subject, EVENTS_STREAM as EVENTS, RETRY_STREAM as RETRY};
use er_tenant::consumers::{CONSUMERS_BUCKET, REPLAYS_BUCKET};
use er_tenant::rules::RULES_BUCKET;

use crate::settings::ProviderSettings;

/// Raw events: durable before anything interprets them, gone when the engine's outcome is durable.
pub const RAW: &str = "ER_RAW";
/// What reached no other end, with its reason.
pub const DEAD: &str = "ER_DEAD";
/// Usage records, kept for proof after they were collected.
pub const USAGE: &str = "ER_USAGE";

/// Buckets that components may use; any other name is refused.
pub const BUCKETS: [&str; 9] = [
    er_tenant::TENANTS_BUCKET,
    er_tenant::KEYS_BUCKET,
    RULES_BUCKET,
    er_tenant::billing::BILLING_BUCKET,
    CONSUMERS_BUCKET,
    REPLAYS_BUCKET,
    er_tenant::IDEMPOTENCY_BUCKET,
    er_tenant::members::MEMBERS_BUCKET,
    er_tenant::gateway::GATEWAY_BUCKET,
];

/// Header: when the first event of the message came in, in microseconds since 1970.
pub const RECEIVED_US: &str = "Er-Received-Us";

/// Header: how many events the message holds.
pub const EVENTS_COUNT: &str = "Er-Events";

/// Header: which redrive or replay brought the message again; none where its events are on their first way. What is
/// given up again is another dead letter then, and not a repeat of the one before.
pub const ROUND: &str = "Er-Round";

/// Header: the place in `ER_RAW` of the message that first brought the event, on what is made of its dead letter. It may have
/// claimed the event in the store before it was given up.
pub const CLAIM: &str = "Er-Claim";

/// How long JetStream remembers message ids. Longer than any redelivery of ours takes to come back.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(600);
/// Raw messages of one tenant in one shard that may wait for the engine. Past that the tenant has to wait.
pub const RAW_MESSAGES_PER_TENANT_MAX: i64 = 20_000;

pub fn raw_subject(shard: u32, tenant: &str) -> String {
    format!("er.raw.{shard}.{tenant}")
}

pub fn events_subject(tenant: &str) -> String {
    format!("er.events.{tenant}")
}

pub fn dead_subject(tenant: &str) -> String {
    format!("er.dead.{tenant}")
}

pub fn usage_subject(tenant: &str) -> String {
    format!("er.usage.{tenant}")
}

/// The stream that a subject of ours belongs to.
pub fn of(subject: &str) -> &'static str {
    match subject.split('.').nth(1) {
        Some("raw") => RAW,
        Some("events") => EVENTS,
        Some("dead") => DEAD,
        Some("retry") => RETRY,
        Some("usage") => USAGE,
        _ => "",
    }
}

/// The tenant of a raw subject.
pub fn tenant_of_raw(subject: &str) -> Option<&str> {
    subject.strip_prefix("er.raw.")?.split_once('.').map(|(_, tenant)| tenant)
}

/// Creates what is missing and brings what is there up to these settings.
pub async fn ensure(js: &Context, settings: &ProviderSettings) -> anyhow::Result<()> {
    let base = Config {
        storage: StorageType::File,
        num_replicas: settings.replicas,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        ..Config::default()
    };
    let streams = [
        Config {
            name: RAW.into(),
            subjects: vec!["er.raw.>".into()],
            retention: RetentionPolicy::WorkQueue,
            discard: DiscardPolicy::New,
            discard_new_per_subject: true,
            max_messages_per_subject: RAW_MESSAGES_PER_TENANT_MAX,
            max_bytes: settings.raw_bytes_max,
            ..base.clone()
        },
        Config {
            name: EVENTS.into(),
            subjects: vec!["er.events.>".into()],
            max_age: settings.events_age_max,
            max_bytes: settings.events_bytes_max,
            ..base.clone()
        },
        Config {
            name: DEAD.into(),
            subjects: vec!["er.dead.>".into()],
            max_age: settings.dead_age_max,
            ..base.clone()
        },
        Config {
            name: RETRY.into(),
            subjects: vec!["er.retry.>".into()],
            retention: RetentionPolicy::WorkQueue,
            // What is refused stays where it is, and comes again.
            discard: DiscardPolicy::New,
            max_bytes: settings.retry_bytes_max,
            ..base.clone()
        },
        Config {
            name: USAGE.into(),
            subjects: vec!["er.usage.>".into()],
            max_age: settings.usage_age_max,
            ..base.clone()
        },
    ];
    for config in streams {
        // An existing stream is brought up to the settings; what JetStream can't change it refuses by name.
        match js.get_stream(&config.name).await {
            Ok(_) => js.update_stream(config).await.map(|_| ())?,
            Err(_) => js.create_stream(config).await.map(|_| ())?,
        }
    }
    for bucket in BUCKETS {
        if let Ok(there) = js.get_key_value(bucket).await {
            replicate(js, &there, settings.replicas).await.with_context(|| format!("the bucket {bucket}"))?;
        } else {
            js.create_key_value(jetstream::kv::Config {
                bucket: bucket.into(),
                history: 5,
                max_age: if bucket == er_tenant::IDEMPOTENCY_BUCKET {
                    er_tenant::IDEMPOTENCY_AGE
                } else {
                    Duration::ZERO
                },
                storage: StorageType::File,
                num_replicas: settings.replicas,
                ..jetstream::kv::Config::default()
            })
            .await?;
        }
    }
    Ok(())
}

/// Brings a bucket that was made with other replicas up to these.
async fn replicate(js: &Context, bucket: &jetstream::kv::Store, replicas: usize) -> anyhow::Result<()> {
    let there = js.get_stream(&bucket.stream_name).await?.cached_info().config.clone();
    if there.num_replicas != replicas {
        js.update_stream(Config { num_replicas: replicas, ..there }).await?;
    }
    Ok(())
}

/// A durable pull consumer as all workers use it.
pub fn durable(name: String, filter: String, ack_wait: Duration, from_start: bool) -> pull::Config {
    pull::Config {
        durable_name: Some(name),
        filter_subject: filter,
        ack_policy: AckPolicy::Explicit,
        ack_wait,
        max_ack_pending: 512,
        max_deliver: -1,
        deliver_policy: if from_start { DeliverPolicy::All } else { DeliverPolicy::New },
        ..pull::Config::default()
    }
}
