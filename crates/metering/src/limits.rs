//! Every limit, in one place, its unit last.

/// A record's batch id.
pub const BATCH_ID_BYTES_MAX: usize = 256;
/// A record as a line.
pub const RECORD_BYTES_MAX: usize = 2048;
/// Any sum of a meter: what a signed number of 64 bits holds, so that differences
/// fit too. In bytes 9 exabytes; in MiB·µs 3,300 GiB held for a whole month.
pub const QUANTITY_MAX: u64 = i64::MAX as u64;
/// What one record says of one meter: a petabyte, or three hours in 100 GiB. More is a fault of whoever wrote it, and would
/// be money.
pub const RECORD_QUANTITY_MAX: u64 = 1 << 50;
/// Records a ledger remembers to know them again.
pub const LEDGER_RECORDS_MAX: usize = 1 << 18;
/// A plan's name.
pub const PLAN_NAME_CHARS_MAX: usize = 100;
/// Charges of one plan: no meter is charged twice, so there are never more than meters.
pub const PLAN_CHARGES_MAX: usize = crate::Meter::COUNT;
/// Tiers of one charge.
pub const PLAN_TIERS_MAX: usize = 32;
/// A plan as JSON.
pub const PLAN_BYTES_MAX: usize = 64 * 1024;
/// Plans of one subscription, one after the other.
pub const SUBSCRIPTION_CHANGES_MAX: usize = 1024;
/// Months that [`crate::close_due`] names at once; whoever has closed them asks again.
pub const PERIODS_DUE_MAX: usize = 24;
/// How long after a month's end it is closed: what comes until then is usage, and not a correction.
pub const CLOSE_GRACE_US: u64 = 3_600_000_000;
/// Digits after the point of a price: it is kept in billionths of the currency's major unit.
pub const PRICE_DIGITS_MAX: usize = 9;
/// Rows of one report.
pub const REPORT_ROWS_MAX: usize = 50_000;
/// Windows of one answer of the analytics or the stream: two days by the minute, four months by the hour.
pub const WINDOWS_MAX: usize = 3_000;
