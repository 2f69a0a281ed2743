//! The provider as the lattice sees it: configuration, links, health, shutdown.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use er_analytics::{Analytics, Error};
use tracing::{info, warn};
use wasmcloud_provider_sdk::{HealthCheckRequest, HealthCheckResponse, ProviderInitConfig};

use crate::engine::ClickHouse;
use crate::settings::ProviderSettings;

/// The provider; a clone is a handle to the same one.
#[derive(Clone, Default)]
pub struct Provider {
    analytics: Arc<OnceLock<Arc<Analytics<ClickHouse>>>>,
}

// === impl Provider ===

impl Provider {
    pub(crate) fn analytics(&self) -> Result<&Analytics<ClickHouse>, Error> {
        self.analytics.get().map(Arc::as_ref).ok_or(Error::Closed)
    }
}

impl wasmcloud_provider_sdk::Provider for Provider {
    async fn init(&self, config: impl ProviderInitConfig) -> anyhow::Result<()> {
        let settings = ProviderSettings::parse(config.get_config())?;
        info!(?settings, "starting");
        er_provider_kit::metrics::serve(settings.metrics_addr, "clickhouse")
            .with_context(|| format!("serving metrics on {}", settings.metrics_addr))?;
        let analytics = Arc::new(Analytics::start(ClickHouse::new(&settings.server), settings.options));
        // A server that is away is no reason not to start: calls say so, and reach it once it is back.
        let starting = Arc::clone(&analytics);
        tokio::spawn(async move {
            match starting.prepare().await {
                Ok(()) => info!("the database is up to date"),
                Err(error) => warn!(%error, "the database is not ready; each call looks again"),
            }
        });
        // Set once: the SDK initializes a provider once.
        let _ = self.analytics.set(analytics);
        Ok(())
    }

    /// A server that is away is not mended by starting this process again, so it does not make it unhealthy.
    async fn health_request(&self, _: &HealthCheckRequest) -> anyhow::Result<HealthCheckResponse> {
        let healthy = self.analytics().is_ok();
        Ok(HealthCheckResponse { healthy, message: (!healthy).then(|| Error::Closed.to_string()) })
    }

    async fn shutdown(&self) -> anyhow::Result<()> {
        if let Ok(analytics) = self.analytics() {
            analytics.close().await;
            info!("what was taken is inserted or answered");
        }
        er_provider_kit::trace::flush().await;
        Ok(())
    }
}
