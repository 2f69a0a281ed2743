//! The edge without its protocol: who, how much, and into the next group. HTTP now, gRPC later, stand on this.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use bytes::Bytes;
use er_event::frame::{Encoding, Request};
use er_event::keys::Action;
use er_event::{Kind, Problem};
use er_tenant::Principal;
use metrics::counter;
use tokio::sync::{oneshot, OwnedSemaphorePermit, Semaphore};

use crate::admission::Admission;
use crate::auth::{refused, Keys};
use crate::batcher::{Batcher, Job};
use crate::quota::Quotas;
use crate::refusals::Refusals;
use crate::settings::IngestSettings;

/// How long a request may wait for its receipts, its turn included.
const RECEIPT_TIMEOUT: Duration = Duration::from_secs(15);
const SHED_RETRY_MS: u32 = 1_000;
/// Semaphores count in u32; bodies are counted in pieces of this size.
const PIECE_BYTES: usize = 1024;

/// A publish request, whatever protocol it came by.
#[derive(Debug, Default)]
pub struct Publish {
    pub content_type: Option<String>,
    pub attributes: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub query: Option<String>,
    pub body: Bytes,
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
}

/// Room in memory for one body, given back when the request is answered.
#[must_use]
pub struct Room(#[allow(dead_code)] OwnedSemaphorePermit);

// === impl Edge ===

impl Edge {
    pub fn new(settings: IngestSettings) -> Self {
        Self {
            batcher: Batcher::new(settings.admits_max),
            room: Arc::new(Semaphore::new(settings.inflight_bytes_max / PIECE_BYTES)),
            settings,
            admission: RwLock::default(),
            keys: Keys::default(),
            quotas: Quotas::default(),
            refusals: Refusals::default(),
        }
    }

    /// Where admission is asked; none while the link is away.
    pub fn set_admission(&self, admission: Option<Admission>) {
        *self.admission.write().unwrap_or_else(PoisonError::into_inner) = admission;
    }

    fn admission(&self) -> Result<Admission, Problem> {
        self.admission.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| {
            Problem::new(Kind::Unavailable, "the ingest component is not linked yet").retry_after_ms(SHED_RETRY_MS)
        })
    }

    /// Whether the caller may publish now. `tenant`: whose stream it asks for, where it names one.
    pub async fn authorize(&self, api_key: Option<&str>, tenant: Option<&str>) -> Result<Arc<Principal>, Problem> {
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
        self.quotas.check(&principal.tenant, &principal.quota, Instant::now()).map_err(|wait_ms| {
            counter!("eventrunner_ingest_shed_total", "reason" => "quota").increment(1);
            let rate = principal.quota.events_per_s.unwrap_or_default();
            Problem::new(Kind::RateLimited, format!("the quota of {rate} events a second is used up"))
                .retry_after_ms(wait_ms)
        })?;
        Ok(principal)
    }

    /// Room for a body of `bytes`, or the answer that there is none.
    pub fn room(&self, bytes: usize) -> Result<Room, Problem> {
        let pieces = u32::try_from(bytes / PIECE_BYTES + 1).unwrap_or(u32::MAX);
        Arc::clone(&self.room).try_acquire_many_owned(pieces).map(Room).map_err(|_| {
            counter!("eventrunner_ingest_shed_total", "reason" => "memory").increment(1);
            Problem::new(Kind::Overloaded, "too many events are on their way already").retry_after_ms(SHED_RETRY_MS)
        })
    }

    /// Makes a request's events durable; returns their ids, in order.
    pub async fn publish(&self, principal: &Principal, publish: Publish) -> Result<Vec<String>, Problem> {
        let admission = self.admission()?;
        let (body, encoding) = match std::str::from_utf8(&publish.body) {
            Ok(text) => (Cow::Borrowed(text), Encoding::Utf8),
            Err(_) => (Cow::Owned(base64::engine::general_purpose::STANDARD.encode(&publish.body)), Encoding::Base64),
        };
        let id = uuid::Uuid::now_v7().to_string();
        let received_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX));
        let (reply, receipts) = oneshot::channel();
        let job = Job::new(
            &Request {
                id: &id,
                received_us,
                content_type: publish.content_type.map(Cow::Owned),
                encoding,
                attributes: publish.attributes,
                headers: publish.headers,
                query: publish.query,
                body: &body,
            },
            reply,
        );
        drop(body);
        let tenant: Arc<str> = principal.tenant.as_str().into();
        self.batcher.push(&tenant, &admission, job);
        let late = || {
            Problem::new(Kind::Timeout, "the events were not confirmed as safe in time; they may or may not be")
                .mend("Send the same events with the same ids again.")
                .retry_after_ms(SHED_RETRY_MS)
        };
        let ids = tokio::time::timeout(RECEIPT_TIMEOUT, receipts).await.map_err(|_| late())?.map_err(|_| late())??;
        self.quotas.charge(&principal.tenant, &principal.quota, ids.len());
        counter!("eventrunner_ingest_events_total").increment(ids.len() as u64);
        Ok(ids)
    }

    /// Waits until everything that was taken is answered.
    pub async fn drain(&self) {
        self.batcher.drain().await;
    }
}
