//! A world in memory, with faults to order. Its analytics and its stream are ledgers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use er_metering::{Ledger, Meter, Period, Quantities, Record, Time, Window};
use er_tenant::TENANTS_BUCKET;
use serde_json::Value;

use crate::backend::{Backend, Fault, FaultCode, Item, Rows, Source};
use crate::close::close;
use crate::fault::{fault, OrFault as _};
use crate::plans::subscribe;

pub struct World {
    records: RefCell<BTreeMap<(String, String), (String, u64)>>,
    revision: Cell<u64>,
    pub analytics: RefCell<Ledger>,
    pub stream: RefCell<Ledger>,
    pub now: Cell<Time>,
    /// Reads of usage that work before one fails so.
    pub usage_fault: Cell<Option<(u32, FaultCode)>>,
    /// Writes that fail with a conflict before one succeeds.
    pub conflicts: Cell<u32>,
}

/// 1.00 a month and 0.01 an event after the first ten.
pub const PLAN: &str = r#"{"name":"Small","currency":"USD","monthly_fee":"1.00",
    "charges":[{"meter":"events_in","free":10,"price":{"per_unit":{"amount":"0.01"}}}]}"#;

pub fn at(text: &str) -> Time {
    Time::parse(&format!("2026-{text}:00Z")).unwrap()
}

pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

impl World {
    /// On 2026-03-10, with the tenants `acme` and `other` and nobody's plan.
    pub fn new() -> Self {
        let world = World {
            records: RefCell::default(),
            revision: Cell::default(),
            analytics: RefCell::new(Ledger::new(Time::MIN)),
            stream: RefCell::new(Ledger::new(Time::MIN)),
            now: Cell::new(at("03-10T12:00")),
            usage_fault: Cell::default(),
            conflicts: Cell::default(),
        };
        for id in ["acme", "other"] {
            world.record(TENANTS_BUCKET, id, &format!(r#"{{"id":"{id}"}}"#));
        }
        world
    }

    /// As [`World::new`], and both tenants have [`PLAN`] since the begin of March.
    pub fn with_plans() -> Self {
        let world = World::new();
        for tenant in ["acme", "other"] {
            let change = format!(r#"{{"plan":{PLAN},"effective_from":"2026-03-01T00:00:00Z"}}"#);
            subscribe(&world, tenant, &change).unwrap();
        }
        world
    }

    pub fn record(&self, bucket: &str, key: &str, value: &str) {
        self.kv_put(bucket, key, value, None).unwrap();
    }

    /// Events that came in, as analytics and stream have them.
    pub fn use_events(&self, tenant: &str, id: &str, time: &str, events: u64) {
        for ledger in [&self.analytics, &self.stream] {
            merge(ledger, tenant, id, time, events);
        }
    }

    /// Looks until nothing is left to close; how many tenants were looked at.
    pub fn close_all(&self, settled: &str) -> u32 {
        let mut all = 0;
        loop {
            match close(self, at(settled).us().unsigned_abs()).unwrap() {
                0 => return all,
                some => all += some,
            }
        }
    }

    fn next_revision(&self) -> u64 {
        self.revision.set(self.revision.get() + 1);
        self.revision.get()
    }

    fn conflict(&self) -> Result<(), Fault> {
        match self.conflicts.get() {
            0 => Ok(()),
            left => {
                self.conflicts.set(left - 1);
                Err(fault(FaultCode::Conflict, "ordered"))
            }
        }
    }
}

pub fn merge(ledger: &RefCell<Ledger>, tenant: &str, id: &str, time: &str, events: u64) {
    let used = Quantities::of(Meter::EventsIn, events).unwrap();
    let _ = ledger.borrow_mut().merge(&Record::new(tenant, id, at(time), used).unwrap()).unwrap();
}

fn matches(filter: &str, key: &str) -> bool {
    let (filter, key): (Vec<&str>, Vec<&str>) = (filter.split('.').collect(), key.split('.').collect());
    filter.len() == key.len() && filter.iter().zip(key).all(|(wanted, part)| *wanted == "*" || *wanted == part)
}

impl Backend for World {
    fn kv_get(&self, bucket: &str, key: &str) -> Result<Option<Item>, Fault> {
        let records = self.records.borrow();
        let found = records.get(&(bucket.to_owned(), key.to_owned()));
        Ok(found.map(|(value, revision)| Item { key: key.into(), value: value.clone(), revision: *revision }))
    }

    fn kv_create(&self, bucket: &str, key: &str, value: &str) -> Result<u64, Fault> {
        self.conflict()?;
        if self.kv_get(bucket, key)?.is_some() {
            return Err(fault(FaultCode::Conflict, "it is there"));
        }
        self.kv_put(bucket, key, value, None)
    }

    fn kv_put(&self, bucket: &str, key: &str, value: &str, revision: Option<u64>) -> Result<u64, Fault> {
        if revision.is_some() {
            self.conflict()?;
        }
        let known = self.kv_get(bucket, key)?.map(|item| item.revision);
        if revision.is_some() && known != revision {
            return Err(fault(FaultCode::Conflict, "somebody else wrote it"));
        }
        let next = self.next_revision();
        self.records.borrow_mut().insert((bucket.into(), key.into()), (value.into(), next));
        Ok(next)
    }

    fn kv_scan(&self, bucket: &str, filter: &str, after: Option<&str>, limit: u32) -> Result<Vec<Item>, Fault> {
        let records = self.records.borrow();
        let found = records.iter().filter(|((of, key), _)| {
            of == bucket && matches(filter, key) && after.is_none_or(|after| after < key.as_str())
        });
        let items = found.map(|((_, key), (value, revision))| Item {
            key: key.clone(),
            value: value.clone(),
            revision: *revision,
        });
        Ok(items.take(limit as usize).collect())
    }

    fn insert(&self, records: &str) -> Result<(), Fault> {
        for record in Record::parse_lines(records).or_fault()? {
            let _ = self.analytics.borrow_mut().merge(&record).or_fault()?;
        }
        Ok(())
    }

    fn usage(&self, from: Source, tenant: &str, period: Period, window: Window) -> Result<Rows, Fault> {
        match self.usage_fault.get() {
            Some((0, code)) => return Err(fault(code, "ordered")),
            Some((left, code)) => self.usage_fault.set(Some((left - 1, code))),
            None => {}
        }
        let ledger = if from == Source::Analytics { &self.analytics } else { &self.stream };
        let usage = ledger.borrow().usage(tenant, period).or_fault()?;
        Ok(usage.by(window, period).or_fault()?.into_iter().map(|(of, used)| (of.from(), used)).collect())
    }

    fn now(&self) -> Result<Time, Fault> {
        Ok(self.now.get())
    }
}
