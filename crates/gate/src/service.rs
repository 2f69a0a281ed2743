//! The way of a request: from the public subject to the private one, or back to who sent it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures::StreamExt as _;
use metrics::counter;
use tokio::sync::Semaphore;
use tracing::{info, warn};
use wadm_types::api::DeployModelRequest;

use crate::answer;
use crate::control::{Change, Operation};
use crate::image::Images;
use crate::judge::{Judge, Verdict};
use crate::lattice::{Lattice, ANSWERS_WITHIN, READS_WITHIN};
use crate::manifest::{self, Application};
use crate::starts::Request;

/// Gates of one lattice share the work.
const QUEUE: &str = "er-gate";
/// Requests under way at once; more wait.
const UNDER_WAY_MAX: usize = 128;
/// As wadm reads it.
const CONTENT_TYPE: &str = "Content-Type";

/// One gate of one lattice; a clone is a handle to the same.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    lattice: Lattice,
    judge: Judge,
    images: Images,
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Control,
    Wadm,
    Starts,
}

/// What becomes of a manifest.
enum Fate {
    /// It is handed over as this.
    Passed(Option<HeaderMap>, Bytes),
    /// The sender is answered this.
    Answered(Bytes),
}

// === impl Gate ===

impl Gate {
    #[must_use]
    pub fn new(lattice: Lattice, judge: Judge) -> Self {
        Self(Arc::new(Inner { lattice, judge, images: Images::default() }))
    }

    /// Serves until NATS closes the connection for good. `subscribed` is called once nothing gets past it.
    ///
    /// # Errors
    /// When it can't subscribe.
    pub async fn serve(self, subscribed: impl FnOnce()) -> anyhow::Result<()> {
        let Lattice { nats, subjects, .. } = &self.0.lattice;
        let mut sides = Vec::new();
        for (side, subject) in [
            (Side::Control, format!("{}.>", subjects.control(&subjects.public_control))),
            (Side::Wadm, format!("{}.>", subjects.wadm(&subjects.public_wadm))),
            (Side::Starts, subjects.policy_topic.clone()),
        ] {
            let messages = nats
                .queue_subscribe(subject.clone(), QUEUE.to_owned())
                .await
                .with_context(|| format!("listening on {subject}"))?;
            sides.push(messages.map(move |message| (side, message)).boxed());
        }
        // The server has them, or it would not answer.
        nats.flush().await.context("NATS does not answer")?;
        subscribed();
        let room = Arc::new(Semaphore::new(UNDER_WAY_MAX));
        let mut messages = futures::stream::select_all(sides);
        while let Some((side, message)) = messages.next().await {
            let permit = Arc::clone(&room).acquire_owned().await?;
            let gate = self.clone();
            tokio::spawn(async move {
                let subject = message.subject.clone();
                let outcome = match side {
                    Side::Control => gate.0.control(message).await,
                    Side::Wadm => gate.0.wadm(message).await,
                    Side::Starts => gate.0.start(message).await,
                };
                if let Err(error) = outcome {
                    warn!(%subject, error = format!("{error:#}"), "a request is lost");
                }
                drop(permit);
            });
        }
        anyhow::bail!("NATS closed the connection")
    }
}

// === impl Inner ===

impl Inner {
    async fn control(&self, message: Message) -> anyhow::Result<()> {
        let subjects = &self.lattice.subjects;
        let subject = message.subject.to_string();
        let rest = behind(&subject, &subjects.control(&subjects.public_control));
        let private = format!("{}.{rest}", subjects.control(&subjects.private_control));
        let operation = Operation::parse(rest);
        match operation {
            Operation::Gate => {
                let (healthy, says) = self.judge.desk().health();
                let state = serde_json::json!({"success": true, "message": says, "response": {"healthy": healthy}});
                return self.answer(&message, None, state.to_string().into()).await;
            }
            Operation::Read | Operation::ReadAll => {}
            Operation::Unknown => {
                let verdict = Verdict::refused(rest, "it is no operation that anybody knows");
                return self.refuse(&message, &verdict, answer::control).await;
            }
            _ => {
                let verdict = match Change::gather(rest, &message.payload, &self.lattice, &self.images).await {
                    Ok(change) => self.judge.decide("control", |names| change.questions(names)).await,
                    Err(why) => Verdict::refused(rest, why),
                };
                if !verdict.allows() {
                    return self.refuse(&message, &verdict, answer::control).await;
                }
            }
        }
        if operation.is_for_all() {
            return self.lattice.scatter(private, message).await;
        }
        let within = if operation == Operation::Read { READS_WITHIN } else { ANSWERS_WITHIN };
        let (headers, payload) = (message.headers.clone(), message.payload.clone());
        self.hand_over(&private, within, &message, headers, payload, answer::control).await
    }

    async fn wadm(&self, message: Message) -> anyhow::Result<()> {
        let subjects = &self.lattice.subjects;
        let subject = message.subject.to_string();
        let rest = behind(&subject, &subjects.wadm(&subjects.public_wadm));
        let private = format!("{}.{rest}", subjects.wadm(&subjects.private_wadm));
        let tokens: Vec<&str> = rest.split('.').collect();
        let (headers, payload) = match *tokens.as_slice() {
            ["model", "put"] => match self.put(&message).await {
                Fate::Passed(headers, payload) => (headers, payload),
                Fate::Answered(answer) => return self.answer(&message, None, answer).await,
            },
            ["model", "deploy", app] => match self.deploy(&message, app).await {
                Fate::Passed(headers, payload) => (headers, payload),
                Fate::Answered(answer) => return self.answer(&message, None, answer).await,
            },
            ["model", "get" | "list"]
            | ["model", "get" | "del" | "versions" | "undeploy" | "status" | "history", _] => {
                (message.headers.clone(), message.payload.clone())
            }
            _ => {
                let verdict = Verdict::refused(rest, "it is no operation that anybody knows");
                return self.refuse(&message, &verdict, answer::wadm).await;
            }
        };
        self.hand_over(&private, ANSWERS_WITHIN, &message, headers, payload, answer::wadm).await
    }

    /// Decides a manifest. What was decided is what goes on: as it was read here, not as somebody else might read it.
    async fn put(&self, message: &Message) -> Fate {
        let content_type = message.headers.as_ref().and_then(|headers| headers.get(CONTENT_TYPE));
        let manifest = match manifest::parse(&message.payload, content_type.map(|value| value.as_str())) {
            Ok(manifest) => manifest,
            Err(why) => return Fate::Answered(answer::put(&format!("the manifest can't be read: {why}"))),
        };
        let application = Application::gather(&manifest, &self.images).await;
        let verdict = self.judge.decide("wadm", |names| application.questions(names)).await;
        if !verdict.allows() {
            return Fate::Answered(answer::put(&self.told(&message.subject, &verdict)));
        }
        match serde_json::to_vec(&manifest) {
            Ok(payload) => {
                let mut headers = message.headers.clone().unwrap_or_default();
                headers.insert(CONTENT_TYPE, "application/json");
                Fate::Passed(Some(headers), payload.into())
            }
            Err(error) => Fate::Answered(answer::put(&format!("the manifest can't be handed over: {error}"))),
        }
    }

    /// Decides what wadm keeps, which may have been put when another policy counted, and lets it deploy just that.
    async fn deploy(&self, message: &Message, app: &str) -> Fate {
        let refused = |why: String| Fate::Answered(answer::deploy(app, &why));
        let wanted: DeployModelRequest = match message.payload.as_ref() {
            b"" => DeployModelRequest { version: None },
            text => match serde_json::from_slice(text) {
                Ok(wanted) => wanted,
                Err(error) => return refused(format!("the request can't be read: {error}")),
            },
        };
        let latest = |version: &String| version.is_empty() || version == wadm_types::LATEST_VERSION;
        let version = wanted.version.filter(|version| !latest(version));
        let manifest = match self.lattice.stored(app, version).await {
            Ok(stored) => match stored.manifest {
                Some(manifest) => manifest,
                // wadm knows best how to say so.
                None => return Fate::Passed(message.headers.clone(), message.payload.clone()),
            },
            Err(error) => return refused(format!("what wadm keeps of {app} can't be read: {error:#}")),
        };
        let application = Application::gather(&manifest, &self.images).await;
        let verdict = self.judge.decide("wadm", |names| application.questions(names)).await;
        if !verdict.allows() {
            return refused(self.told(&message.subject, &verdict));
        }
        let request = DeployModelRequest { version: Some(manifest.version().to_owned()) };
        match serde_json::to_vec(&request) {
            Ok(payload) => Fate::Passed(message.headers.clone(), payload.into()),
            Err(error) => refused(format!("the request can't be handed over: {error}")),
        }
    }

    async fn start(&self, message: Message) -> anyhow::Result<()> {
        let request: Request = serde_json::from_slice(&message.payload).context("a host's question can't be read")?;
        let verdict = request.decide(&self.judge, &self.images).await;
        if !verdict.allows() {
            self.told(&request.kind, &verdict);
        }
        self.answer(&message, None, request.answer(&verdict)).await
    }

    // === on and back ===

    async fn hand_over(
        &self,
        private: &str,
        within: Duration,
        message: &Message,
        headers: Option<HeaderMap>,
        payload: Bytes,
        fault: fn(&str) -> Bytes,
    ) -> anyhow::Result<()> {
        match self.lattice.request(within, private, headers, payload).await {
            Ok(Message { headers, payload, .. }) => self.answer(message, headers, payload).await,
            Err(gone) => {
                warn!(subject = %message.subject, error = %gone, "allowed, but not done");
                self.answer(message, None, fault(&gone.to_string())).await
            }
        }
    }

    async fn refuse(&self, message: &Message, verdict: &Verdict, answer: fn(&str) -> Bytes) -> anyhow::Result<()> {
        let text = self.told(&message.subject, verdict);
        self.answer(message, None, answer(&text)).await
    }

    /// Logs and counts a refusal, in the words that its sender reads.
    fn told(&self, subject: &str, verdict: &Verdict) -> String {
        let text = answer::text(verdict);
        info!(subject, "{text}");
        counter!("eventrunner_gate_refusals_total").increment(1);
        text
    }

    async fn answer(&self, message: &Message, headers: Option<HeaderMap>, payload: Bytes) -> anyhow::Result<()> {
        let Some(reply) = message.reply.clone() else { return Ok(()) };
        match headers {
            Some(headers) => self.lattice.nats.publish_with_headers(reply, headers, payload).await?,
            None => self.lattice.nats.publish(reply, payload).await?,
        }
        Ok(())
    }
}

fn behind<'a>(subject: &'a str, prefix: &str) -> &'a str {
    subject.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default()
}
