//! The ClickHouse provider as a process.

use er_provider_clickhouse::{serve, Provider};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing();
    er_provider_kit::run(Provider::default(), "er-provider-clickhouse", |client, provider| async move {
        serve(&client, provider).await
    })
    .await
}
