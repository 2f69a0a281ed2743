//! `raw-log`: appending to `ER_RAW`.

use std::collections::BTreeMap;

use er_event::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::raw_log::{Entry, Handler};
use crate::fault::{fault, publish_fault, unavailable};
use crate::payload::Payload;
use crate::provider::Jetstream;
use crate::publish::{publish_all, Outgoing};
use crate::streams;

impl Handler<Option<Context>> for Jetstream {
    async fn append(
        &self,
        cx: Option<Context>,
        tenant: String,
        entries: Vec<Entry>,
    ) -> anyhow::Result<Result<(), Fault>> {
        if let Err(refusal) = self.check_link(cx.as_ref(), "raw-log").await {
            return Ok(Err(refusal));
        }
        if !er_event::keys::valid_tenant(&tenant) {
            return Ok(Err(fault(FaultCode::Invalid, format!("`{tenant}` is not a tenant name"))));
        }
        Ok(self.append_raw(&tenant, entries).await)
    }
}

impl Jetstream {
    /// Publishes entries to their shards and waits for every PubAck.
    pub async fn append_raw(&self, tenant: &str, entries: Vec<Entry>) -> Result<(), Fault> {
        let parts = self.parts().await.map_err(|e| unavailable("JetStream can't be reached", &e))?;
        let mut shards: BTreeMap<u32, Vec<Group>> = BTreeMap::new();
        for entry in entries {
            let groups = shards.entry(entry.partition % parts.settings.shards).or_default();
            let count = er_event::event::split(&entry.events).map_or(1, |events| events.len());
            match groups.last_mut() {
                Some(group) if group.fits(&entry, count) => group.push(entry, count),
                _ => groups.push(Group::new(entry, count)),
            }
        }
        let out = shards
            .into_iter()
            .flat_map(|(shard, groups)| {
                let subject = streams::raw_subject(shard, tenant);
                groups.into_iter().map(move |group| group.outgoing(subject.clone()))
            })
            .collect();
        publish_all(&parts.js, out).await.map_err(|e| publish_fault(&e))
    }
}

/// Entries of one append that go to one shard, as one message: a message costs a sync, however small it is.
struct Group {
    /// The first entry's: a repeated append makes the same groups, and so the same ids.
    message_id: String,
    received_us: u64,
    batches: Vec<String>,
    events: usize,
    bytes: usize,
}

// === impl Group ===

impl Group {
    fn new(entry: Entry, count: usize) -> Self {
        Self {
            message_id: entry.message_id,
            received_us: entry.received_us,
            bytes: entry.events.len(),
            batches: vec![entry.events],
            events: count,
        }
    }

    fn fits(&self, entry: &Entry, count: usize) -> bool {
        self.events + count <= BATCH_EVENTS_MAX && self.bytes + entry.events.len() <= BATCH_BYTES_MAX
    }

    fn push(&mut self, entry: Entry, count: usize) {
        self.received_us = self.received_us.min(entry.received_us);
        self.bytes += entry.events.len();
        self.batches.push(entry.events);
        self.events += count;
    }

    fn outgoing(mut self, subject: String) -> Outgoing {
        let payload = match self.batches.as_mut_slice() {
            [only] => bytes::Bytes::from(std::mem::take(only)),
            many => crate::batch::join(many.iter().map(|batch| batch.as_bytes())),
        };
        Outgoing {
            subject,
            message_id: self.message_id,
            received_us: self.received_us,
            headers: vec![(streams::EVENTS_COUNT, self.events.to_string())],
            payload: Payload::pack(payload),
        }
    }
}
