//! The provider as the lattice sees it: configuration, links, health, shutdown.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream;
use er_provider_kit::links;
use er_provider_opa::Desk;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tracing::info;
use wasmcloud_provider_sdk::{Context, HealthCheckRequest, HealthCheckResponse, Provider, ProviderInitConfig};

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::fault::fault;
use crate::settings::ProviderSettings;

/// How long JetStream may take to answer one question of a round.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// The provider; a clone is a handle to the same one.
#[derive(Clone, Default)]
pub struct Opa {
    desk: Arc<OnceLock<Desk>>,
    callers: Arc<OnceLock<Vec<String>>>,
    following: Arc<Mutex<Option<JoinHandle<()>>>>,
}

// === impl Opa ===

impl Opa {
    pub fn desk(&self) -> Result<&Desk, Fault> {
        self.desk.get().ok_or_else(|| fault(FaultCode::Unavailable, "the provider is not configured yet"))
    }

    /// Whether the caller may ask for decisions: by a link, or by this provider's settings.
    pub async fn check_asking(&self, cx: Option<&Context>) -> Result<(), Fault> {
        let caller = cx.and_then(|cx| cx.component.as_deref()).unwrap_or_default();
        if self.callers.get().is_some_and(|callers| callers.iter().any(|known| known == caller)) {
            return Ok(());
        }
        self.check_link(cx, "policy").await
    }

    /// Whether the caller has a link to this interface.
    pub async fn check_link(&self, cx: Option<&Context>, interface: &str) -> Result<(), Fault> {
        links::check(cx, interface).await.map_err(|refusal| fault(FaultCode::Denied, refusal.to_string()))
    }
}

impl Provider for Opa {
    /// Does not wait for JetStream: while it is away, everything is denied.
    async fn init(&self, config: impl ProviderInitConfig) -> anyhow::Result<()> {
        let settings = ProviderSettings::parse(config.get_config())?;
        info!(?settings, "starting");
        er_provider_kit::metrics::serve(settings.metrics_addr, "opa")
            .with_context(|| format!("serving metrics on {}", settings.metrics_addr))?;
        let url = er_provider_kit::nats_url(settings.nats_url.as_deref())?;
        let nats = async_nats::ConnectOptions::new()
            .name("er-provider-opa")
            .request_timeout(Some(ANSWER_MAX))
            .retry_on_initial_connect()
            .connect(&url)
            .await
            .with_context(|| format!("NATS at {url}"))?;
        let mut js = jetstream::new(nats);
        js.set_timeout(ANSWER_MAX);
        let _ = self.callers.set(settings.callers);
        let replicas = settings.desk.replicas;
        let (desk, writer) = Desk::new(settings.desk);
        tokio::spawn(writer.run(js.clone(), replicas, settings.log_age_max, settings.log_bytes_max));
        let follower = desk.clone();
        let following = tokio::spawn(async move { follower.follow(js).await });
        *self.following.lock() = Some(following);
        // Set once: the SDK initializes a provider once.
        let _ = self.desk.set(desk);
        Ok(())
    }

    async fn health_request(&self, _: &HealthCheckRequest) -> anyhow::Result<HealthCheckResponse> {
        let (healthy, message) = match self.desk.get() {
            Some(desk) => desk.health(),
            None => (false, "not configured yet".to_owned()),
        };
        Ok(HealthCheckResponse { healthy, message: Some(message) })
    }

    async fn shutdown(&self) -> anyhow::Result<()> {
        if let Some(following) = self.following.lock().take() {
            following.abort();
        }
        if let Some(desk) = self.desk.get() {
            desk.drain(Duration::from_secs(5)).await;
        }
        er_provider_kit::trace::flush().await;
        Ok(())
    }
}
