//! Invoices: drafted whenever somebody looks, kept from the moment that they are issued.

use er_metering::{draft, render, verify as prove, Invoice, Period, State, Subscription, Time, Window};
use er_tenant::billing::{invoice_path, invoices_of, BILLING_BUCKET};
use serde_json::json;

use crate::backend::{Backend, Fault, FaultCode, Source};
use crate::bindings::exports::eventrunner::platform::accounts::{Document, Format};
use crate::fault::{defect, fault, not_found, OrFault as _};
use crate::plans::held;
use crate::usage::{by_parts, document, CSV, HTML, JSON};

/// Months before the one that is drafted whose late usage is corrected; older ones are final.
const CORRECTED_MONTHS_MAX: usize = 3;
/// How much the clocks of two who close at once may differ.
const CLOCKS_APART_US: i64 = 60_000_000;
/// A tenant's invoices that are looked at: eighty years of them.
const SCAN_ITEMS_MAX: u32 = 1_000;

/// What rests of a tenant, oldest first.
pub fn kept(backend: &dyn Backend, tenant: &str) -> Result<Vec<Invoice>, Fault> {
    let items = backend.kv_scan(BILLING_BUCKET, &invoices_of(tenant), None, SCAN_ITEMS_MAX)?;
    items.iter().map(|item| read(&item.value)).collect()
}

fn read(value: &str) -> Result<Invoice, Fault> {
    serde_json::from_str(value).map_err(|cause| defect(format!("an invoice can't be read: {cause}")))
}

/// The invoice of a month that none stands for.
pub fn drafted(
    backend: &dyn Backend,
    tenant: &str,
    subscription: &Subscription,
    month: Period,
    kept: &[Invoice],
) -> Result<Invoice, Fault> {
    let mut months: Vec<Period> = kept.iter().map(|invoice| invoice.period).filter(|past| *past < month).collect();
    months.dedup();
    let oldest = months.iter().rev().take(CORRECTED_MONTHS_MAX).next_back().copied().unwrap_or(month);
    let history: Vec<Invoice> = kept.iter().filter(|invoice| invoice.period >= oldest).cloned().collect();
    let usage = by_parts(backend, Source::Analytics, tenant, subscription, oldest, month)?;
    draft(subscription, &usage, month, &history).or_fault()
}

/// Makes the month's invoice final, unless it is already. Whoever comes second finds it done. One that was issued before
/// the month was over, by a clock that was ahead, is taken back first.
pub fn close(
    backend: &dyn Backend,
    tenant: &str,
    subscription: &Subscription,
    month: Period,
    at: Time,
) -> Result<(), Fault> {
    if subscription.begins() >= month.to() {
        return Ok(());
    }
    // Of two that close at once, one's clock may be a little ahead.
    let now = at.max(backend.now()?).plus_us(CLOCKS_APART_US).or_fault()?;
    let mut past = kept(backend, tenant)?;
    let mut of_month = past.iter().filter(|invoice| invoice.period == month);
    if of_month.clone().any(|invoice| !invoice.issued_ahead(now)) {
        return Ok(());
    }
    if let Some(id) = of_month.find(|invoice| is_issued(invoice)).map(|invoice| invoice.id.clone()) {
        eprintln!("{id} was issued by a clock that was ahead: it is made void, and its month gets another");
        void(backend, tenant, &id)?;
        past = kept(backend, tenant)?;
    }
    keep(backend, drafted(backend, tenant, subscription, month, &past)?, at).map(|_| ())
}

/// Issues a draft and keeps it, if nobody has yet.
fn keep(backend: &dyn Backend, mut invoice: Invoice, at: Time) -> Result<Invoice, Fault> {
    invoice.issue(at).or_fault()?;
    let path = invoice_path(&invoice.tenant, &invoice.period.month_label(), invoice.sequence);
    match backend.kv_create(BILLING_BUCKET, &path, &invoice.to_json()) {
        Ok(_) => Ok(invoice),
        Err(fault) if fault.code == FaultCode::Conflict => find(backend, &invoice.tenant, &invoice.id)?
            .map(|(invoice, _)| invoice)
            .ok_or_else(|| defect(format!("{} is there and is not", invoice.id))),
        Err(fault) => Err(fault),
    }
}

/// A kept invoice, with its revision.
fn find(backend: &dyn Backend, tenant: &str, id: &str) -> Result<Option<(Invoice, u64)>, Fault> {
    let Some((month, sequence)) = parts(tenant, id) else { return Ok(None) };
    let item = backend.kv_get(BILLING_BUCKET, &invoice_path(tenant, &month.month_label(), sequence))?;
    item.map(|item| Ok((read(&item.value)?, item.revision))).transpose()
}

/// Month and number of `acme-2026-03-1`.
fn parts(tenant: &str, id: &str) -> Option<(Period, u32)> {
    let (month, sequence) = id.strip_prefix(tenant)?.strip_prefix('-')?.rsplit_once('-')?;
    Some((Period::month(month).ok()?, sequence.parse().ok()?))
}

fn is_issued(invoice: &Invoice) -> bool {
    matches!(invoice.state(), State::Issued { .. })
}

/// An invoice that rests, or the draft of that id.
fn any(backend: &dyn Backend, tenant: &str, id: &str) -> Result<Invoice, Fault> {
    if let Some((invoice, _)) = find(backend, tenant, id)? {
        return Ok(invoice);
    }
    let missing = || not_found(format!("{tenant} has no invoice {id}"));
    let (month, _) = parts(tenant, id).ok_or_else(missing)?;
    let subscription = held(backend, tenant)?;
    if month.from() > backend.now()? || subscription.begins() >= month.to() {
        return Err(missing());
    }
    let kept = kept(backend, tenant)?;
    if kept.iter().any(|invoice| invoice.period == month && is_issued(invoice)) {
        return Err(missing());
    }
    Some(drafted(backend, tenant, &subscription, month, &kept)?).filter(|draft| draft.id == id).ok_or_else(missing)
}

/// The draft of the month that it is, or what rests where there is none.
fn newest(backend: &dyn Backend, tenant: &str, kept: &[Invoice]) -> Result<Invoice, Fault> {
    let subscription = held(backend, tenant)?;
    let month = Window::Month.of(backend.now()?).or_fault()?;
    if let Some(issued) = kept.iter().rfind(|invoice| invoice.period >= month && is_issued(invoice)) {
        return Ok(issued.clone());
    }
    // Plans of a tenant can begin in a month to come.
    if subscription.begins() >= month.to() {
        return kept.last().cloned().ok_or_else(|| {
            not_found(format!("{tenant} has no invoice yet: its first plan begins {}", subscription.begins()))
        });
    }
    drafted(backend, tenant, &subscription, month, kept)
}

pub fn list(backend: &dyn Backend, tenant: &str) -> Result<String, Fault> {
    let mut all = kept(backend, tenant)?;
    let draft = newest(backend, tenant, &all)?;
    if !all.contains(&draft) {
        all.push(draft);
    }
    let items: Vec<_> = all
        .iter()
        .rev()
        .map(|invoice| {
            json!({
                "id": invoice.id,
                "state": invoice.state().name(),
                "period": invoice.period,
                "total_minor": invoice.total_minor,
                "currency": invoice.currency,
            })
        })
        .collect();
    Ok(json!({ "items": items }).to_string())
}

pub fn show(backend: &dyn Backend, tenant: &str, id: Option<&str>, format: Format) -> Result<Document, Fault> {
    let invoice = match id {
        Some(id) => any(backend, tenant, id)?,
        None => newest(backend, tenant, &kept(backend, tenant)?)?,
    };
    Ok(match format {
        Format::Json => document(JSON, invoice.to_json()),
        Format::Csv => document(CSV, render::invoice_csv(&invoice)),
        Format::Html => document(HTML, render::invoice_html(&invoice)),
    })
}

pub fn verify(backend: &dyn Backend, tenant: &str, id: &str) -> Result<String, Fault> {
    let invoice = any(backend, tenant, id)?;
    let subscription = held(backend, tenant)?;
    let kept = kept(backend, tenant)?;
    let others: Vec<Invoice> = kept.into_iter().filter(|other| other.id != invoice.id).collect();
    let corrected = invoice.lines.iter().filter_map(|line| line.corrects.as_ref().map(|corrects| corrects.period));
    let oldest = corrected.min().unwrap_or(invoice.period);
    let differences = |source| {
        let usage = by_parts(backend, source, tenant, &subscription, oldest, invoice.period)?;
        prove(&invoice, &subscription, &usage, &others).or_fault()
    };
    let analytics = differences(Source::Analytics)?;
    let mut proof = json!({ "invoice": id, "analytics": analytics });
    // The analytics are there to say something even when the stream does not reach back so far.
    match differences(Source::Stream) {
        Ok(stream) => proof["stream"] = json!(stream),
        Err(fault) => {
            proof["stream"] = json!(null);
            proof["stream_fault"] = json!(fault.detail);
        }
    }
    Ok(proof.to_string())
}

pub fn issue(backend: &dyn Backend, tenant: &str, id: &str) -> Result<String, Fault> {
    let invoice = any(backend, tenant, id)?;
    Ok(keep(backend, invoice, backend.now()?)?.to_json())
}

pub fn void(backend: &dyn Backend, tenant: &str, id: &str) -> Result<String, Fault> {
    let Some((mut invoice, revision)) = find(backend, tenant, id)? else {
        let draft = any(backend, tenant, id)?;
        return Err(fault(
            FaultCode::Conflict,
            format!("{} is a {}: there is nothing to take back", id, draft.state().name()),
        ));
    };
    invoice.void(backend.now()?).or_fault()?;
    let path = invoice_path(tenant, &invoice.period.month_label(), invoice.sequence);
    backend.kv_put(BILLING_BUCKET, &path, &invoice.to_json(), Some(revision))?;
    Ok(invoice.to_json())
}
