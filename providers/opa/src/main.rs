//! The opa provider: policies in Rego, compiled to Wasm and decided in process; replaced live, logged, and failing
//! closed.

mod bindings;
mod fault;
mod policies;
mod policy;
mod provider;
mod settings;

const NAME: &str = "er-provider-opa";

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing(NAME)?;
    let provider = provider::Opa::default();
    er_provider_kit::run(provider, NAME, |client, provider| async move { bindings::serve(&client, provider).await })
        .await
}
