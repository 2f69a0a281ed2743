//! Whether the policy lets events of a type go to a consumer: asked of the opa provider, remembered for a moment.
//!
//! It fails closed: where no policy decided, nothing is delivered, and what waits is asked about again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::kv::Store;
use er_provider_kit::call::Caller;
use er_provider_kit::metrics::{failed, Stage};
use er_question::{Consumer, Deliver, Input};
use er_tenant::TenantRecord;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use tracing::warn;

use crate::components::{decide_many, Decision};
use crate::kv::last;
use crate::publish::now_us;
use crate::tenants::Tenants;

/// How long a decision is believed. What the policy provider takes to follow a change comes on top; together they
/// stay within the 5 s that are promised.
const BELIEVED: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(2);
/// What decides may know a change to a tenant so late: its data is 10 s old at most (`stale_after_s` of the opa provider), and an
/// answer two more on its way.
const KNOWN_TO_ALL: Duration = Duration::from_secs(13);
/// Types of one consumer that are remembered.
const KEPT_MAX: usize = 4_096;
/// Questions of one call.
const QUESTIONS_MAX: usize = 512;

/// Who decides. A clone is a handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Decider(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    /// The provider that a link named.
    target: Option<Arc<str>>,
    /// Why the last question had no answer.
    trouble: Option<String>,
}

/// Why events of a type don't go to a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    pub reason: String,
    pub revision: String,
}

/// Types that may not go to a consumer; all others that were asked about may.
pub type Denied = BTreeMap<String, Arc<Denial>>;

/// What may go to one consumer.
#[derive(Clone)]
pub struct Gate {
    pub decider: Decider,
    pub caller: Caller,
    pub tenants: Tenants,
    /// The tenants' records (`ER_TENANTS`).
    pub records: Store,
    pub tenant: String,
    pub consumer: String,
    pub kept: Arc<Mutex<Kept>>,
}

/// Decisions by type: since when, and why not where it is none.
#[derive(Debug, Default)]
pub struct Kept(HashMap<String, (Instant, Option<Arc<Denial>>)>);

// === impl Decider ===

impl Decider {
    pub fn link(&self, target: &str) {
        self.0.lock().target = Some(target.into());
    }

    pub fn unlink(&self, target: &str) {
        let mut told = self.0.lock();
        if told.target.as_deref() == Some(target) {
            told.target = None;
        }
    }

    /// Why nothing can be delivered now; none where nothing is known against it.
    pub fn trouble(&self) -> Option<String> {
        let told = self.0.lock();
        match told.target {
            None => Some("nobody is linked to decide what may be delivered (interface `policy`)".into()),
            Some(_) => told.trouble.clone(),
        }
    }

    async fn decide(&self, caller: &Caller, questions: &[String]) -> Result<Vec<Decision>, String> {
        let result = self.ask(caller, questions).await;
        gauge!("eventrunner_delivery_policy_answers").set(if result.is_ok() { 1.0 } else { 0.0 });
        let mut told = self.0.lock();
        match &result {
            Ok(_) => {
                if told.trouble.take().is_some() {
                    warn!("policy decides again");
                }
            }
            Err(reason) => {
                counter!("eventrunner_delivery_policy_waits_total").increment(1);
                failed(Stage::Policy, "undecided");
                if told.trouble.as_ref() != Some(reason) {
                    warn!(reason, "no policy decides: nothing is delivered meanwhile");
                }
                told.trouble = Some(reason.clone());
            }
        }
        result
    }

    async fn ask(&self, caller: &Caller, questions: &[String]) -> Result<Vec<Decision>, String> {
        let target = self.0.lock().target.clone();
        let target = target.ok_or("nobody is linked to decide (interface `policy`)")?;
        let mut decisions = Vec::with_capacity(questions.len());
        for part in questions.chunks(QUESTIONS_MAX) {
            let answers = decide_many(caller, &target, part, TIMEOUT).await.map_err(|e| e.to_string())?;
            if answers.len() != part.len() {
                return Err(format!("{} answers to {} questions", answers.len(), part.len()));
            }
            decisions.extend(answers);
        }
        match decisions.iter().find_map(|decision| Some((decision.failure.as_ref()?, &decision.reason))) {
            Some((failure, reason)) => Err(format!("{failure}: {reason}")),
            None => Ok(decisions),
        }
    }
}

// === impl Gate ===

impl Gate {
    /// Which of these types may not go to the consumer. An error says that it is not known of all of them, and why.
    pub async fn denied<'t>(&self, types: impl Iterator<Item = &'t str>) -> Result<Denied, String> {
        if let Some(record) = self.tenants.unreadable(&self.tenant) {
            return Err(format!("{record} of {} can't be read", self.tenant));
        }
        let now = Instant::now();
        let mut denied = Denied::new();
        let mut unknown = Vec::new();
        {
            let kept = self.kept.lock();
            for event_type in types {
                match kept.of(event_type, now) {
                    Some(None) => {}
                    Some(Some(denial)) => drop(denied.insert(event_type.to_owned(), denial)),
                    None => unknown.push(event_type),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(denied);
        }
        let questions: Vec<String> =
            unknown.iter().map(|event_type| self.question(event_type).text()).collect::<Result<_, _>>()?;
        let decisions = self.decider.decide(&self.caller, &questions).await?;
        if decisions.iter().any(|decision| !decision.allow) {
            // Perhaps no verdict on the events: they wait for their tenant.
            if let Err(why) = self.serves_tenant().await {
                counter!("eventrunner_delivery_policy_waits_total").increment(1);
                return Err(why);
            }
        }
        let mut kept = self.kept.lock();
        kept.make_room(unknown.len(), now);
        for (event_type, decision) in unknown.into_iter().zip(decisions) {
            let denial =
                (!decision.allow).then(|| Arc::new(Denial { reason: decision.reason, revision: decision.revision }));
            if let Some(denial) = &denial {
                denied.insert(event_type.to_owned(), Arc::clone(denial));
            }
            // Since before it was asked: what changes meanwhile may not be in the answer. The other lane may know better.
            if kept.0.get(event_type).is_none_or(|(since, _)| *since <= now) {
                kept.0.insert(event_type.to_owned(), (now, denial));
            }
        }
        Ok(denied)
    }

    /// Whether the tenant was there and not suspended for as long as whoever decided may not have known otherwise. An error
    /// says why not.
    async fn serves_tenant(&self) -> Result<(), String> {
        let tenant = &self.tenant;
        let there = tokio::time::timeout(TIMEOUT, last(&self.records, tenant)).await;
        let there = there.map_err(|_| format!("the record of {tenant} is not there in time"))?;
        let Some(message) = there.map_err(|e| format!("{e:#}"))? else {
            return Err(format!("there is no tenant {tenant}"));
        };
        let changed_us = u64::try_from(message.time.unix_timestamp_nanos() / 1_000).unwrap_or_default();
        serves(tenant, &message.payload, Duration::from_micros(now_us().saturating_sub(changed_us)))
    }

    fn question<'q>(&'q self, event_type: &'q str) -> Input<'q> {
        let (tenant, name) = (self.tenant.as_str(), self.consumer.as_str());
        Input::Deliver(Deliver { tenant, consumer: Consumer { tenant, name }, event_type })
    }
}

/// As [`Gate::serves_tenant`], of a record that is so old.
fn serves(tenant: &str, record: &[u8], age: Duration) -> Result<(), String> {
    match serde_json::from_slice::<TenantRecord>(record) {
        Err(error) => Err(format!("the record of {tenant} can't be read: {error}")),
        Ok(record) if record.suspended => Err(format!("tenant {tenant} is suspended")),
        Ok(_) if age < KNOWN_TO_ALL => Err(format!("the record of {tenant} has just changed")),
        Ok(_) => Ok(()),
    }
}

// === impl Kept ===

impl Kept {
    /// None: it is to be asked about.
    fn of(&self, event_type: &str, now: Instant) -> Option<Option<Arc<Denial>>> {
        let (since, denial) = self.0.get(event_type)?;
        (now.saturating_duration_since(*since) < BELIEVED).then(|| denial.clone())
    }

    fn make_room(&mut self, more: usize, now: Instant) {
        if self.0.len() + more > KEPT_MAX {
            self.0.retain(|_, (since, _)| now.saturating_duration_since(*since) < BELIEVED);
        }
        if self.0.len() + more > KEPT_MAX {
            self.0.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_counts_only_where_the_tenant_was_served_for_a_while() {
        let (before, since) = (KNOWN_TO_ALL - Duration::from_millis(1), KNOWN_TO_ALL);
        let is = |record: &str, age| serves("acme", record.as_bytes(), age).is_ok();
        assert!(is(r#"{"id":"acme"}"#, since) && !is(r#"{"id":"acme"}"#, before));
        assert!(!is(r#"{"id":"acme","suspended":true}"#, since * 1_000));
        assert!(!is("{", since));
    }

    #[test]
    fn a_decision_is_believed_for_a_moment_only() {
        let (start, mut kept) = (Instant::now(), Kept::default());
        let denial = Arc::new(Denial { reason: "no".into(), revision: "1".into() });
        kept.0.insert("a".into(), (start, None));
        kept.0.insert("b".into(), (start, Some(Arc::clone(&denial))));
        let just = start + BELIEVED - Duration::from_millis(1);
        assert_eq!(
            (kept.of("a", just), kept.of("b", just), kept.of("c", just)),
            (Some(None), Some(Some(denial)), None)
        );
        assert_eq!((kept.of("a", start + BELIEVED), kept.of("b", start + BELIEVED)), (None, None));
    }

    #[test]
    fn what_is_remembered_stays_bounded() {
        let (start, mut kept) = (Instant::now(), Kept::default());
        for n in 0..KEPT_MAX {
            kept.make_room(1, start);
            kept.0.insert(n.to_string(), (start, None));
        }
        assert_eq!(kept.0.len(), KEPT_MAX);
        kept.make_room(1, start);
        assert!(kept.0.is_empty(), "all of them were fresh");
    }

    #[test]
    fn without_a_link_there_is_trouble() {
        let decider = Decider::default();
        assert!(decider.trouble().is_some());
        decider.link("opa");
        assert_eq!(decider.trouble(), None);
        decider.unlink("other");
        assert_eq!(decider.trouble(), None);
        decider.unlink("opa");
        assert!(decider.trouble().is_some());
    }
}
