//! The edge without its protocol: who, how much, and into the next group. HTTP and gRPC stand on this.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use bytes::Bytes;
use er_event::frame::{Encoding, Request};
use er_event::keys::Action;
use er_event::limits::BODY_BYTES_MAX;
use er_event::{Kind, Problem};
use er_provider_kit::trace::{self, SpanContext};
use er_tenant::Principal;
use metrics::counter;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, OwnedSemaphorePermit, Semaphore};

use crate::admission::Admission;
use crate::auth::{refused, Keys};
use crate::batcher::{Batcher, Job, Taken};
use crate::quota::{Quotas, Standing};
use crate::refusals::Refusals;
use crate::settings::IngestSettings;

/// How long a request may wait for its receipts, its turn included.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(15);
const SHED_RETRY_MS: u32 = 1_000;
/// A CloudEvent in the JSON format.
pub const EVENT: &str = "application/cloudevents+json";
/// Semaphores count in u32; bodies are counted in pieces of this size.
const PIECE_BYTES: usize = 1024;
/// Tenants whose share is remembered while they hold none of it.
const SHARES_MAX: usize = 1_024;

/// A publish request, whatever protocol it came by.
#[derive(Debug, Default)]
pub struct Publish {
    pub content_type: Option<String>,
    pub attributes: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub query: Option<String>,
    pub body: Bytes,
    /// What the client is doing, where it said so.
    pub client: Option<SpanContext>,
}

/// The edge. One a process.
pub struct Edge {
    settings: IngestSettings,
    admission: RwLock<Option<Admission>>,
    keys: Keys,
    quotas: Quotas,
    pub refusals: Refusals,
    batcher: Batcher,
    room: Arc<Semaphore>,
    /// What one tenant may take of it.
    share_pieces: u32,
    shares: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The answers of queued requests, to come.
type Receipts = oneshot::Receiver<Vec<Taken>>;

/// Room in memory for one body, given back when the request is answered.
#[must_use]
pub struct Room {
    own: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
}

// === impl Edge ===

impl Edge {
    pub fn new(settings: IngestSettings) -> Self {
        let room_pieces = u32::try_from(settings.inflight_bytes_max / PIECE_BYTES).unwrap_or(u32::MAX);
        // Something is left for the others, and any body fits.
        let share_pieces = (room_pieces / 4 * 3).max(pieces(BODY_BYTES_MAX)).min(room_pieces);
        let quotas = Quotas::new(settings.tenant_events_per_s);
        Self {
            batcher: Batcher::new(settings.admits_max),
            room: Arc::new(Semaphore::new(room_pieces as usize)),
            share_pieces,
            shares: Mutex::default(),
            settings,
            admission: RwLock::default(),
            keys: Keys::default(),
            quotas,
            refusals: Refusals::default(),
        }
    }

    /// Where admission is asked; none while the link is away.
    pub fn set_admission(&self, admission: Option<Admission>) {
        *self.admission.write() = admission;
    }

    fn admission(&self) -> Result<Admission, Problem> {
        self.admission.read().clone().ok_or_else(|| {
            Problem::new(Kind::Unavailable, "the ingest component is not linked yet").retry_after_ms(SHED_RETRY_MS)
        })
    }

    /// Whether the caller may publish at all. `tenant`: whose stream it asks for, where it names one.
    pub async fn identify(&self, api_key: Option<&str>, tenant: Option<&str>) -> Result<Arc<Principal>, Problem> {
        let api_key = api_key.ok_or_else(refused)?;
        let principal = self.keys.principal(&self.admission()?, api_key, self.settings.key_ttl).await?;
        if !principal.may(Action::Publish) || principal.tenant == er_tenant::OPERATOR {
            let role = principal.role.as_str();
            return Err(Problem::new(Kind::Forbidden, format!("a key of role `{role}` does not publish"))
                .mend("Use a key of role publisher or admin of the tenant whose stream it is."));
        }
        if tenant.is_some_and(|tenant| tenant != principal.tenant) {
            // The same whether that tenant exists or not.
            let detail = format!("this key belongs to the tenant {}", principal.tenant);
            return Err(Problem::new(Kind::Forbidden, detail)
                .mend("Leave `?tenant=` away: events go into the stream of the key's own tenant."));
        }
        Ok(principal)
    }

    /// Whether the tenant may send more now, or the answer that it may not.
    pub fn within_quota(&self, principal: &Principal) -> Result<(), Problem> {
        self.quota_wait(principal).map_or(Ok(()), |wait| {
            counter!("eventrunner_ingest_shed_total", "reason" => "quota").increment(1);
            let rate = principal.quota.events_per_s.unwrap_or(self.settings.tenant_events_per_s);
            Err(Problem::new(Kind::RateLimited, format!("the quota of {rate} events a second is used up"))
                .retry_after_ms(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)))
        })
    }

    /// How long until the tenant may send more; none when it may now.
    pub fn quota_wait(&self, principal: &Principal) -> Option<Duration> {
        let may = self.quotas.check(&principal.tenant, &principal.quota, Instant::now());
        may.err().map(|ms| Duration::from_millis(ms.into()))
    }

    /// Where a tenant with a quota stands.
    pub fn standing(&self, principal: &Principal) -> Option<Standing> {
        self.quotas.standing(&principal.tenant, &principal.quota, Instant::now())
    }

    /// Room for a tenant's body of `bytes`, or the answer that there is none.
    pub fn room(&self, tenant: &str, bytes: usize) -> Result<Room, Problem> {
        self.try_room(tenant, bytes).ok_or_else(|| {
            counter!("eventrunner_ingest_shed_total", "reason" => "memory").increment(1);
            Problem::new(Kind::Overloaded, "too many events are on their way already").retry_after_ms(SHED_RETRY_MS)
        })
    }

    /// Room for a tenant's body of `bytes`, if there is any.
    pub fn try_room(&self, tenant: &str, bytes: usize) -> Option<Room> {
        let (share, room, pieces) = self.asked(tenant, bytes);
        let own = share.try_acquire_many_owned(pieces).ok()?;
        Some(Room { own, all: room.try_acquire_many_owned(pieces).ok()? })
    }

    /// Room for a tenant's body of `bytes`, once there is some. None when there will never be any again.
    pub fn room_in_turn(&self, tenant: &str, bytes: usize) -> impl Future<Output = Option<Room>> + Send + 'static {
        let (share, room, pieces) = self.asked(tenant, bytes);
        async move {
            // First of its own: who has too much already does not stand in anybody's way.
            let own = share.acquire_many_owned(pieces).await.ok()?;
            Some(Room { own, all: room.acquire_many_owned(pieces).await.ok()? })
        }
    }

    /// The tenant's share, everybody's room, and how much of both a body takes.
    fn asked(&self, tenant: &str, bytes: usize) -> (Arc<Semaphore>, Arc<Semaphore>, u32) {
        let mut shares = self.shares.lock();
        if shares.len() >= SHARES_MAX && !shares.contains_key(tenant) {
            // Who holds some of it has another handle.
            shares.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let share =
            shares.entry(tenant.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.share_pieces as usize)));
        (Arc::clone(share), Arc::clone(&self.room), pieces(bytes).min(self.share_pieces))
    }

    /// Makes a request's events durable; returns their ids, in order.
    pub async fn publish(&self, principal: &Principal, publish: Publish) -> Result<Vec<String>, Problem> {
        let taken = self.queue_one(principal, publish)?;
        self.receipts(principal, taken).await?.pop().unwrap_or_else(|| Err(late()))
    }

    /// Makes events durable that are texts in the JSON format, at most as many as a call has requests. They go in the
    /// same call, in order, and each is taken or not by itself.
    pub async fn publish_each(
        &self,
        principal: &Principal,
        events: Vec<String>,
        client: Option<SpanContext>,
    ) -> Result<Vec<Taken>, Problem> {
        let taken = self.queue_each(principal, events, client)?;
        self.receipts(principal, taken).await
    }

    fn queue_one(&self, principal: &Principal, publish: Publish) -> Result<Receipts, Problem> {
        let (body, encoding) = match std::str::from_utf8(&publish.body) {
            Ok(text) => (Cow::Borrowed(text), Encoding::Utf8),
            Err(_) => (Cow::Owned(base64::engine::general_purpose::STANDARD.encode(&publish.body)), Encoding::Base64),
        };
        let id = uuid::Uuid::now_v7().to_string();
        self.queue(
            principal,
            publish.client,
            &[Request {
                id: &id,
                received_us: now_us(),
                content_type: publish.content_type.map(Cow::Owned),
                encoding,
                attributes: publish.attributes,
                headers: publish.headers,
                query: publish.query,
                body: &body,
            }],
        )
    }

    fn queue_each(
        &self,
        principal: &Principal,
        events: Vec<String>,
        client: Option<SpanContext>,
    ) -> Result<Receipts, Problem> {
        let (name, received_us) = (uuid::Uuid::now_v7(), now_us());
        let ids: Vec<String> = (0..events.len()).map(|n| format!("{name}-{n}")).collect();
        let request = |(id, body)| Request {
            id,
            received_us,
            content_type: Some(Cow::Borrowed(EVENT)),
            encoding: Encoding::Utf8,
            attributes: Vec::new(),
            headers: Vec::new(),
            query: None,
            body,
        };
        let all = ids.iter().map(String::as_str).zip(events.iter().map(String::as_str));
        self.queue(principal, client, &all.map(request).collect::<Vec<_>>())
    }

    fn queue(
        &self,
        principal: &Principal,
        client: Option<SpanContext>,
        requests: &[Request<'_>],
    ) -> Result<Receipts, Problem> {
        let admission = self.admission()?;
        let (reply, taken) = oneshot::channel();
        let tenant: Arc<str> = principal.tenant.as_str().into();
        self.batcher.push(&tenant, &admission, Job::new(requests, client, reply));
        Ok(taken)
    }

    async fn receipts(&self, principal: &Principal, taken: Receipts) -> Result<Vec<Taken>, Problem> {
        let taken = tokio::time::timeout(RECEIPT_TIMEOUT, taken).await.map_err(|_| late())?.map_err(|_| late())?;
        let events: usize = taken.iter().flatten().map(Vec::len).sum();
        self.quotas.charge(&principal.tenant, &principal.quota, events);
        counter!("eventrunner_ingest_events_total").increment(events as u64);
        Ok(taken)
    }

    /// Waits until everything that was taken is answered.
    pub async fn drain(&self) {
        self.batcher.drain().await;
    }
}

// === impl Room ===

impl Room {
    /// Gives back what the body does not need after all.
    pub fn shrink(&mut self, bytes: usize) {
        let needed = usize::try_from(pieces(bytes)).unwrap_or(usize::MAX);
        for permit in [&mut self.own, &mut self.all] {
            drop(permit.split(permit.num_permits().saturating_sub(needed)));
        }
    }
}

fn pieces(bytes: usize) -> u32 {
    u32::try_from(bytes / PIECE_BYTES + 1).unwrap_or(u32::MAX)
}

/// What the client of a request is doing, by its headers or metadata.
pub fn client(headers: &HeaderMap) -> Option<SpanContext> {
    trace::client(headers.get_all(trace::TRACEPARENT).iter().map(HeaderValue::as_bytes))
}

fn late() -> Problem {
    Problem::new(Kind::Timeout, "the events were not confirmed as safe in time; they may or may not be")
        .mend("Send the same events with the same ids again.")
        .retry_after_ms(SHED_RETRY_MS)
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
