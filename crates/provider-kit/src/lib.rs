//! What every EventRunner provider shares: settings, calls into components, the serve loop, metrics.

pub mod call;
pub mod codec;
pub mod links;
pub mod metrics;
pub mod serve;
pub mod settings;

pub use call::{CallError, Caller};
pub use settings::Settings;

/// Runs a provider until its host stops it: links and configuration through the SDK, exports through
/// [`serve::exports`], which drains what is under way before it returns.
///
/// # Errors
/// When the provider can't reach the lattice, or its `init` refuses the configuration.
pub async fn run<P, F, Fut>(provider: P, name: &str, serve: F) -> anyhow::Result<()>
where
    P: wasmcloud_provider_sdk::Provider + Clone + Send + Sync + 'static,
    F: FnOnce(wasmcloud_provider_sdk::provider::WrpcClient, P) -> Fut,
    Fut: std::future::Future<Output = anyhow::Result<wasmcloud_provider_sdk::provider::InvocationStreams>>,
{
    let shutdown = wasmcloud_provider_sdk::run_provider(provider.clone(), name).await?;
    let connection = wasmcloud_provider_sdk::get_connection();
    tokio::spawn(links::watch(provider.clone(), connection));
    let client = connection.get_wrpc_client(connection.provider_key()).await?;
    let invocations = serve(client, provider).await?;
    serve::exports(invocations, serve::Limits::default(), shutdown).await;
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

/// Logs to standard error, which the host passes on. The host clears a provider's environment, so that `RUST_LOG`
/// only works where a provider is run by hand; else it is `info`.
pub fn init_tracing() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,async_nats=warn"));
    // A second initialization (a test in the same process) is harmless.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).try_init();
}
