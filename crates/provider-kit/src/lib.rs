//! What every EventRunner provider shares: settings, calls into components, the serve loop, metrics, traces.

pub mod call;
pub mod codec;
pub mod links;
pub mod metrics;
pub mod serve;
pub mod settings;

pub use call::{CallError, Caller};
pub use er_trace as trace;
pub use settings::Settings;

/// Runs a provider until its host stops it: links and configuration through the SDK, exports through
/// [`serve::exports`], which drains what is under way before it returns.
///
/// # Errors
/// When the provider can't reach the lattice, or its `init` refuses the configuration.
pub async fn run<P, F, Fut>(provider: P, name: &str, serve: F) -> anyhow::Result<()>
where
    P: wasmcloud_provider_sdk::Provider + Clone + Send + Sync + 'static,
    F: FnOnce(serve::Calls, P) -> Fut,
    Fut: std::future::Future<Output = anyhow::Result<wasmcloud_provider_sdk::provider::InvocationStreams>>,
{
    let shutdown = wasmcloud_provider_sdk::run_provider(provider.clone(), name).await?;
    let connection = wasmcloud_provider_sdk::get_connection();
    tokio::spawn(links::watch(provider.clone(), connection));
    let calls = serve::Calls::new(connection.get_wrpc_client(connection.provider_key()).await?);
    let invocations = serve(calls.clone(), provider).await?;
    serve::exports(invocations, &calls, serve::Limits::default(), shutdown).await;
    Ok(())
}

/// As [`run`], for a provider that exports nothing.
///
/// # Errors
/// As [`run`].
pub async fn run_without_exports<P>(provider: P, name: &str) -> anyhow::Result<()>
where
    P: wasmcloud_provider_sdk::Provider + Clone + Send + Sync + 'static,
{
    let shutdown = wasmcloud_provider_sdk::run_provider(provider.clone(), name).await?;
    tokio::spawn(links::watch(provider, wasmcloud_provider_sdk::get_connection()));
    shutdown.await;
    Ok(())
}

/// Where JetStream is: at the address that is set, else in the lattice's own NATS.
///
/// # Errors
/// When none is set, and the host names none.
pub fn nats_url(set: Option<&str>) -> anyhow::Result<String> {
    if let Some(url) = set {
        return Ok(url.to_owned());
    }
    let url = &wasmcloud_provider_sdk::load_host_data()?.lattice_rpc_url;
    anyhow::ensure!(!url.is_empty(), "`nats_url` is not set, and the host named no NATS address");
    Ok(url.clone())
}

/// Logs to standard error, which the host passes on, and traces where the host has them. The host clears a provider's
/// environment, but for `RUST_LOG` and what begins with `OTEL_`.
///
/// # Errors
/// What is wrong with that.
pub fn init_tracing(name: &'static str) -> anyhow::Result<()> {
    // Nothing of others: our own spans say all that a provider does.
    trace::init(name, None)
}
