//! The control provider: tenants' consumers, from an upload to what runs.

mod bindings;
mod consumers;
mod provider;
mod settings;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing();
    let provider = provider::Control::default();
    er_provider_kit::run(provider, "er-provider-control", |client, provider| async move {
        bindings::serve(&client, provider).await
    })
    .await
}
