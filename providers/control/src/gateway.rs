//! What is known of the gateway, for those who let requests in: components can't fetch its keys themselves. Written anew as
//! long as the keys can be fetched; they grow stale in the record when they can't.

use std::time::Duration;

use anyhow::{ensure, Context as _};
use async_nats::jetstream::Context;
use er_tenant::gateway::{keys_of_set, Gateway, GATEWAY_BUCKET, GATEWAY_PATH};
use tracing::{info, warn};

use crate::store::now;

const TIMEOUT: Duration = Duration::from_secs(5);
/// Before the next try of what failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const JWKS_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, Clone)]
pub struct Options {
    /// Where the gateway's keys are; none: there is no gateway.
    pub jwks_url: Option<String>,
    pub issuer: String,
    pub audience: String,
    /// Whoever comes around it is refused.
    pub only: bool,
    /// Between two fetches.
    pub refresh: Duration,
    pub stale_s: u32,
}

/// Goes on until it is aborted; without a gateway only until that is written down.
pub async fn run(js: Context, options: Options) {
    let mut failing = false;
    loop {
        match step(&js, &options).await {
            Ok(()) if options.jwks_url.is_none() => return,
            Ok(()) if failing => {
                info!("what is known of the gateway is up to date again");
                failing = false;
            }
            Ok(()) => {}
            Err(error) if !failing => {
                warn!(error = format!("{error:#}"), "what is known of the gateway can't be renewed; trying again");
                failing = true;
            }
            Err(_) => {}
        }
        metrics::gauge!("eventrunner_control_gateway_in_step").set(if failing { 0.0 } else { 1.0 });
        tokio::time::sleep(if failing { RETRY_AFTER } else { options.refresh }).await;
    }
}

async fn step(js: &Context, options: &Options) -> anyhow::Result<()> {
    let bucket = js.get_key_value(GATEWAY_BUCKET).await.with_context(|| format!("the bucket {GATEWAY_BUCKET}"))?;
    let known = bucket.get(GATEWAY_PATH).await.context("what was known of the gateway")?;
    let known: Option<Gateway> = known.and_then(|record| serde_json::from_slice(&record).ok());
    let Some(jwks_url) = &options.jwks_url else {
        // Only what is there is changed: no gateway needs no record.
        if known.is_some_and(|known| known != Gateway::default()) {
            bucket.put(GATEWAY_PATH, serde_json::to_vec(&Gateway::default())?.into()).await?;
        }
        return Ok(());
    };
    let mut gateway = Gateway {
        only: options.only,
        issuer: options.issuer.clone(),
        audience: options.audience.clone(),
        stale_s: options.stale_s,
        ..known.clone().unwrap_or_default()
    };
    let fetched = fetch(jwks_url).await;
    if let Ok(keys) = &fetched {
        gateway.keys.clone_from(keys);
        gateway.fetched = now();
    }
    // Without its keys, too: that all must come through the gateway holds before it was ever there.
    if known.as_ref() != Some(&gateway) {
        bucket.put(GATEWAY_PATH, serde_json::to_vec(&gateway)?.into()).await?;
    }
    fetched.map(|_| ()).with_context(|| format!("the gateway's keys at {jwks_url}"))
}

async fn fetch(url: &str) -> anyhow::Result<Vec<er_tenant::gateway::GatewayKey>> {
    let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let answer = http.get(url).send().await?.error_for_status()?;
    ensure!(answer.content_length().is_none_or(|bytes| bytes <= JWKS_BYTES_MAX), "more than {JWKS_BYTES_MAX} bytes");
    keys_of_set(&answer.text().await?).map_err(anyhow::Error::msg)
}
