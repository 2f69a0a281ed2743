//! The provider as the lattice sees it: configuration, links, health, shutdown.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use er_analytics::Analytics;
use er_provider_kit::links;
use tracing::{error, info};
use wasmcloud_provider_sdk::{Context, HealthCheckRequest, HealthCheckResponse, Provider, ProviderInitConfig};

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::fault::fault;
use crate::settings::ProviderSettings;
use er_provider_local::embedded::Embedded;
use er_provider_local::store::{system_clock, Error, Options, Store};

/// Where the event store and the analytics lie in the data directory. The number is that of the layout.
const EVENTS_DIR: &str = "events-2";
const ANALYTICS_DIR: &str = "analytics";

/// The provider; a clone is a handle to the same one.
#[derive(Clone, Default)]
pub struct Local {
    store: Arc<OnceLock<Store>>,
    analytics: Arc<OnceLock<Analytics<Embedded>>>,
}

// === impl Local ===

impl Local {
    pub fn store(&self) -> Result<&Store, Error> {
        self.store.get().ok_or(Error::Closed)
    }

    pub fn analytics(&self) -> Result<&Analytics<Embedded>, er_analytics::Error> {
        self.analytics.get().ok_or(er_analytics::Error::Closed)
    }

    /// Whether the caller has a link to this interface.
    pub async fn check_link(&self, cx: Option<&Context>, interface: &str) -> Result<(), Fault> {
        links::check(cx, interface).await.map_err(|refusal| fault(FaultCode::Denied, refusal.to_string(), None))
    }
}

impl Provider for Local {
    async fn init(&self, config: impl ProviderInitConfig) -> anyhow::Result<()> {
        let settings = ProviderSettings::parse(config.get_config())?;
        info!(?settings, "starting");
        er_provider_kit::metrics::serve(settings.metrics_addr, "local")
            .with_context(|| format!("serving metrics on {}", settings.metrics_addr))?;
        let options = Options {
            dir: settings.data_dir.join(EVENTS_DIR),
            retention: settings.retention,
            cache_bytes: settings.cache_bytes,
            clock: system_clock(),
        };
        let store = tokio::task::spawn_blocking(move || Store::open(options)).await??;
        watch(store.clone());
        // Opened by the first call.
        let dir = settings.data_dir.join(ANALYTICS_DIR);
        let engine = Embedded::new(settings.chdb_lib, dir, settings.chdb_memory_bytes);
        let analytics = Analytics::start(engine, er_analytics::Options::default());
        // Set once: the SDK initializes a provider once.
        let _ = self.store.set(store);
        let _ = self.analytics.set(analytics);
        Ok(())
    }

    /// The analytics say for themselves what they lack; the event store does not need them.
    async fn health_request(&self, _: &HealthCheckRequest) -> anyhow::Result<HealthCheckResponse> {
        let healthy = self.store().is_ok_and(Store::is_open);
        Ok(HealthCheckResponse { healthy, message: (!healthy).then(|| Error::Closed.to_string()) })
    }

    async fn shutdown(&self) -> anyhow::Result<()> {
        if let Ok(analytics) = self.analytics() {
            analytics.close().await;
            let engine = analytics.engine().clone();
            tokio::task::spawn_blocking(move || engine.close()).await?;
        }
        if let Ok(store) = self.store() {
            store.close().await;
            info!("the event store is closed");
        }
        er_provider_kit::trace::flush().await;
        Ok(())
    }
}

/// After a failed write or sync nobody knows what the disk holds, until the journal is read anew. The host starts a
/// provider again that ended.
fn watch(store: Store) {
    tokio::spawn(async move {
        store.ended().await;
        if store.has_failed() {
            error!("the event store failed; this process ends so that the host starts another that recovers");
            std::process::exit(1);
        }
    });
}
