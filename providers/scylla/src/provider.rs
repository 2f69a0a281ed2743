//! The provider as the lattice sees it: configuration, links, health, shutdown.

use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use er_provider_kit::links;
use er_provider_scylla::store::{Error, Store};
use tracing::info;
use wasmcloud_provider_sdk::{Context, HealthCheckRequest, HealthCheckResponse, Provider, ProviderInitConfig};

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::fault::fault;
use crate::settings::ProviderSettings;

/// The provider; a clone is a handle to the same one.
#[derive(Clone, Default)]
pub struct Scylla {
    store: Arc<OnceLock<Store>>,
}

// === impl Scylla ===

impl Scylla {
    pub fn store(&self) -> Result<&Store, Error> {
        self.store.get().ok_or(Error::Closed)
    }

    /// Whether the caller has a link to this interface.
    pub async fn check_link(&self, cx: Option<&Context>, interface: &str) -> Result<(), Fault> {
        links::check(cx, interface).await.map_err(|refusal| fault(FaultCode::Denied, refusal.to_string(), None))
    }
}

impl Provider for Scylla {
    /// Does not wait for the cluster: while it is away, calls are told so.
    async fn init(&self, config: impl ProviderInitConfig) -> anyhow::Result<()> {
        let settings = ProviderSettings::parse(config.get_config())?;
        info!(?settings, "starting");
        er_provider_kit::metrics::serve(settings.metrics_addr, "scylla")
            .with_context(|| format!("serving metrics on {}", settings.metrics_addr))?;
        // Set once: the SDK initializes a provider once.
        let _ = self.store.set(Store::open(settings.store));
        Ok(())
    }

    async fn health_request(&self, _: &HealthCheckRequest) -> anyhow::Result<HealthCheckResponse> {
        let state = match self.store() {
            Ok(store) => store.check().await,
            Err(error) => Err(error),
        };
        Ok(HealthCheckResponse { healthy: state.is_ok(), message: state.err().map(|error| error.to_string()) })
    }

    async fn shutdown(&self) -> anyhow::Result<()> {
        if let Ok(store) = self.store() {
            store.close();
            info!("the event store is closed");
        }
        er_provider_kit::trace::flush().await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use wasmcloud_provider_sdk::core::secrets::SecretValue;

    use super::*;

    struct Config {
        settings: HashMap<String, String>,
        secrets: HashMap<String, SecretValue>,
    }

    impl ProviderInitConfig for Config {
        fn get_provider_id(&self) -> &str {
            "scylla"
        }

        fn get_config(&self) -> &HashMap<String, String> {
            &self.settings
        }

        fn get_secrets(&self) -> &HashMap<String, SecretValue> {
            &self.secrets
        }
    }

    fn config(pairs: &[(&str, &str)]) -> Config {
        let settings = pairs.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
        Config { settings, secrets: HashMap::new() }
    }

    #[tokio::test]
    async fn it_starts_and_says_what_is_wrong_while_the_cluster_is_away() {
        let provider = Scylla::default();
        // Port 1: nothing listens there.
        let config = config(&[("nodes", "127.0.0.1:1"), ("metrics_addr", "127.0.0.1:0")]);
        tokio::time::timeout(Duration::from_secs(5), provider.init(config)).await.unwrap().unwrap();
        let health = provider.health_request(&HealthCheckRequest {}).await.unwrap();
        assert!(!health.healthy && health.message.unwrap().contains("can't be reached"));
        let refused = provider.store().unwrap().get("acme", "/s", "1").await.unwrap_err();
        let fault = Fault::from(refused);
        assert!(matches!(fault.code, FaultCode::Unavailable) && fault.retry_after_ms.is_some(), "{fault:?}");
        provider.shutdown().await.unwrap();
        assert_eq!(provider.store().unwrap().get("acme", "/s", "1").await, Err(Error::Closed));
    }

    #[tokio::test]
    async fn a_wrong_setting_is_refused_at_the_start() {
        let error = Scylla::default().init(config(&[("node", "127.0.0.1:9042")])).await.unwrap_err();
        assert!(error.to_string().contains("`nodes` is missing"), "{error}");
    }
}
