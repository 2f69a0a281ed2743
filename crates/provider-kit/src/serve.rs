//! The serve loop: bounded, joined, drained.
//!
//! The SDK's `serve_provider_exports` spawns a task per call into a set that nobody joins: memory grows with
//! every call, and shutdown aborts work. This one takes no more calls than it has room for, joins each, and
//! lets the ones under way finish when the host says stop.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{info, warn};
use wasmcloud_provider_sdk::provider::InvocationStreams;

/// How much a provider takes at once, and how long it drains.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls under way; further ones wait in the lattice.
    pub calls: usize,
    /// How long calls under way may still take after the host said stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { calls: 256, drain: Duration::from_secs(8) }
    }
}

/// Serves `invocations` until `shutdown`, then drains.
pub async fn exports(invocations: InvocationStreams, limits: Limits, shutdown: impl Future<Output = ()>) {
    let mut invocations = stream::select_all(
        invocations.into_iter().map(|(instance, name, calls)| calls.map(move |call| (instance, name, call))),
    );
    let permits = Arc::new(Semaphore::new(limits.calls));
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            // The next call is taken from the lattice only when there is room to run it.
            Some((permit, (instance, name, call))) = async {
                let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
                Some((permit, invocations.next().await?))
            } => match call {
                Ok(call) => {
                    tasks.spawn(async move {
                        let _permit = permit;
                        if let Err(error) = call.await {
                            warn!(instance, name, error = format!("{error:#}"), "call failed");
                        }
                    });
                }
                Err(error) => warn!(instance, name, error = format!("{error:#}"), "call refused"),
            },
        }
    }
    let under_way = tasks.len();
    let drained = tokio::time::timeout(limits.drain, async { while tasks.join_next().await.is_some() {} }).await;
    match drained {
        Ok(()) => info!(under_way, "drained"),
        Err(_) => warn!(left = tasks.len(), "gave up draining"),
    }
}
