//! The ClickHouse provider as a process.

use er_provider_clickhouse::{serve, Provider};

const NAME: &str = "er-provider-clickhouse";

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing(NAME)?;
    er_provider_kit::run(Provider::default(), NAME, |client, provider| async move { serve(&client, provider).await })
        .await
}
