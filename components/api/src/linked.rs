//! The backend that is linked to this component.

use std::time::{SystemTime, UNIX_EPOCH};

use wasmcloud_component::wasi::config::store;

use crate::backend::{
    Backend, Decision, Document, EventPage, Fault, FaultCode, Filter, Format, Item, Letters, TailPage, UsageAsked,
    Window,
};
use crate::bindings::eventrunner::platform::{
    accounts, consumers, event_store, kv, policies, policy, redelivery, tail,
};
use crate::bindings::wrpc::rpc::error::Error as Unreached;
use crate::fault;

pub struct Linked;

/// Where nobody answered (no link, no provider, no reply in time), a fault like any other. Without room for it in the
/// result, such a call would end this component, and the client would see a bare 500.
fn reached<T>(answer: Result<Result<T, Fault>, Unreached>) -> Result<T, Fault> {
    answer.unwrap_or_else(|cause| {
        eprintln!("a part did not answer: {}", cause.to_debug_string());
        Err(Fault {
            code: FaultCode::Unavailable,
            detail: "a part of the platform did not answer".into(),
            retry_after_ms: Some(fault::RETRY_AFTER_MS),
        })
    })
}

impl Backend for Linked {
    fn kv_get(&self, bucket: &str, key: &str) -> Result<Option<Item>, Fault> {
        reached(kv::get(bucket, key))
    }

    fn kv_create(&self, bucket: &str, key: &str, value: &str) -> Result<u64, Fault> {
        reached(kv::create(bucket, key, value))
    }

    fn kv_put(&self, bucket: &str, key: &str, value: &str, revision: Option<u64>) -> Result<u64, Fault> {
        reached(kv::put(bucket, key, value, revision))
    }

    fn kv_delete(&self, bucket: &str, key: &str) -> Result<(), Fault> {
        reached(kv::delete(bucket, key))
    }

    fn kv_scan(&self, bucket: &str, filter: &str, after: Option<&str>, limit: u32) -> Result<Vec<Item>, Fault> {
        reached(kv::scan(bucket, filter, after, limit))
    }

    fn event(&self, tenant: &str, source: &str, id: &str) -> Result<Option<String>, Fault> {
        reached(event_store::get(tenant, source, id))
    }

    fn events(&self, tenant: &str, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<EventPage, Fault> {
        reached(event_store::query(tenant, filter, cursor, limit))
    }

    fn tail(&self, tenant: &str, after: Option<u64>, types: &[String], wait_ms: u32) -> Result<TailPage, Fault> {
        reached(tail::read(tenant, after, types, wait_ms))
    }

    fn dead_letters(&self, tenant: &str, after: u64, limit: u32) -> Result<String, Fault> {
        reached(tail::dead_letters(tenant, after, limit))
    }

    fn dead_letter(&self, tenant: &str, seq: u64) -> Result<Option<String>, Fault> {
        reached(redelivery::show(tenant, seq))
    }

    fn select_letters(&self, tenant: &str, letters: &Letters) -> Result<String, Fault> {
        reached(redelivery::select(tenant, letters))
    }

    fn redrive(&self, tenant: &str, seqs: &[u64]) -> Result<String, Fault> {
        reached(redelivery::redrive(tenant, seqs))
    }

    fn discard(&self, tenant: &str, seqs: &[u64]) -> Result<String, Fault> {
        reached(redelivery::discard(tenant, seqs))
    }

    fn replay(&self, tenant: &str, window: &Window, by: &str) -> Result<String, Fault> {
        reached(redelivery::replay(tenant, window, by))
    }

    fn replays(&self, tenant: &str) -> Result<String, Fault> {
        reached(redelivery::replays(tenant))
    }

    fn decide(&self, question: &str) -> Result<Decision, Fault> {
        reached(policy::decide(question))
    }

    fn policy_state(&self) -> Result<String, Fault> {
        reached(policies::state())
    }

    fn policy_versions(&self) -> Result<String, Fault> {
        reached(policies::versions())
    }

    fn publish_policy_bundle(&self, bundle: &str) -> Result<String, Fault> {
        reached(policies::publish_bundle(bundle))
    }

    fn publish_policy_data(&self, data: &str) -> Result<String, Fault> {
        reached(policies::publish_data(data))
    }

    fn activate_policy(&self, bundle: &str, data: Option<&str>, by: &str, over: Option<u64>) -> Result<String, Fault> {
        reached(policies::activate(bundle, data, by, over))
    }

    fn consumers(&self, tenant: &str) -> Result<String, Fault> {
        reached(consumers::all(tenant))
    }

    fn consumer(&self, tenant: &str, name: &str) -> Result<String, Fault> {
        reached(consumers::show(tenant, name))
    }

    fn begin_upload(&self, tenant: &str, bytes: u64) -> Result<String, Fault> {
        reached(consumers::begin(tenant, bytes))
    }

    fn upload_piece(&self, tenant: &str, upload: &str, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        reached(consumers::piece(tenant, upload, offset, bytes))
    }

    fn put_consumer(
        &self,
        tenant: &str,
        name: &str,
        upload: Option<&str>,
        spec: &str,
        by: &str,
    ) -> Result<String, Fault> {
        reached(consumers::put(tenant, name, upload, spec, by))
    }

    fn roll_back_consumer(&self, tenant: &str, name: &str, version: u32, by: &str) -> Result<String, Fault> {
        reached(consumers::roll_back(tenant, name, version, by))
    }

    fn delete_consumer(&self, tenant: &str, name: &str, by: &str) -> Result<String, Fault> {
        reached(consumers::delete(tenant, name, by))
    }

    fn consumer_logs(&self, tenant: &str, name: &str, limit: u32) -> Result<String, Fault> {
        reached(consumers::logs(tenant, name, limit))
    }

    fn usage(&self, tenant: &str, asked: &UsageAsked, format: Format) -> Result<Document, Fault> {
        let (since, until) = (asked.since.as_deref(), asked.until.as_deref());
        reached(accounts::usage(tenant, &asked.window, since, until, &asked.meters, format))
    }

    fn invoices(&self, tenant: &str) -> Result<String, Fault> {
        reached(accounts::invoices(tenant))
    }

    fn invoice(&self, tenant: &str, id: Option<&str>, format: Format) -> Result<Document, Fault> {
        reached(accounts::invoice(tenant, id, format))
    }

    fn verify(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        reached(accounts::verify(tenant, id))
    }

    fn issue(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        reached(accounts::issue(tenant, id))
    }

    fn void(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        reached(accounts::void(tenant, id))
    }

    fn subscription(&self, tenant: &str) -> Result<String, Fault> {
        reached(accounts::subscription(tenant))
    }

    fn subscribe(&self, tenant: &str, change: &str) -> Result<String, Fault> {
        reached(accounts::subscribe(tenant, change))
    }

    fn plans(&self) -> Result<String, Fault> {
        reached(accounts::plans())
    }

    fn plan(&self, name: &str) -> Result<String, Fault> {
        reached(accounts::plan(name))
    }

    fn save_plan(&self, name: &str, plan: &str) -> Result<String, Fault> {
        reached(accounts::save_plan(name, plan))
    }

    fn setting(&self, name: &str) -> Option<String> {
        match store::get(name) {
            Ok(value) => value.filter(|value| !value.is_empty()),
            Err(cause) => {
                self.log(&format!("the setting {name} can't be read, and is taken as not set: {cause:?}"));
                None
            }
        }
    }

    fn log(&self, line: &str) {
        eprintln!("{line}");
    }

    fn now_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn wait(&self, ms: u32) {
        wasi::clocks::monotonic_clock::subscribe_duration(u64::from(ms) * 1_000_000).block();
    }

    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, drawn) in bytes.iter_mut().zip(wasi::random::random::get_random_bytes(32)) {
            *place = drawn;
        }
        bytes
    }
}
