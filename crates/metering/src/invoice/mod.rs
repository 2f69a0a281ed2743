//! Invoices: what they say, and the states they go through.

mod close;
mod draft;
mod sheet;
mod verify;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Band, Currency, Error, Meter, Money, Period, Price, Result, Time};

pub use close::close_due;
pub use draft::draft;
pub use verify::{verify, Difference};

/// What a tenant owes for one calendar month, and what is put right of months before. Once issued its lines never
/// change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Invoice {
    /// Made of what follows: `acme-2026-03-1`.
    pub id: String,
    pub tenant: String,
    pub period: Period,
    /// 1, and one more for each invoice of the period that was voided before.
    pub sequence: u32,
    pub currency: Currency,
    #[serde(flatten)]
    pub(crate) state: State,
    pub lines: Vec<Line>,
    pub total_minor: i64,
}

/// Draft, then issued, then perhaps void: never back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "InvoiceState"))]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Nobody has seen it; drafting again replaces it.
    Draft,
    Issued {
        issued: Time,
    },
    /// It is owed no more. Drafting its month again makes another invoice.
    Void {
        issued: Time,
        voided: Time,
    },
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "InvoiceLineKind"))]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The plan's monthly fee.
    Fixed,
    Usage,
    /// What is missing to the plan's minimum.
    Minimum,
    /// What another line should have been, less what it was.
    Correction,
}

/// One line, rounded once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "InvoiceLine"))]
pub struct Line {
    pub kind: Kind,
    /// Of a correction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<Corrects>,
    /// The plan's name; of a minimum none, for all plans of the month make it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The part of the month that it is of.
    pub window: Period,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<Meter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Band>,
    /// In the meter's unit; of a correction, what was added or (below zero) taken away at this price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    pub amount_minor: i64,
}

/// What a correction puts right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "InvoiceCorrects"))]
pub struct Corrects {
    pub invoice: String,
    pub period: Period,
    pub kind: Kind,
}

// === impl Invoice ===

impl Invoice {
    pub fn state(&self) -> State {
        self.state
    }

    pub fn total(&self) -> Money {
        Money::new(self.total_minor, self.currency)
    }

    /// Makes it final. A month that is not over can't be final.
    pub fn issue(&mut self, at: Time) -> Result<()> {
        if self.state != State::Draft {
            return Err(self.cannot("issued"));
        }
        self.not_before(self.period.to(), at, "issued")?;
        self.state = State::Issued { issued: at };
        Ok(())
    }

    /// Takes it back whole, also before it was issued: what a clock that was ahead has made must not stand until then.
    /// What it corrected is corrected again by the next invoice.
    pub fn void(&mut self, at: Time) -> Result<()> {
        let State::Issued { issued } = self.state else { return Err(self.cannot("voided")) };
        self.state = State::Void { issued, voided: at };
        Ok(())
    }

    /// Whether a clock that was ahead issued it: it is issued later than `now`, or than it was made void. It says nothing
    /// of its month, which was not over.
    pub fn issued_ahead(&self, now: Time) -> bool {
        match self.state {
            State::Draft => false,
            State::Issued { issued } => issued > now,
            State::Void { issued, voided } => issued > voided,
        }
    }

    pub fn to_json(&self) -> String {
        // Nothing in an invoice can fail to be written: its keys are texts and its numbers are whole.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(crate) fn id_of(tenant: &str, period: Period, sequence: u32) -> String {
        format!("{tenant}-{}-{sequence}", period.month_label())
    }

    pub(crate) fn stands(&self) -> bool {
        matches!(self.state, State::Issued { .. })
    }

    fn cannot(&self, wanted: &'static str) -> Error {
        Error::State { id: self.id.clone(), state: self.state.name(), wanted }
    }

    fn not_before(&self, limit: Time, at: Time, wanted: &'static str) -> Result<()> {
        if at >= limit {
            return Ok(());
        }
        Err(Error::Early { id: self.id.clone(), wanted, at: at.to_string(), not_before: limit.to_string() })
    }
}

// === impl State ===

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Draft => "draft",
            State::Issued { .. } => "issued",
            State::Void { .. } => "void",
        }
    }
}

// === impl Kind ===

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Fixed => "fixed",
            Kind::Usage => "usage",
            Kind::Minimum => "minimum",
            Kind::Correction => "correction",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    fn invoice() -> Invoice {
        let text = r#"{"id":"acme-2026-03-1","tenant":"acme","period":{"from":"2026-03-01T00:00:00Z","to":"2026-04-01T00:00:00Z"},"sequence":1,"currency":"USD","state":"draft","lines":[],"total_minor":0}"#;
        let invoice: Invoice = serde_json::from_str(text).unwrap();
        assert_eq!(invoice.to_json(), text);
        assert_eq!(Invoice::id_of("acme", invoice.period, 1), invoice.id);
        invoice
    }

    #[test]
    fn an_invoice_goes_from_draft_to_issued_to_void_and_nowhere_else() {
        let mut invoice = invoice();
        assert!(matches!(invoice.void(at("2026-04-02T00:00:00Z")), Err(Error::State { state: "draft", .. })));
        assert!(matches!(invoice.issue(at("2026-03-31T23:59:59Z")), Err(Error::Early { .. })));
        assert_eq!(invoice.state(), State::Draft);
        invoice.issue(at("2026-04-01T00:00:00Z")).unwrap();
        assert!(matches!(invoice.issue(at("2026-04-02T00:00:00Z")), Err(Error::State { state: "issued", .. })));
        let text = invoice.to_json();
        assert!(text.contains(r#""state":"issued","issued":"2026-04-01T00:00:00Z","lines""#), "{text}");
        assert_eq!(serde_json::from_str::<Invoice>(&text).unwrap(), invoice);
        invoice.void(at("2026-04-03T00:00:00Z")).unwrap();
        for done in [invoice.clone().issue(at("2026-05-01T00:00:00Z")), invoice.void(at("2026-05-01T00:00:00Z"))] {
            assert!(matches!(done, Err(Error::State { state: "void", .. })));
        }
    }

    #[test]
    fn what_a_clock_that_was_ahead_has_issued_is_told_and_can_be_taken_back() {
        let mut invoice = invoice();
        let (now, ahead) = (at("2026-04-03T00:00:00Z"), at("2026-09-01T00:00:00Z"));
        assert!(!invoice.issued_ahead(now), "a draft");
        invoice.issue(ahead).unwrap();
        assert!(invoice.issued_ahead(now) && !invoice.issued_ahead(ahead));
        let mut in_time = invoice.clone();
        in_time.void(ahead).unwrap();
        assert!(!in_time.issued_ahead(now), "void since it was issued");
        invoice.void(now).unwrap();
        assert!(invoice.issued_ahead(ahead), "void before it was issued");
    }
}
