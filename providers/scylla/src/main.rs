//! The Scylla provider: the event store on ScyllaDB, or on Apache Cassandra. Only the link differs from the embedded
//! one.

mod bindings;
mod event_store;
mod fault;
mod provider;
mod settings;

const NAME: &str = "er-provider-scylla";

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing(NAME)?;
    let provider = provider::Scylla::default();
    er_provider_kit::run(provider, NAME, |client, provider| async move { bindings::serve(&client, provider).await })
        .await
}
