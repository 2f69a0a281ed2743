//! The jetstream provider: streams, publish with PubAck, pull, acknowledgement, redelivery with backoff, dead
//! letters, tenant delivery and key-value buckets. It looks inside an event no more than routing needs.

mod ack;
mod archive;
mod backlog;
mod batch;
mod bindings;
mod collector;
mod components;
mod consumer;
mod dead;
mod delivery;
mod emitter;
mod fault;
mod follow;
mod gate;
mod hosts;
mod kv;
mod lane;
mod lines;
mod meter;
mod payload;
mod permits;
mod provider;
mod publish;
mod pull;
mod queues;
mod raw_log;
mod redelivery;
mod replay;
mod retry;
mod settings;
mod shard;
mod streams;
mod strikes;
mod tail;
mod tenants;
mod usage;
mod usage_log;

const NAME: &str = "er-provider-jetstream";

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    er_provider_kit::init_tracing(NAME)?;
    let provider = provider::Jetstream::default();
    er_provider_kit::run(provider, NAME, |client, provider| async move { bindings::serve(&client, provider).await })
        .await
}
