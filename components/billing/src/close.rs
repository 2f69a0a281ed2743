//! Months that are over, a few tenants a call, in the order of their names. How far it came rests beside the invoices,
//! so that a call that is cut off is taken up by the next, whoever makes it.

use std::cell::Cell;

use er_metering::limits::CLOSE_GRACE_US;
use er_metering::{close_due, Period, Time, Window};
use er_tenant::billing::{subscription_path, tenant_of_subscription, BILLING_BUCKET, CLOSED_PATH, EVERY_SUBSCRIPTION};
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Fault, FaultCode, Item, Rows, Source};
use crate::fault::{defect, OrFault as _};
use crate::{invoices, plans};

/// Tenants of one call: each may take some calls to the analytics, and all of them must fit into one call's deadline.
const TENANTS_MAX: u32 = 16;

/// How far months are closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Closed {
    /// The end of the last month that is closed for every tenant.
    until: Time,
    /// Of the month after that: the last tenant that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// Returns how many tenants were looked at; 0: nothing is left to do.
pub fn close(backend: &dyn Backend, settled_us: u64) -> Result<u32, Fault> {
    let settled = Time::from_us(i64::try_from(settled_us).unwrap_or(i64::MAX)).or_fault()?;
    let Some(item) = backend.kv_get(BILLING_BUCKET, CLOSED_PATH)? else {
        // Nobody was billed before this platform was there.
        let closed = Closed { until: Window::Month.start(settled), after: None };
        return write(backend, &closed, None).map(|_| 0);
    };
    let mut revision = item.revision;
    let mut closed: Closed = serde_json::from_str(&item.value).map_err(defect)?;
    // No month is closed before it is over. Going back is safe: a month that has an invoice gets no second one.
    let now = settled.max(backend.now()?);
    if closed.until > now {
        let again = Closed { until: month_before(now), after: None };
        eprintln!(
            "months are closed until {}, and it is {now}: a clock was ahead. They close again from {} on; if this clock \
             is right, nothing needs to be done (docs/billing.md)",
            closed.until, again.until
        );
        closed = again;
    }
    for month in close_due(settled, closed.until, CLOSE_GRACE_US) {
        let after = closed.after.as_deref().map(subscription_path);
        let items = backend.kv_scan(BILLING_BUCKET, EVERY_SUBSCRIPTION, after.as_deref(), TENANTS_MAX)?;
        let mut looked_at = 0;
        let mut fault = None;
        for item in &items {
            let Some(tenant) = tenant_of_subscription(&item.key) else { continue };
            let watched = Watched { backend, failed: Cell::new(false) };
            let subscription = plans::read(tenant, &item.value);
            match subscription.and_then(|plans| invoices::close(&watched, tenant, &plans, month, settled)) {
                Ok(()) => {}
                // Whatever it says: it is no tenant's fault, and who is passed over now is not invoiced for the month.
                Err(away) if watched.failed.get() => {
                    fault = Some(away);
                    break;
                }
                // One tenant's broken record must not keep all others from their invoices.
                Err(broken) => eprintln!("{} of {tenant} can't be closed: {}", month.month_label(), broken.detail),
            }
            closed.after = Some(tenant.to_owned());
            looked_at += 1;
        }
        if fault.is_none() && items.is_empty() {
            closed = Closed { until: month.to(), after: None };
        }
        revision = write(backend, &closed, Some(revision))?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        if looked_at > 0 {
            return Ok(looked_at);
        }
    }
    Ok(0)
}

/// The begin of the last month that was over. Closing it once more changes nothing, and writes down where to go on.
fn month_before(now: Time) -> Time {
    let month = Window::Month.start(now);
    month.plus_us(-1).map_or(month, |before| Window::Month.start(before))
}

/// A backend of which is known afterwards whether it failed.
struct Watched<'a> {
    backend: &'a dyn Backend,
    failed: Cell<bool>,
}

// === impl Watched ===

impl Watched<'_> {
    fn note<T>(&self, answer: Result<T, Fault>) -> Result<T, Fault> {
        // That somebody else was first, or that the tenant's own question is wrong, is an answer.
        let answered = |fault: &Fault| matches!(fault.code, FaultCode::Conflict | FaultCode::Invalid);
        if answer.as_ref().is_err_and(|fault| !answered(fault)) {
            self.failed.set(true);
        }
        answer
    }
}

impl Backend for Watched<'_> {
    fn kv_get(&self, bucket: &str, key: &str) -> Result<Option<Item>, Fault> {
        self.note(self.backend.kv_get(bucket, key))
    }

    fn kv_create(&self, bucket: &str, key: &str, value: &str) -> Result<u64, Fault> {
        self.note(self.backend.kv_create(bucket, key, value))
    }

    fn kv_put(&self, bucket: &str, key: &str, value: &str, revision: Option<u64>) -> Result<u64, Fault> {
        self.note(self.backend.kv_put(bucket, key, value, revision))
    }

    fn kv_scan(&self, bucket: &str, filter: &str, after: Option<&str>, limit: u32) -> Result<Vec<Item>, Fault> {
        self.note(self.backend.kv_scan(bucket, filter, after, limit))
    }

    fn insert(&self, records: &str) -> Result<(), Fault> {
        self.note(self.backend.insert(records))
    }

    fn usage(&self, from: Source, tenant: &str, period: Period, window: Window) -> Result<Rows, Fault> {
        self.note(self.backend.usage(from, tenant, period, window))
    }

    fn now(&self) -> Result<Time, Fault> {
        self.backend.now()
    }
}

fn write(backend: &dyn Backend, closed: &Closed, revision: Option<u64>) -> Result<u64, Fault> {
    let text = serde_json::to_string(closed).map_err(defect)?;
    let written = match revision {
        Some(_) => backend.kv_put(BILLING_BUCKET, CLOSED_PATH, &text, revision),
        None => backend.kv_create(BILLING_BUCKET, CLOSED_PATH, &text),
    };
    written.map_err(|fault| match fault.code {
        // Another call got as far meanwhile, and the next begins where that ended.
        FaultCode::Conflict => Fault { code: FaultCode::Unavailable, retry_after_ms: Some(0), ..fault },
        _ => fault,
    })
}
