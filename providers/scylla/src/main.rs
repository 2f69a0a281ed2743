//! The Scylla provider: the event store on ScyllaDB, or on Apache Cassandra. Only the link differs from the embedded
//! one.

mod bindings;
mod event_store;
mod fault;
mod provider;
mod settings;

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing();
    let provider = provider::Scylla::default();
    er_provider_kit::run(provider, "er-provider-scylla", |client, provider| async move {
        bindings::serve(&client, provider).await
    })
    .await
}
