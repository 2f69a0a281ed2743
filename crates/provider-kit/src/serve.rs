//! The serve loop: bounded, joined, drained.
//!
//! The SDK's `serve_provider_exports` spawns a task per call into a set that nobody joins: memory grows with
//! every call, and shutdown aborts work. This one takes no more calls than it has room for, joins each, and
//! lets the ones under way finish when the host says stop. Each runs inside a span of the trace that its caller is part
//! of.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{info, warn, Instrument as _, Span};
use wasmcloud_provider_sdk::provider::{InvocationStreams, WrpcClient};
use wasmcloud_provider_sdk::Context;
use wrpc_transport::Serve;

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

/// What the calls of one function come by: the span of the call that was received last.
///
/// A call's headers are seen where it is received, and the future that answers it is made by generated code, which does
/// not take a span along. But of one function it makes one future after the other, and each before it receives the
/// next call: so the span is here when its future comes.
type Slot = Arc<Mutex<Span>>;

/// The client that exports are served with.
#[derive(Clone)]
pub struct Calls {
    client: WrpcClient,
    slots: Arc<Mutex<HashMap<(String, String), Slot>>>,
}

// === impl Calls ===

impl Calls {
    pub(crate) fn new(client: WrpcClient) -> Self {
        Self { client, slots: Arc::default() }
    }

    fn slot(&self, instance: &str, name: &str) -> Slot {
        let function = (instance.to_owned(), name.to_owned());
        Arc::clone(self.slots.lock().entry(function).or_insert_with(|| Arc::new(Mutex::new(Span::none()))))
    }
}

impl Serve for Calls {
    type Context = Option<Context>;
    type Outgoing = <WrpcClient as Serve>::Outgoing;
    type Incoming = <WrpcClient as Serve>::Incoming;

    async fn serve(
        &self,
        instance: &str,
        func: &str,
        paths: impl Into<Arc<[Box<[Option<usize>]>]>> + Send,
    ) -> anyhow::Result<
        impl Stream<Item = anyhow::Result<(Self::Context, Self::Outgoing, Self::Incoming)>> + Send + 'static,
    > {
        let calls = self.client.serve(instance, func, paths).await?;
        let slot = self.slot(instance, func);
        let (instance, func) = (instance.to_owned(), func.to_owned());
        Ok(calls.inspect_ok(move |(cx, _, _)| *slot.lock() = span(cx.as_ref(), &instance, &func)))
    }
}

/// Of a call, where its caller is part of a trace.
fn span(cx: Option<&Context>, instance: &str, function: &str) -> Span {
    let caller = cx.and_then(|cx| er_trace::parse(cx.tracing.get(er_trace::TRACEPARENT)?));
    er_trace::follow(caller, || {
        er_trace::span!(
            "serve",
            otel.name = format!("serve {function}"),
            otel.kind = "server",
            rpc.system = "wrpc",
            rpc.service = instance,
            rpc.method = function
        )
    })
}

/// Serves `invocations` until `shutdown`, then drains. `served`: what they were made with.
pub async fn exports(
    invocations: InvocationStreams,
    served: &Calls,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let mut invocations = stream::select_all(invocations.into_iter().map(|(instance, name, calls)| {
        let slot = served.slot(instance, name);
        calls.map(move |call| (instance, name, std::mem::replace(&mut *slot.lock(), Span::none()), call))
    }));
    let permits = Arc::new(Semaphore::new(limits.calls));
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            // The next call is taken from the lattice only when there is room to run it.
            Some((permit, (instance, name, span, call))) = async {
                let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
                Some((permit, invocations.next().await?))
            } => match call {
                Ok(call) => {
                    tasks.spawn(async move {
                        let _permit = permit;
                        if let Err(error) = call.instrument(span.clone()).await {
                            er_trace::failed(&span, "broken");
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
