//! Groups of requests: what arrives while a tenant's calls are under way goes together into the next one.
//!
//! No clock is involved. An idle tenant's request goes at once, and the busier the tenant, the larger its groups,
//! up to the limits of a call.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use er_event::frame::{FrameWriter, Request};
use er_event::limits::BATCH_BYTES_MAX;
use er_event::{Kind, Problem};
use er_provider_kit::trace::{self, SpanContext};
use metrics::{counter, histogram};
use parking_lot::Mutex;
use tokio::sync::{oneshot, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use crate::admission::{Admission, Answer, GroupError};

/// Calls of one tenant under way at once, so that one tenant can't take all.
const TENANT_CALLS_MAX: usize = 2;
/// Requests of one call.
pub const GROUP_REQUESTS_MAX: usize = 256;

/// The ids of a request's events, in order, or why none was taken.
pub type Taken = Result<Vec<String>, Problem>;

/// Requests that go into the same call, in their order, as the edge holds them until they are answered.
pub struct Job {
    /// Their lines and bodies in the frame format, made outside of the lock.
    frames: String,
    requests: usize,
    /// What their client is doing, where it said so.
    client: Option<SpanContext>,
    /// An answer a request.
    reply: oneshot::Sender<Vec<Taken>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    running: usize,
}

/// Queues by tenant. A clone is a handle to the same ones.
#[derive(Clone)]
pub struct Batcher {
    queues: Arc<Mutex<HashMap<Arc<str>, Queue>>>,
    calls: Arc<Semaphore>,
    tasks: TaskTracker,
}

// === impl Job ===

impl Job {
    /// At most [`GROUP_REQUESTS_MAX`] requests.
    pub fn new(requests: &[Request<'_>], client: Option<SpanContext>, reply: oneshot::Sender<Vec<Taken>>) -> Self {
        let mut frames = FrameWriter::new();
        for request in requests {
            frames.push(request);
        }
        Self { frames: frames.finish(), requests: requests.len(), client, reply }
    }
}

// === impl Batcher ===

impl Batcher {
    pub fn new(calls_max: usize) -> Self {
        Self { queues: Arc::default(), calls: Arc::new(Semaphore::new(calls_max)), tasks: TaskTracker::new() }
    }

    /// Queues a job, and sees to it that somebody works on its tenant's queue.
    pub fn push(&self, tenant: &Arc<str>, admission: &Admission, job: Job) {
        let start = {
            let mut queues = self.queues.lock();
            let queue = queues.entry(Arc::clone(tenant)).or_default();
            queue.waiting.push_back(job);
            let start = queue.running < TENANT_CALLS_MAX;
            queue.running += usize::from(start);
            start
        };
        if start {
            let (batcher, tenant, admission) = (self.clone(), Arc::clone(tenant), admission.clone());
            self.tasks.spawn(async move { batcher.work(&tenant, &admission).await });
        }
    }

    /// Waits until every queued job is answered.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn work(&self, tenant: &Arc<str>, admission: &Admission) {
        loop {
            // The call's turn first, the group second: what arrives meanwhile comes along.
            let Ok(_turn) = self.calls.acquire().await else {
                return;
            };
            let group = self.take(tenant);
            if group.is_empty() {
                return;
            }
            histogram!("eventrunner_ingest_group_requests").record(requests(&group) as f64);
            let span = span(tenant, &group);
            answer(tenant, admission, group, &span).instrument(span.clone()).await;
        }
    }

    /// The next group; empty ends the worker, and forgets a tenant that nobody works for. What nobody waits for any
    /// longer, since its client left or its deadline passed, is not begun.
    fn take(&self, tenant: &Arc<str>) -> Vec<Job> {
        let mut queues = self.queues.lock();
        let Some(queue) = queues.get_mut(tenant) else {
            return Vec::new();
        };
        let mut group = Vec::new();
        let (mut bytes, mut count) = (0, 0);
        while let Some(next) = queue.waiting.front() {
            if next.reply.is_closed() {
                counter!("eventrunner_ingest_shed_total", "reason" => "abandoned").increment(next.requests as u64);
                queue.waiting.pop_front();
                continue;
            }
            bytes += next.frames.len();
            count += next.requests;
            let fits = group.is_empty() || (bytes <= BATCH_BYTES_MAX && count <= GROUP_REQUESTS_MAX);
            if !fits {
                break;
            }
            group.extend(queue.waiting.pop_front());
        }
        if group.is_empty() {
            queue.running -= 1;
            if queue.running == 0 {
                queues.remove(tenant);
            }
        }
        group
    }
}

/// Where a trace begins: with the group, since one call makes its requests durable and from there on they go together.
/// The requests themselves are told from outside; a client that traces them is linked to.
fn span(tenant: &str, group: &[Job]) -> Span {
    trace::begin(group.iter().filter_map(|job| job.client.clone()), || {
        trace::span!(
            "ingest",
            otel.kind = "server",
            eventrunner.tenant = tenant,
            eventrunner.requests = requests(group) as i64,
            eventrunner.bytes = group.iter().map(|job| job.frames.len()).sum::<usize>() as i64
        )
    })
}

async fn answer(tenant: &str, admission: &Admission, group: Vec<Job>, span: &Span) {
    let frames = match group.as_slice() {
        [only] => only.frames.clone(),
        many => many.iter().map(|job| job.frames.as_str()).collect(),
    };
    match admission.admit(tenant, &frames).await {
        Ok(answers) if answers.len() == requests(&group) => {
            let events = || answers.iter().map(Answer::events).sum::<usize>();
            trace::note(span, "eventrunner.events", || i64::try_from(events()).unwrap_or_default());
            let mut answers = answers.into_iter();
            for job in group {
                let own = answers.by_ref().take(job.requests).collect();
                reply(job, own);
            }
        }
        Ok(answers) => {
            trace::failed(span, "broken");
            let problem =
                Problem::new(Kind::Internal, format!("{} answers for {} requests", answers.len(), requests(&group)));
            refuse(group, &problem);
        }
        // One job may have broken the call for all: each is tried by itself.
        Err(GroupError::Trapped) if group.len() > 1 => {
            trace::failed(span, "trap");
            for job in group {
                match admission.admit(tenant, &job.frames).await {
                    Ok(answers) if answers.len() == job.requests => reply(job, answers),
                    Ok(_) | Err(GroupError::Trapped) => refuse(vec![job], &trapped()),
                    Err(GroupError::All(problem)) => refuse(vec![job], &problem),
                }
            }
        }
        Err(GroupError::Trapped) => {
            trace::failed(span, "trap");
            refuse(group, &trapped());
        }
        Err(GroupError::All(problem)) => {
            trace::failed(span, "refused");
            refuse(group, &problem);
        }
    }
}

fn trapped() -> Problem {
    Problem::new(Kind::Unavailable, "the ingest component stopped before it answered; nothing was confirmed as safe")
        .mend("Send the same events with the same ids again.")
        .retry_after_ms(1_000)
}

fn requests(group: &[Job]) -> usize {
    group.iter().map(|job| job.requests).sum()
}

fn reply(job: Job, answers: Vec<Answer>) {
    let taken = answers
        .into_iter()
        .map(|answer| match answer {
            Answer::Ids { ids } => Ok(ids),
            Answer::Problem { problem } => Err(problem),
        })
        .collect();
    // A client that left gets no answer; its events are safe all the same.
    let _ = job.reply.send(taken);
}

fn refuse(group: Vec<Job>, problem: &Problem) {
    for job in group {
        let _ = job.reply.send(vec![Err(problem.clone()); job.requests]);
    }
}
