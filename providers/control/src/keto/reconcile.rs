//! The loop that keeps Keto as the records are. It asks for changes rather than watch them, so that none is missed, and looks
//! at Keto itself from time to time: what somebody changed there by hand, or what a restart lost, is mended.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::kv::Operation;
use async_nats::jetstream::Context;
use er_tenant::members::MEMBERS_BUCKET;
use er_tenant::{KEYS_BUCKET, TENANTS_BUCKET};
use futures::{StreamExt as _, TryStreamExt as _};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{info, warn};

use super::client::Client;
use super::tuples::{changes, wanted, Records};
use crate::store::keys;

const BUCKETS: [&str; 3] = [TENANTS_BUCKET, MEMBERS_BUCKET, KEYS_BUCKET];
/// Between two looks whether a record changed: what is revoked is revoked about so long after.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Before the next try of what failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const READS_AT_ONCE: usize = 16;

#[derive(Debug, Clone)]
pub struct Options {
    pub client: Client,
    /// Between two looks at Keto, though no record changed.
    pub repair: Duration,
}

/// Goes on until it is aborted.
pub async fn run(js: Context, options: Options) {
    let mut failing = false;
    // The state of the records that Keto was last brought to, and when.
    let mut done: Option<([u64; 3], Instant)> = None;
    loop {
        match step(&js, &options, &mut done).await {
            Ok(()) if failing => {
                info!("Keto is as the records say again");
                failing = false;
            }
            Ok(()) => {}
            Err(error) if !failing => {
                warn!(error = format!("{error:#}"), "Keto can't be brought to what the records say; trying again");
                failing = true;
            }
            Err(_) => {}
        }
        metrics::gauge!("eventrunner_control_keto_in_step").set(if failing { 0.0 } else { 1.0 });
        tokio::time::sleep(if failing { RETRY_AFTER } else { LOOK_EVERY }).await;
    }
}

async fn step(js: &Context, options: &Options, done: &mut Option<([u64; 3], Instant)>) -> anyhow::Result<()> {
    // Asked for before the records are read: what changes meanwhile is seen the next time.
    let mut now = [0; 3];
    for (bucket, sequence) in BUCKETS.iter().zip(&mut now) {
        let stream = js.get_stream(format!("KV_{bucket}")).await.with_context(|| format!("the bucket {bucket}"))?;
        *sequence = stream.cached_info().state.last_sequence;
    }
    if done.is_some_and(|(seen, at)| seen == now && at.elapsed() < options.repair) {
        return Ok(());
    }
    let records = read(js).await?;
    let time_us = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000)?;
    let changes = changes(&options.client.tuples().await?, &wanted(&records, time_us));
    options.client.change(&changes).await?;
    if !changes.is_empty() {
        metrics::counter!("eventrunner_control_keto_changes_total").increment(changes.len() as u64);
        info!(changes = changes.len(), "Keto was brought to what the records say");
    }
    *done = Some((now, Instant::now()));
    Ok(())
}

async fn read(js: &Context) -> anyhow::Result<Records> {
    let tenants = all(js, TENANTS_BUCKET).await?;
    Ok(Records {
        tenants: tenants.into_iter().map(|(_, tenant)| tenant).collect(),
        members: all(js, MEMBERS_BUCKET).await?,
        keys: all(js, KEYS_BUCKET).await?,
    })
}

/// Every record of a bucket, with its key up to the first dot. One that can't be read gives nobody anything.
async fn all<T: DeserializeOwned>(js: &Context, name: &str) -> anyhow::Result<Vec<(String, T)>> {
    let bucket = js.get_key_value(name).await.with_context(|| format!("the bucket {name}"))?;
    let keys = keys(&bucket, ">").await.with_context(|| format!("the keys of {name}"))?;
    let entries = futures::stream::iter(keys).map(|key| {
        let bucket = &bucket;
        async move { bucket.entry(&*key).await.map(|entry| (key, entry)) }
    });
    let entries: Vec<_> = entries.buffer_unordered(READS_AT_ONCE).try_collect().await?;
    let record = |(key, entry): (String, Option<async_nats::jetstream::kv::Entry>)| {
        let entry = entry.filter(|entry| entry.operation == Operation::Put)?;
        let owner = key.split('.').next()?.to_owned();
        match serde_json::from_slice(&entry.value) {
            Ok(record) => Some((owner, record)),
            Err(error) => {
                warn!(bucket = name, key, %error, "a record can't be read");
                None
            }
        }
    };
    Ok(entries.into_iter().filter_map(record).collect())
}
