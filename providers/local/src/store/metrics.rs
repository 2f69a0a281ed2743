//! Every metric of the event store, by name.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// One put is durable.
pub fn put(events: usize, took: Duration) {
    counter!("eventrunner_store_events_put_total").increment(events as u64);
    histogram!("eventrunner_store_put_seconds").record(took);
}

/// A put was not done; `reason` is one of a few words.
pub fn refused(reason: &'static str) {
    counter!("eventrunner_store_puts_refused_total", "reason" => reason).increment(1);
}

/// One sync made so many events durable.
pub fn group(events: usize, sync: Duration) {
    histogram!("eventrunner_store_sync_batch_events").record(events as f64);
    histogram!("eventrunner_store_sync_seconds").record(sync);
}

/// The writer waited for flushes or compaction to catch up.
pub fn stalled(took: Duration) {
    counter!("eventrunner_store_stalls_total").increment(1);
    histogram!("eventrunner_store_stall_seconds").record(took);
}

pub fn queried(rows: usize, took: Duration) {
    counter!("eventrunner_store_rows_examined_total").increment(rows as u64);
    histogram!("eventrunner_store_query_seconds").record(took);
}

/// A look-up led to another event's row.
pub fn collision() {
    counter!("eventrunner_store_hash_collisions_total").increment(1);
}

pub fn expired(events: usize) {
    counter!("eventrunner_store_events_expired_total").increment(events as u64);
}

pub fn disk(used: u64, free: u64) {
    gauge!("eventrunner_store_disk_bytes").set(used as f64);
    gauge!("eventrunner_store_disk_free_bytes").set(free as f64);
}
