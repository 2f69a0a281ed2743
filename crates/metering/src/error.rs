//! What can go wrong. Trying again with the same input mends nothing, except that a full ledger can be made room in.

use crate::plan::Fault;
use crate::time::Period;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0} is no time of RFC 3339 from 1970 to 9999")]
    Time(String),
    #[error("a period must end after it begins, which {from} to {to} does not")]
    Period { from: String, to: String },
    #[error("{0} is not a whole calendar month of UTC")]
    NoMonth(Period),
    #[error("{0} would be beyond what can be counted")]
    Overflow(&'static str),
    #[error("{0:?} is no currency of ISO 4217 that we know; write its three capital letters, as USD")]
    Currency(String),
    #[error("{text:?} is no amount of {currency}: write digits, and at most {digits} after a point")]
    Amount { text: String, currency: String, digits: usize },
    #[error("{0} and {1} can't be added up")]
    Currencies(String, String),
    #[error("line {line}: {what}")]
    Record { line: usize, what: String },
    #[error("the ledger remembers as many records as it may; retire the oldest minutes")]
    LedgerFull,
    #[error("the plan is not valid: {}", list(.0))]
    Plan(Vec<Fault>),
    #[error("the subscription is not valid: {0}")]
    Subscription(String),
    #[error("the usage at hand is of {covers}, which does not hold all of {wanted}")]
    NotCovered { covers: Period, wanted: Period },
    #[error("usage of {tenant} was needed, and of {other} was given")]
    Tenant { tenant: String, other: String },
    #[error("usage is known by {window} only, too coarse for {wanted}")]
    Coarse { window: &'static str, wanted: Period },
    #[error("{period} is billed already, by invoice {id}")]
    Billed { id: String, period: Period },
    #[error("invoice {id} is {state}: it can't be {wanted}")]
    State { id: String, state: &'static str, wanted: &'static str },
    #[error("invoice {id} can't be {wanted} at {at}, before {not_before}")]
    Early { id: String, wanted: &'static str, at: String, not_before: String },
    #[error("invoice {id} corrects {period}, and the invoice of that period was not given")]
    Missing { id: String, period: Period },
    #[error("a report has at most {0} rows: ask for a wider window or a shorter time")]
    Rows(usize),
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ")
}
