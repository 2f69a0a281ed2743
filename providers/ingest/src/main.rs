//! The ingest provider: the edge that events come in at. Authentication, caps, quotas and shedding; requests are
//! grouped into batches for the ingest component, and answered only with its receipts.

mod admission;
mod auth;
mod batcher;
mod edge;
mod grpc;
mod http;
mod listen;
mod provider;
mod quota;
mod refusals;
mod settings;

const NAME: &str = "er-provider-ingest";

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing(NAME)?;
    let provider = provider::Ingest::default();
    er_provider_kit::run_without_exports(provider, NAME).await
}
