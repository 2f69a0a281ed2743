//! The provider as the lattice sees it: configuration, links, health, shutdown.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use async_nats::jetstream;
use er_provider_control::{gateway, keto, Desk};
use er_provider_kit::links;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tracing::info;
use wasmcloud_provider_sdk::{Context, HealthCheckRequest, HealthCheckResponse, Provider, ProviderInitConfig};

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::consumers::fault;
use crate::settings::ProviderSettings;

/// The provider; a clone is a handle to the same one.
#[derive(Clone, Default)]
pub struct Control {
    desk: Arc<OnceLock<Desk>>,
    running: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

// === impl Control ===

impl Control {
    /// The desk, for a caller that has a link to it.
    pub async fn linked(&self, cx: Option<&Context>) -> Result<&Desk, Fault> {
        links::check(cx, "consumers").await.map_err(|refusal| fault(FaultCode::Denied, refusal.to_string()))?;
        self.desk.get().ok_or_else(|| fault(FaultCode::Unavailable, "the provider is not configured yet"))
    }
}

impl Provider for Control {
    async fn init(&self, config: impl ProviderInitConfig) -> anyhow::Result<()> {
        let mut settings = ProviderSettings::parse(config.get_config())?;
        let host = wasmcloud_provider_sdk::load_host_data()?;
        settings.desk.lattice_url = er_provider_kit::nats_url(None)?;
        settings.desk.lattice.clone_from(&host.lattice_rpc_prefix);
        info!(?settings, "starting");
        er_provider_kit::metrics::serve(settings.metrics_addr, "control")
            .with_context(|| format!("serving metrics on {}", settings.metrics_addr))?;
        let url = er_provider_kit::nats_url(settings.nats_url.as_deref())?;
        let nats = async_nats::ConnectOptions::new()
            .name("er-provider-control")
            .retry_on_initial_connect()
            .connect(&url)
            .await
            .with_context(|| format!("NATS at {url}"))?;
        let js = jetstream::new(nats);
        let desk = Desk::new(js.clone(), settings.desk)?;
        let mut running = self.running.lock();
        // Goes on with what is half done.
        running.push(tokio::spawn(desk.clone().run()));
        running.push(tokio::spawn(gateway::run(js.clone(), settings.gateway)));
        if let Some(keto) = settings.keto {
            running.push(tokio::spawn(keto::run(js, keto)));
        }
        drop(running);
        // Set once: the SDK initializes a provider once.
        let _ = self.desk.set(desk);
        Ok(())
    }

    async fn health_request(&self, _: &HealthCheckRequest) -> anyhow::Result<HealthCheckResponse> {
        let healthy = self.desk.get().is_some();
        Ok(HealthCheckResponse { healthy, message: (!healthy).then(|| "not configured yet".to_owned()) })
    }

    async fn shutdown(&self) -> anyhow::Result<()> {
        for running in self.running.lock().drain(..) {
            running.abort();
        }
        er_provider_kit::trace::flush().await;
        Ok(())
    }
}
