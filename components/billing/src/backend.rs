//! What billing needs of the world around it: the linked interfaces and the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use er_metering::{read_rows, Period, Quantities, Time, Window};

pub use crate::bindings::eventrunner::platform::kv::Item;
pub use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::eventrunner::platform::{analytics, kv, usage_log};
use crate::fault::{defect, OrFault as _};

/// Begins of windows, and what was used in each.
pub type Rows = Vec<(Time, Quantities)>;

/// Named and shaped as the interfaces in `wit/`.
pub trait Backend {
    fn kv_get(&self, bucket: &str, key: &str) -> Result<Option<Item>, Fault>;
    fn kv_create(&self, bucket: &str, key: &str, value: &str) -> Result<u64, Fault>;
    fn kv_put(&self, bucket: &str, key: &str, value: &str, revision: Option<u64>) -> Result<u64, Fault>;
    fn kv_scan(&self, bucket: &str, filter: &str, after: Option<&str>, limit: u32) -> Result<Vec<Item>, Fault>;

    fn insert(&self, records: &str) -> Result<(), Fault>;
    fn usage(&self, from: Source, tenant: &str, period: Period, window: Window) -> Result<Rows, Fault>;

    fn now(&self) -> Result<Time, Fault>;
}

/// Who says what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Analytics,
    Stream,
}

/// The backend that is linked to this component.
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

    fn kv_scan(&self, bucket: &str, filter: &str, after: Option<&str>, limit: u32) -> Result<Vec<Item>, Fault> {
        kv::scan(bucket, filter, after, limit)
    }

    fn insert(&self, records: &str) -> Result<(), Fault> {
        analytics::insert(records)
    }

    fn usage(&self, from: Source, tenant: &str, period: Period, window: Window) -> Result<Rows, Fault> {
        let us = |time: Time| u64::try_from(time.us()).unwrap_or_default();
        let (since, until) = (us(period.from()), us(period.to()));
        let rows = match from {
            Source::Analytics => analytics::usage(tenant, since, until, window.name()),
            Source::Stream => usage_log::usage(tenant, since, until, window.name()),
        }?;
        read_rows(&rows).map_err(|cause| defect(format!("usage of {tenant}: {cause}")))
    }

    fn now(&self) -> Result<Time, Fault> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_us(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)).or_fault()
    }
}
