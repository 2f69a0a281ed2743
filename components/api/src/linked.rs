//! The backend that is linked to this component.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::backend::{Backend, Document, EventPage, Fault, Filter, Format, Item, TailPage, UsageAsked};
use crate::bindings::eventrunner::platform::{accounts, event_store, kv, tail};

pub struct Linked;

impl Backend for Linked {
    fn kv_get(&self, bucket: &str, key: &str) -> Result<Option<Item>, Fault> {
        kv::get(bucket, key)
    }

    fn kv_create(&self, bucket: &str, key: &str, value: &str) -> Result<u64, Fault> {
        kv::create(bucket, key, value)
    }

    fn kv_put(&self, bucket: &str, key: &str, value: &str, revision: Option<u64>) -> Result<u64, Fault> {
        kv::put(bucket, key, value, revision)
    }

    fn kv_delete(&self, bucket: &str, key: &str) -> Result<(), Fault> {
        kv::delete(bucket, key)
    }

    fn kv_scan(&self, bucket: &str, filter: &str, after: Option<&str>, limit: u32) -> Result<Vec<Item>, Fault> {
        kv::scan(bucket, filter, after, limit)
    }

    fn event(&self, tenant: &str, source: &str, id: &str) -> Result<Option<String>, Fault> {
        event_store::get(tenant, source, id)
    }

    fn events(&self, tenant: &str, filter: &Filter, cursor: Option<&str>, limit: u32) -> Result<EventPage, Fault> {
        event_store::query(tenant, filter, cursor, limit)
    }

    fn tail(&self, tenant: &str, after: Option<u64>, types: &[String], wait_ms: u32) -> Result<TailPage, Fault> {
        tail::read(tenant, after, types, wait_ms)
    }

    fn dead_letters(&self, tenant: &str, after: u64, limit: u32) -> Result<String, Fault> {
        tail::dead_letters(tenant, after, limit)
    }

    fn usage(&self, tenant: &str, asked: &UsageAsked, format: Format) -> Result<Document, Fault> {
        let (since, until) = (asked.since.as_deref(), asked.until.as_deref());
        accounts::usage(tenant, &asked.window, since, until, &asked.meters, format)
    }

    fn invoices(&self, tenant: &str) -> Result<String, Fault> {
        accounts::invoices(tenant)
    }

    fn invoice(&self, tenant: &str, id: Option<&str>, format: Format) -> Result<Document, Fault> {
        accounts::invoice(tenant, id, format)
    }

    fn verify(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        accounts::verify(tenant, id)
    }

    fn issue(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        accounts::issue(tenant, id)
    }

    fn void(&self, tenant: &str, id: &str) -> Result<String, Fault> {
        accounts::void(tenant, id)
    }

    fn subscription(&self, tenant: &str) -> Result<String, Fault> {
        accounts::subscription(tenant)
    }

    fn subscribe(&self, tenant: &str, change: &str) -> Result<String, Fault> {
        accounts::subscribe(tenant, change)
    }

    fn plans(&self) -> Result<String, Fault> {
        accounts::plans()
    }

    fn plan(&self, name: &str) -> Result<String, Fault> {
        accounts::plan(name)
    }

    fn save_plan(&self, name: &str, plan: &str) -> Result<String, Fault> {
        accounts::save_plan(name, plan)
    }

    fn log(&self, line: &str) {
        eprintln!("{line}");
    }

    fn now_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, drawn) in bytes.iter_mut().zip(wasi::random::random::get_random_bytes(32)) {
            *place = drawn;
        }
        bytes
    }
}
