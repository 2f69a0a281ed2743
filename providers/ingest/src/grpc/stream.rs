//! A stream of events: what has arrived goes together, in order, and is answered before anything more is read.
//!
//! Nothing is queued here. A group is made of what HTTP/2 holds by then, and the next one is made when the client's end
//! has room for the answer to this one; until then the window is what the client may send ahead.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use er_event::limits::BATCH_BYTES_MAX;
use er_event::{Kind, Problem};
use er_proto::cloudevents::CloudEvent;
use er_proto::v1::{outcome, Outcome, PublishStreamResponse, Receipt, Refusal};
use er_tenant::Principal;
use futures::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use crate::batcher::{Taken, GROUP_REQUESTS_MAX};
use crate::edge::{Edge, Room};

use super::call::{self, Call};
use super::rations::Rooms;
use super::status::{self, Message};

/// A stream that waits for its quota looks again so often: the quota may have been raised, or the key withdrawn.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A stream under way.
pub struct Publishing {
    edge: Arc<Edge>,
    call: Call,
    events: Streaming<CloudEvent>,
    stop: CancellationToken,
    /// The place of the next event.
    next: u64,
    /// What ends the stream once all before it is answered.
    end: Option<Result<(), Status>>,
    ended: Code,
}

/// What goes together.
struct Group {
    since: Instant,
    events: usize,
    texts: Vec<String>,
    bytes: usize,
    /// Events that no text can be made of, by their place in the group.
    refused: BTreeMap<usize, Problem>,
    rooms: Vec<Room>,
}

// === impl Publishing ===

impl Publishing {
    pub fn new(edge: Arc<Edge>, call: Call, events: Streaming<CloudEvent>, stop: CancellationToken) -> Self {
        // Whoever drops it before it ended left.
        Self { edge, call, events, stop, next: 0, end: None, ended: Code::Cancelled }
    }

    /// The answers, as they are asked for.
    pub fn answers(self) -> impl Stream<Item = Result<PublishStreamResponse, Status>> + Send {
        futures::stream::unfold(Some(self), |publishing| async move {
            let mut publishing = publishing?;
            match publishing.step().await {
                Ok(Some(answer)) => Some((Ok(answer), Some(publishing))),
                Ok(None) => {
                    publishing.ended = Code::Ok;
                    None
                }
                Err(status) => {
                    publishing.ended = status.code();
                    Some((Err(status), None))
                }
            }
        })
    }

    /// The next group, answered.
    async fn step(&mut self) -> Result<Option<PublishStreamResponse>, Status> {
        if let Some(end) = self.end.take() {
            return end.map(|()| None);
        }
        let deadline = self.call.deadline;
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(told(&leaving())),
            () = call::until(deadline) => Err(told(&status::late())),
            event = self.events.message() => event,
        };
        let Some(first) = first? else { return Ok(None) };
        let mut group = self.gather(first);
        let taken = tokio::select! {
            biased;
            taken = self.publish(std::mem::take(&mut group.texts)) => taken.map_err(|problem| self.refuse(&problem))?,
            () = call::until(deadline) => return Err(told(&status::late())),
        };
        let outcomes = self.outcomes(&mut group, taken);
        if outcomes.is_empty() {
            // Nothing to tell but the end.
            if let Some(Err(status)) = self.end.take() {
                return Err(status);
            }
        }
        call::observe(group.since);
        let answer = PublishStreamResponse { first: self.next, outcomes };
        self.next += answer.outcomes.len() as u64;
        Ok(Some(answer))
    }

    /// What has arrived by now, as much of it as goes together.
    fn gather(&mut self, first: CloudEvent) -> Group {
        let mut group = Group::new();
        group.push(&first, &self.call.rooms);
        while group.has_room() {
            match self.events.next().now_or_never() {
                Some(Some(Ok(event))) => group.push(&event, &self.call.rooms),
                Some(Some(Err(status))) => {
                    self.end = Some(Err(status));
                    break;
                }
                Some(None) => {
                    self.end = Some(Ok(()));
                    break;
                }
                None => break,
            }
        }
        group
    }

    async fn publish(&self, texts: Vec<String>) -> Result<Vec<Taken>, Problem> {
        let principal = self.turn().await?;
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        self.edge.publish_each(&principal, texts, self.call.client.clone()).await
    }

    /// Waits until the tenant's quota lets it send. The key is asked about anew: a stream outlives many an answer.
    async fn turn(&self) -> Result<Arc<Principal>, Problem> {
        loop {
            let principal = self.edge.identify(Some(&self.call.credential), None).await?;
            let Some(wait) = self.edge.quota_wait(&principal) else {
                return Ok(principal);
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(leaving()),
                () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
            }
        }
    }

    /// One an event. Where the platform could not take one, they end before it, and the stream ends after them.
    fn outcomes(&mut self, group: &mut Group, taken: Vec<Taken>) -> Vec<Outcome> {
        let mut taken = taken.into_iter();
        let mut outcomes = Vec::with_capacity(group.events);
        for place in 0..group.events {
            let answer = match group.refused.remove(&place) {
                Some(problem) => Err(problem),
                None => taken.next().unwrap_or_else(|| Ok(Vec::new())).map_err(status::unplaced),
            };
            let outcome = match answer {
                Ok(mut ids) => outcome::Outcome::Receipt(Receipt { id: ids.pop().unwrap_or_default() }),
                Err(problem) if problem.kind.retryable() => {
                    self.end = Some(Err(told(&problem)));
                    break;
                }
                Err(problem) => outcome::Outcome::Refusal(Refusal {
                    r#type: problem.kind.urn(),
                    field: status::path(&problem, Message::Event),
                    detail: problem.detail,
                    mend: problem.mend.unwrap_or_default(),
                }),
            };
            outcomes.push(Outcome { outcome: Some(outcome) });
        }
        outcomes
    }

    fn refuse(&self, problem: &Problem) -> Status {
        self.edge.refusals.note("gRPC PublishStream", Some(&self.call.credential), problem);
        told(problem)
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        call::count(self.ended);
    }
}

// === impl Group ===

impl Group {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            events: 0,
            texts: Vec::new(),
            bytes: 0,
            refused: BTreeMap::new(),
            rooms: Vec::new(),
        }
    }

    fn push(&mut self, event: &CloudEvent, rooms: &Rooms) {
        let mut bytes = 0;
        match er_proto::json(event) {
            Ok(text) => {
                bytes = text.len();
                self.texts.push(text);
            }
            Err(problem) => {
                self.refused.insert(self.events, problem);
            }
        }
        self.bytes += bytes;
        self.events += 1;
        self.rooms.extend(rooms.take(bytes));
    }

    fn has_room(&self) -> bool {
        self.events < GROUP_REQUESTS_MAX && self.bytes < BATCH_BYTES_MAX
    }
}

fn told(problem: &Problem) -> Status {
    status::of(problem, Message::Event)
}

fn leaving() -> Problem {
    Problem::new(Kind::Unavailable, "this edge is about to stop; events without an answer were not taken")
        .mend("Open another stream, and send them again there.")
}
