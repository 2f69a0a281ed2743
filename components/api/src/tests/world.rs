//! A world in memory, with faults to order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use er_event::event::time_us;
use er_event::keys::{self, Role};
use er_event::Problem;
use er_tenant::{key_path, KEYS_BUCKET, OPERATOR, TENANTS_BUCKET};
use serde_json::Value;

use crate::app::handle;
use crate::backend::{
    Backend, Decision, Document, EventPage, Fault, FaultCode, Filter, Format, Item, Letters, TailPage, UsageAsked,
    Window,
};
use crate::http::{Answer, Body, BodyError, Request, Response, Take};

#[derive(Default)]
pub struct World {
    records: RefCell<BTreeMap<(String, String), (String, u64)>>,
    revisions: Cell<u64>,
    pub events: RefCell<BTreeMap<(String, String, String), String>>,
    /// What the next reads of the tail give.
    pub pages: RefCell<Vec<Result<TailPage, Fault>>>,
    /// What was asked of store, tail and billing, in words.
    pub asked: RefCell<Vec<String>>,
    /// Every call to the key-value buckets fails so.
    pub kv_fault: Cell<Option<FaultCode>>,
    /// Every record that is to be made fails so.
    pub create_fault: Cell<Option<FaultCode>>,
    /// Every record that is to be written, whether it is there or not, fails so; one that is only to be made does not.
    pub put_fault: Cell<Option<FaultCode>>,
    /// Every call to billing fails so.
    pub account_fault: Cell<Option<FaultCode>>,
    pub logged: RefCell<Vec<String>>,
    /// What the policy was asked.
    pub questions: RefCell<Vec<Value>>,
    /// Questions of this kind (or of any, where it is empty) are answered so; all others are allowed.
    pub policy: RefCell<Option<(String, Result<Decision, Fault>)>>,
    /// The dead letters that are there: what `select` gives.
    pub letters: RefCell<String>,
    /// The same as they are listed.
    pub dead: RefCell<Vec<Value>>,
    /// How large each piece of an upload was.
    pub pieces: RefCell<Vec<usize>>,
    /// Of the component, as the manifest has them.
    pub settings: RefCell<BTreeMap<String, String>>,
    /// How often a policy was activated, and how often it will be right after the next one who asks was told.
    pub activation: Cell<u64>,
    pub activations_between: Cell<u64>,
    /// Puts that fail with a conflict before one succeeds.
    pub conflicts: Cell<u32>,
    clock_us: Cell<i64>,
    drawn: Cell<u8>,
}

struct Text<'a>(&'a str);

impl Body for Text<'_> {
    fn read(&self, max: usize) -> Result<Vec<u8>, BodyError> {
        if self.0.len() > max {
            Err(BodyError::TooLarge)
        } else {
            Ok(self.0.as_bytes().to_vec())
        }
    }

    fn pieces(&self, size: usize, take: Take<'_>) -> Result<Result<(), Problem>, BodyError> {
        Ok(self.0.as_bytes().chunks(size).try_for_each(take))
    }
}

pub fn fault(code: FaultCode) -> Fault {
    Fault { code, detail: "ordered".into(), retry_after_ms: None }
}

impl World {
    /// With the tenants `acme` and `other`.
    pub fn new() -> Self {
        let world = World { clock_us: Cell::new(time_us("2025-06-01T00:00:00Z").unwrap()), ..World::default() };
        for id in ["acme", "other"] {
            world.record(TENANTS_BUCKET, id, &format!(r#"{{"id":"{id}"}}"#));
        }
        world
    }

    pub fn record(&self, bucket: &str, key: &str, value: &str) {
        self.kv_put(bucket, key, value, None).unwrap();
    }

    pub fn value(&self, bucket: &str, key: &str) -> String {
        self.records.borrow()[&(bucket.to_owned(), key.to_owned())].0.clone()
    }

    pub fn keys_of(&self, bucket: &str) -> Vec<String> {
        self.records.borrow().keys().filter(|(at, _)| at == bucket).map(|(_, key)| key.clone()).collect()
    }

    /// Whether any record has this in it.
    pub fn holds(&self, text: &str) -> bool {
        self.records.borrow().iter().any(|((_, key), (value, _))| key.contains(text) || value.contains(text))
    }

    pub fn has_record(&self, bucket: &str, key: &str) -> bool {
        self.records.borrow().contains_key(&(bucket.into(), key.into()))
    }

    /// A key of that role, as a header value.
    pub fn key(&self, tenant: &str, role: Role) -> String {
        let key = keys::format(tenant, &self.random());
        let record = format!(r#"{{"id":"{}","role":"{}"}}"#, &keys::hash(&key)[..12], role.as_str());
        self.record(KEYS_BUCKET, &key_path(tenant, &keys::hash(&key)), &record);
        format!("Bearer {key}")
    }

    pub fn operator(&self) -> String {
        self.key(OPERATOR, Role::Operator)
    }

    pub fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        handle(self, &Request { method, path, query, headers: &headers, body: &Text(body), chance: None })
    }

    pub fn get(&self, key: &str, target: &str) -> Response {
        whole(self.ask("GET", target, &[("authorization", key)], ""))
    }

    pub fn send(&self, key: &str, method: &str, target: &str, body: &str) -> Response {
        whole(self.ask(method, target, &[("authorization", key), ("content-type", "application/json")], body))
    }

    /// The policy says no to questions of this kind; for `failure`: since it can't say anything.
    pub fn deny(&self, kind: &str, failure: Option<&str>) {
        let failure = failure.map(str::to_owned);
        let decision = Decision { allow: false, reason: "the policy's reason".into(), revision: "b.d".into(), failure };
        *self.policy.borrow_mut() = Some((kind.into(), Ok(decision)));
    }

    fn told(&self, asked: String, answer: &str) -> Result<String, Fault> {
        self.asked.borrow_mut().push(asked);
        Ok(answer.into())
    }

    /// What the billing component answers: nothing in it matters here.
    fn account(&self, asked: String) -> Result<String, Fault> {
        self.asked.borrow_mut().push(asked);
        self.account_fault.get().map_or(Ok(r#"{"from":"billing"}"#.into()), |code| Err(fault(code)))
    }

    fn write(&self, bucket: &str, key: &str, value: &str, revision: Option<u64>) -> Result<u64, Fault> {
        self.fails()?;
        let place = (bucket.to_owned(), key.to_owned());
        let there = self.records.borrow().get(&place).map(|(_, revision)| *revision);
        if self.conflicts.get() > 0 || (revision.is_some() && revision != there) {
            self.conflicts.set(self.conflicts.get().saturating_sub(1));
            return Err(fault(FaultCode::Conflict));
        }
        self.revisions.set(self.revisions.get() + 1);
        self.records.borrow_mut().insert(place, (value.to_owned(), self.revisions.get()));
        Ok(self.revisions.get())
    }

    fn fails(&self) -> Result<(), Fault> {
        self.kv_fault.get().map_or(Ok(()), |code| Err(fault(code)))
    }
}

fn document(body: String) -> Document {
    Document { content_type: String::new(), body }
}

pub fn whole(answer: Answer) -> Response {
    match answer {
        Answer::Whole(response) => response,
        Answer::Stream(..) => panic!("a stream where a whole answer was to be"),
    }
}

pub fn json(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|cause| panic!("{cause}: {}", response.body))
}

impl Backend for World {
    fn kv_get(&self, bucket: &str, key: &str) -> Result<Option<Item>, Fault> {
        self.fails()?;
        let records = self.records.borrow();
        let found = records.get(&(bucket.to_owned(), key.to_owned()));
        Ok(found.map(|(value, revision)| Item { key: key.into(), value: value.clone(), revision: *revision }))
    }

    fn kv_create(&self, bucket: &str, key: &str, value: &str) -> Result<u64, Fault> {
        if let Some(code) = self.create_fault.get() {
            Err(fault(code))
        } else if self.has_record(bucket, key) {
            Err(fault(FaultCode::Conflict))
        } else {
            self.write(bucket, key, value, None)
        }
    }

    fn kv_put(&self, bucket: &str, key: &str, value: &str, revision: Option<u64>) -> Result<u64, Fault> {
        self.put_fault.get().map_or(Ok(()), |code| Err(fault(code)))?;
        self.write(bucket, key, value, revision)
    }

    fn kv_delete(&self, bucket: &str, key: &str) -> Result<(), Fault> {
        self.fails()?;
        self.records.borrow_mut().remove(&(bucket.to_owned(), key.to_owned()));
        Ok(())
    }

    fn kv_scan(&self, bucket: &str, filter: &str, after: Option<&str>, limit: u32) -> Result<Vec<Item>, Fault> {
        self.fails()?;
        let prefix = filter.trim_end_matches('*');
        let records = self.records.borrow();
        let found = records.iter().filter(|((at, key), _)| {
            at == bucket && key.starts_with(prefix) && after.is_none_or(|after| after < key.as_str())
        });
        let item = |((_, key), (value, revision)): (&(String, String), &(String, u64))| Item {
            key: key.clone(),
            value: value.clone(),
            revision: *revision,
        };
        Ok(found.take(limit as usize).map(item).collect())
    }

    fn event(&self, tenant: &str, source: &str, id: &str) -> Result<Option<String>, Fault> {
        Ok(self.events.borrow().get(&(tenant.into(), source.into(), id.into())).cloned())
    }

    fn events(&self, tenant: &str, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<EventPage, Fault> {
        let Filter { event_type, source, since, until } = filter;
        self.asked
            .borrow_mut()
            .push(format!("{tenant} {event_type:?} {source:?} {since:?} {until:?} {cursor:?} {limit}"));
        Ok(EventPage { events: r#"[{"id":"1"}]"#.into(), cursor: Some("next\"".into()) })
    }

    fn tail(&self, tenant: &str, after: Option<u64>, types: &[String], wait_ms: u32) -> Result<TailPage, Fault> {
        self.asked.borrow_mut().push(format!("{tenant} {after:?} {types:?} {wait_ms}"));
        self.clock_us.set(self.clock_us.get() + i64::from(wait_ms) * 1000);
        let mut pages = self.pages.borrow_mut();
        if pages.is_empty() {
            return Ok(TailPage { events: "[]".into(), next: after.unwrap_or(7) });
        }
        pages.remove(0)
    }

    fn dead_letters(&self, tenant: &str, after: u64, limit: u32) -> Result<String, Fault> {
        self.asked.borrow_mut().push(format!("{tenant} {after} {limit}"));
        // Few a page, as if they were large.
        let dead = self.dead.borrow();
        let at = usize::try_from(after).unwrap_or(usize::MAX).min(dead.len());
        let end = (at + 2).min(dead.len());
        let next = (end < dead.len()).then_some(end);
        Ok(serde_json::json!({ "items": dead[at..end], "next": next }).to_string())
    }

    fn dead_letter(&self, tenant: &str, seq: u64) -> Result<Option<String>, Fault> {
        self.asked.borrow_mut().push(format!("letter {tenant} {seq}"));
        Ok((seq == 7).then(|| r#"{"seq":7}"#.into()))
    }

    fn select_letters(&self, tenant: &str, letters: &Letters) -> Result<String, Fault> {
        self.told(format!("select {tenant} {letters:?}"), &self.letters.borrow())
    }

    fn redrive(&self, tenant: &str, seqs: &[u64]) -> Result<String, Fault> {
        self.told(format!("redrive {tenant} {seqs:?}"), r#"{"redriven":1,"kept":[]}"#)
    }

    fn discard(&self, tenant: &str, seqs: &[u64]) -> Result<String, Fault> {
        self.told(format!("discard {tenant} {seqs:?}"), r#"{"discarded":1}"#)
    }

    fn replay(&self, tenant: &str, window: &Window, by: &str) -> Result<String, Fault> {
        self.told(format!("replay {tenant} {window:?} {by}"), r#"{"id":"r1","state":"running"}"#)
    }

    fn replays(&self, tenant: &str) -> Result<String, Fault> {
        self.told(format!("replays {tenant}"), r#"{"replays":[{"id":"r1"}]}"#)
    }

    fn decide(&self, question: &str) -> Result<Decision, Fault> {
        let question: Value = serde_json::from_str(question).unwrap();
        let policy = self.policy.borrow();
        let ordered = policy.as_ref().filter(|(kind, _)| kind.is_empty() || question["kind"] == **kind);
        let answer = match ordered {
            Some((_, answer)) => answer.clone(),
            None => Ok(Decision { allow: true, reason: "may".into(), revision: "b.d".into(), failure: None }),
        };
        self.questions.borrow_mut().push(question);
        answer
    }

    fn policy_state(&self) -> Result<String, Fault> {
        // Another one comes between what is told and what follows.
        let told = format!(r#"{{"activation":{}}}"#, self.activation.get());
        self.activation.set(self.activation.get() + self.activations_between.take());
        self.told("policies".into(), &told)
    }

    fn policy_versions(&self) -> Result<String, Fault> {
        self.told("policy versions".into(), "{}")
    }

    fn publish_policy_bundle(&self, bundle: &str) -> Result<String, Fault> {
        self.told(format!("bundle {bundle}"), "r1")
    }

    fn publish_policy_data(&self, data: &str) -> Result<String, Fault> {
        self.told(format!("data {data}"), "r2")
    }

    fn activate_policy(&self, bundle: &str, data: Option<&str>, by: &str, over: Option<u64>) -> Result<String, Fault> {
        if over.is_some_and(|over| over != self.activation.get()) {
            return Err(fault(FaultCode::Conflict));
        }
        self.activation.set(self.activation.get() + 1);
        let state = format!(r#"{{"activation":{}}}"#, self.activation.get());
        self.told(format!("activate {bundle} {data:?} {by}"), &state)
    }

    fn consumers(&self, tenant: &str) -> Result<String, Fault> {
        self.told(format!("consumers {tenant}"), "{}")
    }

    fn consumer(&self, tenant: &str, name: &str) -> Result<String, Fault> {
        self.told(format!("consumer {tenant} {name}"), "{}")
    }

    fn begin_upload(&self, tenant: &str, bytes: u64) -> Result<String, Fault> {
        self.told(format!("begin {tenant} {bytes}"), "u1")
    }

    fn upload_piece(&self, _: &str, upload: &str, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        assert_eq!((upload, offset), ("u1", self.pieces.borrow().iter().sum::<usize>() as u64));
        self.pieces.borrow_mut().push(bytes.len());
        Ok(())
    }

    fn put_consumer(
        &self,
        tenant: &str,
        name: &str,
        upload: Option<&str>,
        spec: &str,
        _: &str,
    ) -> Result<String, Fault> {
        self.told(format!("put {tenant} {name} {upload:?} {spec}"), r#"{"name":"alert"}"#)
    }

    fn roll_back_consumer(&self, tenant: &str, name: &str, version: u32, _: &str) -> Result<String, Fault> {
        self.told(format!("roll back {tenant} {name} {version}"), "{}")
    }

    fn delete_consumer(&self, tenant: &str, name: &str, _: &str) -> Result<String, Fault> {
        self.told(format!("delete {tenant} {name}"), "{}")
    }

    fn consumer_logs(&self, tenant: &str, name: &str, limit: u32) -> Result<String, Fault> {
        self.told(format!("logs {tenant} {name} {limit}"), "{}")
    }

    fn usage(&self, tenant: &str, asked: &UsageAsked, format: Format) -> Result<Document, Fault> {
        self.account(format!("usage {tenant} {asked:?} {format:?}")).map(document)
    }

    fn invoices(&self, tenant: &str) -> Result<String, Fault> {
        self.account(format!("invoices {tenant}"))
    }

    fn invoice(&self, tenant: &str, id: Option<&str>, format: Format) -> Result<Document, Fault> {
        self.account(format!("invoice {tenant} {id:?} {format:?}")).map(document)
    }

    fn verify(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        self.account(format!("verify {tenant} {id}"))
    }

    fn issue(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        self.account(format!("issue {tenant} {id}"))
    }

    fn void(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        self.account(format!("void {tenant} {id}"))
    }

    fn subscription(&self, tenant: &str) -> Result<String, Fault> {
        self.account(format!("subscription {tenant}"))
    }

    fn subscribe(&self, tenant: &str, change: &str) -> Result<String, Fault> {
        self.account(format!("subscribe {tenant} {change}"))
    }

    fn plans(&self) -> Result<String, Fault> {
        self.account("plans".into())
    }

    fn plan(&self, name: &str) -> Result<String, Fault> {
        self.account(format!("plan {name}"))
    }

    fn save_plan(&self, name: &str, plan: &str) -> Result<String, Fault> {
        self.account(format!("save {name} {plan}"))
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.settings.borrow().get(name).cloned()
    }

    fn log(&self, line: &str) {
        self.logged.borrow_mut().push(line.to_owned());
    }

    fn now_us(&self) -> i64 {
        self.clock_us.get()
    }

    fn wait(&self, ms: u32) {
        self.clock_us.set(self.clock_us.get() + i64::from(ms) * 1000);
    }

    fn random(&self) -> [u8; 32] {
        self.drawn.set(self.drawn.get() + 1);
        [self.drawn.get(); 32]
    }
}
