//! What a tenant used: as the API says, and as the records in the stream come to, added up here without any of the
//! platform's own arithmetic.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use async_nats::jetstream;
use async_nats::jetstream::consumer::{pull, AckPolicy};
use er_event::packed;
use futures::StreamExt as _;
use serde_json::Value;

use crate::platform::Platform;
use crate::tenant::Tenant;
use crate::wait::until;

/// Meter to count, without those that are zero.
pub type Sums = BTreeMap<String, u64>;

/// From a record's arrival in the stream to the answer of the API: a second of the analytics' buffer, and a machine that
/// does much else.
const COLLECTED_WITHIN: Duration = Duration::from_secs(120);

/// This month's sums, as the API says.
///
/// # Errors
/// Any answer besides 200.
pub async fn told(tenant: &Tenant) -> anyhow::Result<Sums> {
    let report = tenant.client.read(&format!("/api/v1/usage/{}?window=month", tenant.id)).await?;
    let rows = report["rows"].as_array().with_context(|| report.to_string())?;
    rows.iter()
        .map(|row| {
            let meter = row["meter"].as_str().with_context(|| row.to_string())?;
            Ok((meter.to_owned(), row["quantity"].as_u64().with_context(|| row.to_string())?))
        })
        .collect()
}

/// The records of a tenant, or of all for `>`, in `ER_USAGE`: of each message its lines.
///
/// # Errors
/// When the stream can't be read.
pub async fn lines(platform: &Platform, tenant: &str) -> anyhow::Result<Vec<String>> {
    let js = jetstream::new(platform.nats().await?);
    let stream = js.get_stream("ER_USAGE").await?;
    let config = pull::Config {
        filter_subject: format!("er.usage.{tenant}"),
        ack_policy: AckPolicy::None,
        inactive_threshold: Duration::from_secs(5),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await?;
    let mut texts = Vec::new();
    loop {
        let mut page = consumer.fetch().max_messages(256).messages().await?;
        let before = texts.len();
        while let Some(message) = page.next().await {
            let message = message.map_err(|e| anyhow::anyhow!(e))?;
            let encoding = message.headers.as_ref().and_then(|headers| headers.get(packed::CONTENT_ENCODING));
            let text = packed::plain(encoding.map(async_nats::HeaderValue::as_str), &message.payload)?;
            texts.push(std::str::from_utf8(&text)?.to_owned());
        }
        if texts.len() == before {
            return Ok(texts);
        }
    }
}

/// All records of the tenant in `ER_USAGE`: of one key each meter's least.
///
/// # Errors
/// When the stream can't be read.
pub async fn recorded(platform: &Platform, tenant: &Tenant) -> anyhow::Result<Sums> {
    let mut least: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    // A meter that one of two records leaves out is zero there.
    let mut records: BTreeMap<(String, String), u32> = BTreeMap::new();
    let mut named: BTreeMap<(String, String, String), u32> = BTreeMap::new();
    for text in lines(platform, &tenant.id).await? {
        for line in text.lines() {
            let record: Value = serde_json::from_str(line)?;
            ensure!(record["tenant"] == tenant.id.as_str(), "somebody else's record: {line}");
            let text = |name: &str| record[name].as_str().map(str::to_owned).with_context(|| line.to_owned());
            let key = (text("minute")?, text("id")?);
            *records.entry(key.clone()).or_default() += 1;
            for (meter, quantity) in record["used"].as_object().with_context(|| line.to_owned())? {
                let quantity = quantity.as_u64().with_context(|| line.to_owned())?;
                let place = (key.0.clone(), key.1.clone(), meter.clone());
                *named.entry(place.clone()).or_default() += 1;
                let known = least.entry(place).or_insert(quantity);
                *known = quantity.min(*known);
            }
        }
    }
    let mut sums = Sums::new();
    for (place, quantity) in least {
        let written = records.get(&(place.0.clone(), place.1.clone()));
        if named.get(&place) == written {
            *sums.entry(place.2).or_default() += quantity;
        }
    }
    sums.retain(|_, quantity| *quantity > 0);
    Ok(sums)
}

/// Waits until the API says what the records come to, and gives it.
///
/// # Errors
/// Both, where they do not come together.
pub async fn collected(platform: &Platform, tenant: &Tenant) -> anyhow::Result<Sums> {
    until("usage to be what the records come to", COLLECTED_WITHIN, || async {
        let (told, recorded) = (told(tenant).await?, recorded(platform, tenant).await?);
        ensure!(told == recorded, "told {told:?}, recorded {recorded:?}");
        Ok(Some(told))
    })
    .await
}
