//! The local provider: the event store and the analytics embedded in one process, for a machine without Scylla and
//! ClickHouse. Only the links differ from production.

mod analytics;
mod bindings;
mod event_store;
mod fault;
mod provider;
mod settings;

const NAME: &str = "er-provider-local";

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing(NAME)?;
    let provider = provider::Local::default();
    er_provider_kit::run(provider, NAME, |client, provider| async move { bindings::serve(&client, provider).await })
        .await
}
