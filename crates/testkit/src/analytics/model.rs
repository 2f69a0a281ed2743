//! What usage should be, from the records alone.

use er_metering::{Ledger, Period, Quantities, Record, Time, Window};

/// What `analytics.usage` should say of these records, which must not contradict each other.
///
/// # Errors
/// When the ledger can't count them.
pub fn expected(records: &[Record], tenant: &str, period: Period, window: Window) -> anyhow::Result<String> {
    let mut ledger = Ledger::with_records_max(Time::MIN, usize::MAX);
    for record in records {
        let _ = ledger.merge(record)?;
    }
    let windows = ledger.usage(tenant, period)?.by(window, period)?;
    let windows: Vec<(Time, Quantities)> = windows.into_iter().map(|(of, used)| (of.from(), used)).collect();
    Ok(serde_json::to_string(&windows)?)
}
