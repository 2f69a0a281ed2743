//! Calls from a provider into a component, over the wRPC protocol on NATS.
//!
//! The client that the SDK carries (wrpc-transport-nats 0.29) registers a call and receives its answers in two
//! branches of an unbiased `select!`: under load an answer can be looked up before its call is known, and is
//! dropped. Here a call is in the table before its request is sent, so no answer can overtake it, and every
//! call has a deadline of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode, Subject};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::Instrument as _;

const PROTOCOL: &str = "wrpc.0.0.1";
/// What a request's subject and headers may take of the server's `max_payload`.
const ENVELOPE_BYTES: usize = 1024;

/// Why a call brought no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// Nobody in the lattice serves the function now: the component is not running. Nothing was executed.
    #[error("{target} is not running in the lattice")]
    NoResponders { target: String },
    /// No whole answer within the deadline. It may have been executed, or still be.
    #[error("{target} did not answer within {} ms", deadline.as_millis())]
    Timeout { target: String, deadline: Duration },
    /// The component was entered and left without an answer: it trapped or ran into a limit of its host.
    #[error("{target} trapped, or ran into a limit of its host")]
    Trapped { target: String },
    /// More than is taken of an answer; the rest of it was not waited for.
    #[error("{target} gave an answer of more than {} KiB", bytes_max / 1024)]
    TooLarge { target: String, bytes_max: usize },
    /// The lattice connection failed.
    #[error("the lattice can't be reached: {0}")]
    Lattice(String),
}

// === impl CallError ===

impl CallError {
    /// One word for what happened, as metrics have it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::NoResponders { .. } => "away",
            Self::Timeout { .. } => "timeout",
            Self::Trapped { .. } => "trap",
            Self::TooLarge { .. } => "too-large",
            Self::Lattice(_) => "lattice",
        }
    }
}

type Pending = Arc<Mutex<HashMap<u64, mpsc::UnboundedSender<Message>>>>;

/// Calls components in the name of one provider. Cheap to clone; one per process is enough, besides those that are
/// [`apart`](Caller::apart).
#[derive(Clone, Debug)]
pub struct Caller {
    nats: async_nats::Client,
    lattice: Arc<str>,
    source: Arc<str>,
    inbox: Arc<Mutex<Inbox>>,
    next: Arc<AtomicU64>,
    pending: Pending,
    /// Whether no other call waits for an answer while one does.
    apart: bool,
}

/// Where answers come to, as long as this lives.
#[derive(Debug)]
struct Inbox {
    subject: Arc<str>,
    reading: AbortHandle,
}

/// Takes the call out of the table however the call ends.
struct Registration<'a> {
    pending: &'a Pending,
    id: u64,
}

// === impl Caller ===

impl Caller {
    /// Subscribes to the inbox that all answers come to.
    ///
    /// # Errors
    /// [`CallError::Lattice`] when the subscription can't be made.
    pub async fn new(
        nats: async_nats::Client,
        lattice: impl Into<Arc<str>>,
        source: impl Into<Arc<str>>,
    ) -> Result<Self, CallError> {
        let pending = Pending::default();
        let inbox = Arc::new(Mutex::new(Inbox::open(&nats, &pending).await?));
        Ok(Self {
            nats,
            lattice: lattice.into(),
            source: source.into(),
            inbox,
            next: Arc::default(),
            pending,
            apart: false,
        })
    }

    /// One with an inbox of its own, over `nats`, a connection to the same lattice, for calls that follow one another. Where
    /// an answer is too large or too late the inbox is given up with the rest of it, so that the lattice does not carry that
    /// here: use it for components that are not trusted.
    ///
    /// # Errors
    /// [`CallError::Lattice`] when the subscription can't be made.
    pub async fn apart(&self, nats: async_nats::Client) -> Result<Self, CallError> {
        let apart = Self::new(nats, Arc::clone(&self.lattice), Arc::clone(&self.source)).await?;
        Ok(Self { apart: true, ..apart })
    }

    /// Calls `function` of `interface` (`namespace:package/name@version`) on the component `target` with
    /// encoded parameters, and returns the encoded result.
    ///
    /// # Errors
    /// See [`CallError`]; only [`CallError::NoResponders`] says that nothing was executed.
    pub async fn call(
        &self,
        target: &str,
        interface: &str,
        function: &str,
        params: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        self.call_within(target, interface, function, params, deadline, usize::MAX).await
    }

    /// As [`Self::call`]; of the answer no more than `bytes_max` bytes are taken.
    ///
    /// # Errors
    /// As [`Self::call`], and [`CallError::TooLarge`].
    pub async fn call_within(
        &self,
        target: &str,
        interface: &str,
        function: &str,
        params: Bytes,
        deadline: Duration,
        bytes_max: usize,
    ) -> Result<Bytes, CallError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tx, rx) = mpsc::unbounded_channel();
        self.pending.lock().insert(id, tx);
        let _registration = Registration { pending: &self.pending, id };
        let span = er_trace::child(|| {
            er_trace::span!(
                "call",
                otel.name = format!("call {function}"),
                otel.kind = "client",
                rpc.system = "wrpc",
                rpc.service = interface,
                rpc.method = function,
                target = target
            )
        });
        let traceparent = er_trace::header(&span);
        let exchange = self.exchange(target, interface, function, params, id, rx, bytes_max, traceparent);
        let answer = tokio::time::timeout(deadline, exchange.instrument(span.clone()))
            .await
            .unwrap_or_else(|_| Err(CallError::Timeout { target: target.to_string(), deadline }));
        if let Err(error) = &answer {
            er_trace::failed(&span, error.word());
        }
        if self.apart && matches!(answer, Err(CallError::TooLarge { .. } | CallError::Timeout { .. })) {
            if let Ok(inbox) = Inbox::open(&self.nats, &self.pending).await {
                *self.inbox.lock() = inbox;
            }
        }
        answer
    }

    #[allow(clippy::too_many_arguments, reason = "a call's own parts, in one place")]
    async fn exchange(
        &self,
        target: &str,
        interface: &str,
        function: &str,
        mut params: Bytes,
        id: u64,
        mut answers: mpsc::UnboundedReceiver<Message>,
        bytes_max: usize,
        traceparent: Option<String>,
    ) -> Result<Bytes, CallError> {
        let lattice = |e: &dyn std::fmt::Display| CallError::Lattice(e.to_string());
        let mut headers = HeaderMap::new();
        headers.insert("source-id", &*self.source);
        headers.insert("target-id", target);
        if let Some(traceparent) = traceparent {
            headers.insert(er_trace::TRACEPARENT, traceparent.as_str());
        }
        let reply = Subject::from(format!("{}.{id}", self.inbox.lock().subject));
        let subject = format!("{}.{target}.{PROTOCOL}.{interface}.{function}", self.lattice);
        let chunk = self.nats.server_info().max_payload.saturating_sub(ENVELOPE_BYTES).max(ENVELOPE_BYTES);
        let first = params.split_to(chunk.min(params.len()));
        self.nats
            .publish_with_reply_and_headers(subject, reply.clone(), headers, first)
            .await
            .map_err(|e| lattice(&e))?;

        let mut answer = BytesMut::new();
        let mut whole: Option<Bytes> = None;
        while let Some(message) = answers.recv().await {
            if message.subject == reply {
                match message.status {
                    Some(StatusCode::NO_RESPONDERS) => {
                        return Err(CallError::NoResponders { target: target.to_string() })
                    }
                    Some(status) if !status.is_success() => return Err(CallError::Lattice(format!("status {status}"))),
                    _ => {}
                }
                if !params.is_empty() {
                    let peer = message.reply.ok_or_else(|| CallError::Lattice("handshake without a reply".into()))?;
                    let subject = Subject::from(format!("{peer}.params"));
                    while !params.is_empty() {
                        let part = params.split_to(chunk.min(params.len()));
                        self.nats.publish(subject.clone(), part).await.map_err(|e| lattice(&e))?;
                    }
                    self.nats.publish(subject, Bytes::new()).await.map_err(|e| lattice(&e))?;
                }
                continue;
            }
            if message.payload.is_empty() {
                let answer = whole.unwrap_or_else(|| answer.freeze());
                return if answer.is_empty() {
                    Err(CallError::Trapped { target: target.to_string() })
                } else {
                    Ok(answer)
                };
            }
            let taken = answer.len() + whole.as_ref().map_or(0, Bytes::len);
            if taken + message.payload.len() > bytes_max {
                return Err(CallError::TooLarge { target: target.to_string(), bytes_max });
            }
            // Nearly every answer is one message: keep it as it came instead of copying it.
            match whole.take() {
                None if answer.is_empty() => whole = Some(message.payload),
                None => answer.extend_from_slice(&message.payload),
                Some(first) => {
                    answer.extend_from_slice(&first);
                    answer.extend_from_slice(&message.payload);
                }
            }
        }
        Err(CallError::Lattice("the connection was closed".into()))
    }
}

// === impl Inbox ===

impl Inbox {
    async fn open(nats: &async_nats::Client, pending: &Pending) -> Result<Self, CallError> {
        let subject: Arc<str> = nats.new_inbox().into();
        let mut answers =
            nats.subscribe(format!("{subject}.>")).await.map_err(|e| CallError::Lattice(e.to_string()))?;
        let table = Arc::clone(pending);
        let prefix = subject.len() + 1;
        let reading = tokio::spawn(async move {
            while let Some(message) = answers.next().await {
                let id = message
                    .subject
                    .get(prefix..)
                    .and_then(|rest| rest.split('.').next())
                    .and_then(|id| id.parse::<u64>().ok());
                let call = id.and_then(|id| table.lock().get(&id).cloned());
                if let Some(call) = call {
                    // A call that just gave up is not an error.
                    let _ = call.send(message);
                }
            }
        });
        Ok(Self { subject, reading: reading.abort_handle() })
    }
}

impl Drop for Inbox {
    /// The subscription goes with the task.
    fn drop(&mut self) {
        self.reading.abort();
    }
}

// === impl Registration ===

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.pending.lock().remove(&self.id);
    }
}
