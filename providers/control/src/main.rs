//! The control provider: tenants' consumers, from an upload to what runs.

mod bindings;
mod consumers;
mod provider;
mod settings;

const NAME: &str = "er-provider-control";

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing(NAME)?;
    let provider = provider::Control::default();
    er_provider_kit::run(provider, NAME, |client, provider| async move { bindings::serve(&client, provider).await })
        .await
}
