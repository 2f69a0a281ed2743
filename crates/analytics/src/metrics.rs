//! Every metric of the analytics, by name.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

/// A block is durable.
pub fn block(rows: usize, calls: usize, took: Duration) {
    counter!("eventrunner_analytics_rows_inserted_total").increment(rows as u64);
    counter!("eventrunner_analytics_blocks_inserted_total").increment(1);
    counter!("eventrunner_analytics_inserts_total").increment(calls as u64);
    histogram!("eventrunner_analytics_block_seconds").record(took);
}

/// A block is tried again.
pub fn retried() {
    counter!("eventrunner_analytics_block_retries_total").increment(1);
}

/// A call was not done; `reason` is one of a few words.
pub fn refused(call: &'static str, reason: &'static str) {
    counter!("eventrunner_analytics_refused_total", "call" => call, "reason" => reason).increment(1);
}

pub fn waiting(rows: usize) {
    gauge!("eventrunner_analytics_waiting_rows").set(rows as f64);
}

pub fn asked(took: Duration) {
    histogram!("eventrunner_analytics_query_seconds").record(took);
}
