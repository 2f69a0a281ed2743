//! The provider as the lattice sees it: configuration, the link to the ingest component, shutdown.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use er_provider_kit::Caller;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use wasmcloud_provider_sdk::{get_connection, LinkConfig, LinkDeleteInfo, Provider, ProviderInitConfig};

use crate::admission::Admission;
use crate::edge::Edge;
use crate::grpc::Health;
use crate::settings::IngestSettings;
use crate::{grpc, http, listen};

/// The provider; a clone is a handle to the same one.
#[derive(Clone, Default)]
pub struct Ingest {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    started: OnceLock<(IngestSettings, Arc<Edge>, Health)>,
    caller: tokio::sync::OnceCell<Caller>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Provider for Ingest {
    async fn init(&self, config: impl ProviderInitConfig) -> anyhow::Result<()> {
        let settings = IngestSettings::parse(config.get_config())?;
        er_provider_kit::metrics::serve(settings.metrics_addr, "ingest")
            .with_context(|| format!("serving metrics on {}", settings.metrics_addr))?;
        let listener = TcpListener::bind(settings.addr)
            .await
            .with_context(|| format!("serving events on {} (setting `addr`)", settings.addr))?;
        let grpc_listener = TcpListener::bind(settings.grpc_addr)
            .await
            .with_context(|| format!("serving gRPC on {} (setting `grpc_addr`)", settings.grpc_addr))?;
        info!(?settings, "starting");
        let edge = Arc::new(Edge::new(settings.clone()));
        let (grpc_app, health) = grpc::app(Arc::clone(&edge), self.inner.stop.clone()).await?;
        let (stop, max) = (&self.inner.stop, settings.connections_max);
        let tasks = &self.inner.tasks;
        tasks.spawn(listen::serve(listener, http::app(Arc::clone(&edge)), http::server(), max, stop.clone()));
        tasks.spawn(listen::serve(grpc_listener, grpc_app, grpc::server(), max, stop.clone()));
        // Set once: the SDK initializes a provider once.
        let _ = self.inner.started.set((settings, edge, health));
        Ok(())
    }

    async fn receive_link_config_as_source(&self, link: LinkConfig<'_>) -> anyhow::Result<()> {
        let (settings, edge, health) = self.inner.started.get().context("not initialized")?;
        anyhow::ensure!(
            link.wit_metadata.2.iter().any(|interface| interface == "admission"),
            "link to {}: this provider calls `admission`, not {:?}",
            link.target_id,
            link.wit_metadata.2
        );
        let connection = get_connection();
        let caller = self
            .inner
            .caller
            .get_or_try_init(|| {
                Caller::new(
                    (*connection.nats).clone(),
                    Arc::clone(&connection.lattice),
                    Arc::clone(&connection.provider_id),
                )
            })
            .await?;
        edge.set_admission(Some(Admission {
            caller: caller.clone(),
            component: link.target_id.into(),
            timeout: settings.admit_timeout,
        }));
        health.serving(true).await;
        info!(component = link.target_id, "admitting");
        Ok(())
    }

    async fn delete_link_as_source(&self, _: impl LinkDeleteInfo) -> anyhow::Result<()> {
        if let Some((_, edge, health)) = self.inner.started.get() {
            health.serving(false).await;
            edge.set_admission(None);
        }
        Ok(())
    }

    async fn shutdown(&self) -> anyhow::Result<()> {
        if let Some((_, _, health)) = self.inner.started.get() {
            health.clone().end().await;
        }
        self.inner.stop.cancel();
        self.inner.tasks.close();
        let drained = async {
            self.inner.tasks.wait().await;
            if let Some((_, edge, _)) = self.inner.started.get() {
                edge.drain().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(8), drained).await.is_err() {
            warn!("requests under way did not finish in time");
        }
        er_provider_kit::trace::flush().await;
        Ok(())
    }
}
