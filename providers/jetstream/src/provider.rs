//! The provider as the lattice sees it: configuration, links, health, shutdown.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::{self, kv::Store};
use er_provider_kit::{links, Caller};
use er_tenant::consumers::{State, CONSUMERS_BUCKET};
use er_tenant::rules::RULES_BUCKET;
use er_tenant::TENANTS_BUCKET;
use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};
use wasmcloud_provider_sdk::{
    get_connection, Context, HealthCheckRequest, HealthCheckResponse, LinkConfig, LinkDeleteInfo, Provider,
    ProviderInitConfig,
};

use crate::archive::Archive;
use crate::backlog;
use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::collector::Collector;
use crate::consumer::{self, Consumer};
use crate::fault::fault;
use crate::follow::Followed;
use crate::gate::{Decider, Gate};
use crate::lane::{Calls, Lane, Partial};
use crate::lines::Lines;
use crate::permits::Permits;
use crate::replay;
use crate::settings::{CollectorSettings, ConsumerSettings, EmitterSettings, EngineSettings, ProviderSettings};
use crate::shard::Shard;
use crate::streams;
use crate::strikes::Strikes;
use crate::tail::{Tails, Turn};
use crate::tenants::Tenants;
use crate::usage::UsageLog;

/// How long JetStream may take to confirm a message.
const PUBACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Feeds no component: no id in a lattice is like it.
const BACKLOG: &str = "*backlog";
const START_WAIT: Duration = Duration::from_millis(500);

/// The provider; a clone is a handle to the same one.
#[derive(Clone, Default)]
pub struct Jetstream {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    settings: OnceLock<ProviderSettings>,
    parts: OnceCell<Parts>,
    /// Workers by the component they feed.
    workers: Mutex<HashMap<String, Worker>>,
    emitters: Mutex<HashMap<String, EmitterSettings>>,
    /// What each consumer is working on.
    calls: Mutex<HashMap<String, Arc<Calls>>>,
    /// Messages of which some calls were made when delivery stopped, by the consumer's place and lane.
    begun: Mutex<HashMap<(String, Lane), Partial>>,
    decider: Decider,
    archive: Archive,
    tails: Tails,
    /// Set once what waits is looked at.
    backlog: OnceLock<()>,
    tasks: TaskTracker,
}

/// Feeds a component.
#[derive(Clone, Default)]
struct Worker {
    stop: CancellationToken,
    /// Its last call came to its end.
    ended: CancellationToken,
}

/// What is there once JetStream answered for the first time.
pub struct Parts {
    pub settings: ProviderSettings,
    pub nats: async_nats::Client,
    pub js: jetstream::Context,
    pub caller: Caller,
    lines: Lines,
    buckets: HashMap<&'static str, Store>,
    pub usage: UsageLog,
    pub archive: Archive,
    tenants: OnceCell<Tenants>,
    consumers: OnceCell<Followed<State>>,
}

// === impl Parts ===

impl Parts {
    async fn start(settings: ProviderSettings, archive: Archive) -> anyhow::Result<Self> {
        let connection = get_connection();
        let url = er_provider_kit::nats_url(settings.nats_url.as_deref())?;
        // Not the lattice's connection: a burst of payloads must not stand in the way of calls.
        let nats = async_nats::ConnectOptions::new()
            .name("er-provider-jetstream")
            .connect(&url)
            .await
            .with_context(|| format!("NATS at {url}"))?;
        let mut js = jetstream::new(nats.clone());
        js.set_timeout(PUBACK_TIMEOUT);
        streams::ensure(&js, &settings).await.context("creating the streams")?;
        let mut buckets = HashMap::new();
        for bucket in streams::BUCKETS {
            buckets.insert(bucket, js.get_key_value(bucket).await?);
        }
        let caller = Caller::new(
            (*connection.nats).clone(),
            Arc::clone(&connection.lattice),
            Arc::clone(&connection.provider_id),
        )
        .await?;
        let usage = UsageLog::start(js.clone());
        let (lines, tenants, consumers) = (Lines::open().await?, OnceCell::new(), OnceCell::new());
        let parts = Self { settings, nats, js, caller, lines, buckets, usage, archive, tenants, consumers };
        replay::resume(&parts)?;
        Ok(parts)
    }

    /// What the pipeline needs of each tenant's records; read, when this returns.
    pub async fn tenants(&self) -> anyhow::Result<&Tenants> {
        let (rules, tenants) = (self.bucket(RULES_BUCKET)?, self.bucket(TENANTS_BUCKET)?);
        let follow = || async {
            let (rules, terms) = tokio::join!(Followed::follow(rules), Followed::follow(tenants));
            Tenants { rules, terms }
        };
        Ok(self.tenants.get_or_init(follow).await)
    }

    /// Which consumers are held; read, when this returns.
    async fn consumers(&self) -> anyhow::Result<Followed<State>> {
        let bucket = self.bucket(CONSUMERS_BUCKET)?;
        Ok(self.consumers.get_or_init(|| Followed::follow(bucket)).await.clone())
    }

    /// One of [`streams::BUCKETS`].
    pub fn bucket(&self, name: &str) -> anyhow::Result<Store> {
        self.buckets.get(name).cloned().with_context(|| format!("no bucket {name}"))
    }
}

// === impl Jetstream ===

impl Jetstream {
    /// The connection to JetStream, made by whoever needs it first.
    pub async fn parts(&self) -> anyhow::Result<&Parts> {
        let settings = self.inner.settings.get().context("not initialized")?;
        self.inner.parts.get_or_try_init(|| Parts::start(settings.clone(), self.inner.archive.clone())).await
    }

    /// Takes part in the live tails that are read at once. An error says whose limit is reached.
    pub fn tail(&self, tenant: &str) -> Result<Turn<'_>, String> {
        let limits =
            self.inner.settings.get().map_or((0, 0), |settings| (settings.tails_tenant_max, settings.tails_max));
        self.inner.tails.begin(tenant, limits)
    }

    /// Whether the caller has a link to this interface.
    pub async fn check_link(&self, cx: Option<&Context>, interface: &str) -> Result<(), Fault> {
        links::check(cx, interface).await.map_err(|refusal| fault(FaultCode::Denied, refusal.to_string()))
    }

    /// The tenant of an emitting component, and its calls under way.
    pub fn emitter(&self, source: &str) -> Option<(String, Arc<Calls>)> {
        let tenant = self.inner.emitters.lock().get(source)?.tenant.clone();
        // A component that nothing is delivered to has no calls.
        let calls = self.inner.calls.lock().get(source).cloned().unwrap_or_default();
        Some((tenant, calls))
    }

    /// What was begun of a consumer's message when its delivery stopped.
    pub fn take_begun(&self, durable: &str, lane: Lane) -> Option<Partial> {
        self.inner.begun.lock().remove(&(durable.to_owned(), lane))
    }

    pub fn note_begun(&self, durable: &str, lane: Lane, partial: Partial) {
        self.inner.begun.lock().insert((durable.to_owned(), lane), partial);
    }

    fn worker<F, Fut>(&self, target: &str, start: F)
    where
        F: FnOnce(Jetstream, CancellationToken) -> Fut + Send + 'static,
        Fut: std::future::Future<Output = anyhow::Result<()>> + Send,
    {
        let worker = Worker::default();
        let old = {
            let mut workers = self.inner.workers.lock();
            workers.retain(|_, worker| !worker.ended.is_cancelled());
            workers.insert(target.to_string(), worker.clone())
        };
        if let Some(old) = &old {
            old.stop.cancel();
        }
        let provider = self.clone();
        let target = target.to_string();
        self.inner.tasks.spawn(async move {
            let Worker { stop, ended } = worker;
            let _ended = ended.drop_guard();
            // What it works on is not worked on beside it. Also where this one is stopped meanwhile: who comes next knows of no other.
            if let Some(old) = old {
                old.ended.cancelled().await;
            }
            // NATS may still be on its way up.
            while let Err(error) = provider.parts().await {
                warn!(target, error = format!("{error:#}"), "waiting for JetStream");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(START_WAIT) => {}
                }
            }
            if let Err(error) = start(provider, stop).await {
                warn!(target, error = format!("{error:#}"), "worker ended");
            }
        });
    }

    /// With the first link: before it there is no connection to the lattice.
    fn watch_backlog(&self) {
        if self.inner.backlog.set(()).is_err() {
            return;
        }
        self.worker(BACKLOG, |provider, stop| async move {
            let parts = provider.parts().await?;
            let (js, held) = (parts.js.clone(), parts.consumers().await?);
            let (every, tenants_max) = (parts.settings.backlog_every, parts.settings.metrics_tenants_max);
            backlog::watch(js, held, every, tenants_max, stop).await;
            Ok(())
        });
    }

    fn feed_engine(&self, target: &str, settings: EngineSettings) {
        let engine: Arc<str> = target.into();
        self.inner.archive.link(target, settings.timeout);
        self.worker(target, move |provider, stop| async move {
            let parts = provider.parts().await?;
            let tenants = parts.tenants().await?;
            let permits = Permits::default();
            futures::future::join_all((0..parts.settings.shards).map(|index| {
                Shard {
                    js: parts.js.clone(),
                    nats: parts.nats.clone(),
                    caller: parts.caller.clone(),
                    engine: Arc::clone(&engine),
                    timeout: settings.timeout,
                    tenants: tenants.clone(),
                    usage: parts.usage.clone(),
                    permits: permits.clone(),
                    index,
                }
                .run(stop.clone())
            }))
            .await;
            Ok(())
        });
    }

    fn feed_consumer(&self, target: &str, settings: ConsumerSettings) {
        let id: Arc<str> = target.into();
        let calls = Arc::clone(self.inner.calls.lock().entry(target.to_string()).or_default());
        self.worker(target, move |provider, stop| async move {
            let parts = provider.parts().await?;
            let (name, durable) = consumer::names(&id, &settings);
            let gate = Gate {
                decider: provider.inner.decider.clone(),
                caller: parts.caller.clone(),
                tenants: parts.tenants().await?.clone(),
                records: parts.bucket(TENANTS_BUCKET)?,
                tenant: settings.tenant.clone(),
                consumer: name.clone(),
                kept: Arc::default(),
            };
            let bucket = parts.bucket(CONSUMERS_BUCKET)?;
            let states = parts.consumers().await?;
            let line = parts.lines.next().context("no connection for consumers")?;
            let callers = [parts.caller.apart(line.clone()).await?, parts.caller.apart(line).await?];
            let strikes = Strikes::new(bucket, states, &settings.tenant, &name, parts.settings.strikes_max);
            Consumer {
                js: parts.js.clone(),
                nats: parts.nats.clone(),
                callers,
                id,
                name: name.into(),
                durable: durable.into(),
                settings: Arc::new(settings),
                calls,
                // It is not known yet what waits from before.
                retried: Arc::new(AtomicUsize::new(consumer::LOOK_AFTER)),
                usage: parts.usage.clone(),
                gate,
                strikes: Arc::new(strikes),
                provider: provider.clone(),
            }
            .run(stop)
            .await;
            Ok(())
        });
    }

    fn feed_billing(&self, target: &str, settings: CollectorSettings) {
        let billing: Arc<str> = target.into();
        self.worker(target, move |provider, stop| async move {
            let parts = provider.parts().await?;
            Collector { js: parts.js.clone(), caller: parts.caller.clone(), billing, settings }.run(stop).await;
            Ok(())
        });
    }
}

impl Provider for Jetstream {
    async fn init(&self, config: impl ProviderInitConfig) -> anyhow::Result<()> {
        let settings = ProviderSettings::parse(config.get_config())?;
        er_provider_kit::metrics::serve(settings.metrics_addr, "jetstream")
            .with_context(|| format!("serving metrics on {}", settings.metrics_addr))?;
        info!(?settings, "starting");
        // wadm puts no links from a provider to a provider.
        if let Some(target) = &settings.policy {
            self.inner.decider.link(target);
        }
        // Set once: the SDK initializes a provider once.
        let _ = self.inner.settings.set(settings);
        Ok(())
    }

    async fn receive_link_config_as_source(&self, link: LinkConfig<'_>) -> anyhow::Result<()> {
        self.watch_backlog();
        for interface in link.wit_metadata.2 {
            match interface.as_str() {
                "processor" => {
                    self.feed_engine(link.target_id, EngineSettings::parse(link.target_id, link.config)?);
                }
                "consumer" => {
                    self.feed_consumer(link.target_id, ConsumerSettings::parse(link.target_id, link.config)?);
                }
                "collector" => {
                    self.feed_billing(link.target_id, CollectorSettings::parse(link.target_id, link.config)?);
                }
                "policy" => self.inner.decider.link(link.target_id),
                other => anyhow::bail!(
                    "link to {}: this provider calls `processor`, `consumer`, `collector` and `policy`, not `{other}`",
                    link.target_id
                ),
            }
        }
        Ok(())
    }

    async fn receive_link_config_as_target(&self, link: LinkConfig<'_>) -> anyhow::Result<()> {
        if link.wit_metadata.2.iter().any(|interface| interface == "emitter") {
            let settings = EmitterSettings::parse(link.source_id, link.config)?;
            self.inner.emitters.lock().insert(link.source_id.to_string(), settings);
        }
        Ok(())
    }

    async fn delete_link_as_source(&self, link: impl LinkDeleteInfo) -> anyhow::Result<()> {
        // It stays until it ended: who comes next waits for that.
        if let Some(worker) = self.inner.workers.lock().get(link.get_target_id()) {
            worker.stop.cancel();
        }
        self.inner.calls.lock().remove(link.get_target_id());
        self.inner.decider.unlink(link.get_target_id());
        self.inner.archive.unlink(link.get_target_id());
        Ok(())
    }

    async fn delete_link_as_target(&self, link: impl LinkDeleteInfo) -> anyhow::Result<()> {
        self.inner.emitters.lock().remove(link.get_source_id());
        Ok(())
    }

    async fn health_request(&self, _: &HealthCheckRequest) -> anyhow::Result<HealthCheckResponse> {
        let health = match self.parts().await {
            Ok(parts) => {
                let state = parts.nats.connection_state();
                let connected = state == async_nats::connection::State::Connected;
                // Only where somebody is to be delivered to.
                let trouble = self.inner.decider.trouble().filter(|_| !self.inner.calls.lock().is_empty());
                HealthCheckResponse {
                    healthy: connected && trouble.is_none(),
                    message: Some(match trouble {
                        None => format!("NATS is {state}"),
                        Some(why) => format!("NATS is {state}; nothing is delivered: {why}"),
                    }),
                }
            }
            Err(error) => HealthCheckResponse { healthy: false, message: Some(format!("{error:#}")) },
        };
        Ok(health)
    }

    async fn shutdown(&self) -> anyhow::Result<()> {
        for worker in self.inner.workers.lock().values() {
            worker.stop.cancel();
        }
        self.inner.tasks.close();
        // The workers finish the batch they are at; the host kills what takes longer.
        if tokio::time::timeout(Duration::from_secs(8), self.inner.tasks.wait()).await.is_err() {
            warn!(left = self.inner.tasks.len(), "workers did not finish in time");
        }
        er_provider_kit::trace::flush().await;
        Ok(())
    }
}
