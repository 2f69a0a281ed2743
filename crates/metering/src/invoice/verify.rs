//! Proof: an invoice against the usage it is said to be of.

use std::collections::BTreeSet;

use serde::Serialize;

use super::draft::newest;
use super::sheet::{plus, Sheet};
use super::{Invoice, Kind};
use crate::{Band, Error, Meter, Period, Result, Subscription, Usage};

/// One number that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "InvoiceDifference"))]
pub struct Difference {
    /// What the line is for; none of what is the invoice's own.
    pub kind: Option<Kind>,
    pub meter: Option<Meter>,
    pub tier: Option<Band>,
    pub window: Period,
    /// `quantity`, `amount_minor`, or `total_minor` of the invoice.
    pub what: &'static str,
    pub expected: i64,
    pub found: i64,
}

/// Computes again what `invoice` says, of its month and of every month it corrects, from `usage`: once from that of
/// the analytics, once from that of the stream. Corrections of its month on invoices of `others` count as charged, so
/// late usage is a difference only until it is corrected. A month whose invoice is void is due nothing. Nothing found
/// is proof.
pub fn verify(
    invoice: &Invoice,
    subscription: &Subscription,
    usage: &Usage,
    others: &[Invoice],
) -> Result<Vec<Difference>> {
    if let Some(tenant) = others
        .iter()
        .map(|other| other.tenant.as_str())
        .chain([usage.tenant()])
        .find(|tenant| *tenant != invoice.tenant)
    {
        return Err(Error::Tenant { tenant: invoice.tenant.clone(), other: tenant.to_owned() });
    }
    let standing: Vec<&Invoice> =
        others.iter().filter(|other| other.stands() && other.period != invoice.period).chain([invoice]).collect();
    let corrected = invoice.lines.iter().filter_map(|line| line.corrects.as_ref().map(|corrects| corrects.period));
    let months: BTreeSet<Period> = corrected.chain([invoice.period]).collect();
    let known = newest(others);
    let mut found = Vec::new();
    for month in months {
        let due = if standing.iter().any(|standing| standing.period == month) {
            Sheet::due(subscription, usage, month)?
        } else if known.contains_key(&month) {
            Sheet::default()
        } else {
            return Err(Error::Missing { id: invoice.id.clone(), period: month });
        };
        let charged = Sheet::charged(month, standing.iter().copied())?;
        for (key, due, charged) in due.against(&charged) {
            let numbers = [
                ("quantity", due.quantity, charged.quantity),
                ("amount_minor", due.amount_minor, charged.amount_minor),
            ];
            let wrong = numbers.into_iter().filter(|(_, expected, found)| expected != found);
            found.extend(wrong.map(|(what, expected, found)| Difference {
                kind: Some(key.kind),
                meter: key.meter,
                tier: key.tier,
                window: key.window,
                what,
                expected,
                found,
            }));
        }
    }
    let total = invoice.lines.iter().try_fold(0, |sum, line| plus(sum, line.amount_minor))?;
    if total != invoice.total_minor {
        found.push(Difference {
            kind: None,
            meter: None,
            tier: None,
            window: invoice.period,
            what: "total_minor",
            expected: total,
            found: invoice.total_minor,
        });
    }
    Ok(found)
}
