//! Drafting: from usage and plans to an invoice.

use std::collections::BTreeMap;

use super::sheet::{plus, Sheet};
use super::{Invoice, State};
use crate::{Error, Period, Result, Subscription, Usage};

/// The invoice of `period`, a calendar month.
///
/// `history` is what there is of the tenant's invoices, in any order. Each month before `period` that has an issued
/// invoice in it is rated again, and where what is due now differs from what was charged, corrections included, the
/// difference is a line. So late usage is charged once, by the first invoice after it came. A month whose invoice is
/// void is due nothing, so corrections of it that stand are taken back. A history may leave out its oldest months,
/// which are final then; it may not leave out a month between. `usage` must cover every month that is rated, and an
/// error says where it does not: a gap is no refund.
pub fn draft(subscription: &Subscription, usage: &Usage, period: Period, history: &[Invoice]) -> Result<Invoice> {
    let tenant = usage.tenant();
    if !period.is_month() {
        return Err(Error::NoMonth(period));
    }
    let Some(currency) = subscription.currency() else {
        return Err(Error::Subscription("it has no plan".into()));
    };
    for invoice in history {
        if invoice.tenant != tenant {
            return Err(Error::Tenant { tenant: tenant.into(), other: invoice.tenant.clone() });
        }
        if invoice.currency != currency {
            return Err(Error::Currencies(invoice.currency.to_string(), currency.to_string()));
        }
    }
    let mut standing: BTreeMap<Period, &Invoice> = BTreeMap::new();
    for invoice in history.iter().filter(|invoice| invoice.stands()) {
        if invoice.period == period || standing.insert(invoice.period, invoice).is_some() {
            return Err(Error::Billed { id: invoice.id.clone(), period: invoice.period });
        }
    }
    let voided =
        history.iter().filter(|invoice| invoice.period == period && matches!(invoice.state, State::Void { .. }));
    let sequence = voided.map(|invoice| invoice.sequence).max().unwrap_or_default().saturating_add(1);
    let id = Invoice::id_of(tenant, period, sequence);

    let due = Sheet::due(subscription, usage, period)?;
    // A void invoice's month can have been corrected meanwhile, on invoices that stand: this one charges it anew, in
    // whole, so those corrections are taken back here.
    let mut corrected = Sheet::charged(period, standing.values().copied())?;
    let mut corrections = Sheet::default().corrections(&corrected, &id, period)?;
    for (past, invoice) in newest(history).range(..period) {
        let due = match invoice.stands() {
            true => Sheet::due(subscription, usage, *past)?,
            false => Sheet::default(),
        };
        corrected = Sheet::charged(*past, standing.values().copied())?;
        corrections.extend(due.corrections(&corrected, &invoice.id, *past)?);
    }
    let lines: Vec<_> = due.lines().chain(corrections).collect();
    let total_minor = lines.iter().try_fold(0, |sum, line| plus(sum, line.amount_minor))?;
    Ok(Invoice { id, tenant: tenant.to_owned(), period, sequence, currency, state: State::Draft, lines, total_minor })
}

/// Of each month, the invoice that was issued last. Drafts are nothing yet.
pub(super) fn newest(invoices: &[Invoice]) -> BTreeMap<Period, &Invoice> {
    let mut newest: BTreeMap<Period, &Invoice> = BTreeMap::new();
    for invoice in invoices.iter().filter(|invoice| invoice.state != State::Draft) {
        let known = newest.entry(invoice.period).or_insert(invoice);
        if known.sequence < invoice.sequence {
            *known = invoice;
        }
    }
    newest
}
