//! Every metric of the event store, by name. Those that the embedded store has too have its names.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// One put is durable.
pub fn put(events: usize, left: usize, took: Duration) {
    counter!("eventrunner_store_events_put_total").increment((events - left) as u64);
    counter!("eventrunner_store_events_repeated_total").increment(left as u64);
    histogram!("eventrunner_store_put_seconds").record(took);
}

/// A put was not done; `reason` is one of a few words.
pub fn refused(reason: &'static str) {
    counter!("eventrunner_store_puts_refused_total", "reason" => reason).increment(1);
}

pub fn queried(rows: usize, took: Duration) {
    counter!("eventrunner_store_rows_examined_total").increment(rows as u64);
    histogram!("eventrunner_store_query_seconds").record(took);
}

/// A statement is sent again; `reason` is what became of it.
pub fn retried(reason: &'static str) {
    counter!("eventrunner_store_statements_retried_total", "reason" => reason).increment(1);
}

/// A row of the index by time that no event points at.
pub fn stale() {
    counter!("eventrunner_store_rows_stale_total").increment(1);
}

/// Whether there was a session with the cluster at all, since the start.
pub fn connected(connected: bool) {
    gauge!("eventrunner_store_connected").set(if connected { 1.0 } else { 0.0 });
}
