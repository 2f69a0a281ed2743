//! Usage and money: records of what a tenant used, their sums, plans, invoices and proofs. Pure arithmetic: no I/O, no
//! clock, no floats.
//!
//! [`Record`]s come from the path, one a batch. A [`Ledger`] or the analytics add them up to [`Usage`]. A
//! [`Subscription`] says which [`Plan`] held when. [`draft`] makes an [`Invoice`] of the three, [`verify`] proves it, and
//! [`render`] shows it. Everything is computed from what is given: twice the same input is twice the same bytes.
//!
//! ```
//! use er_metering::{draft, verify, Ledger, Period, Plan, Record, Subscription};
//!
//! let march = Period::month("2026-03")?;
//! let plan = Plan::from_json(
//!     r#"{"name": "Team", "currency": "USD", "charges": [
//!         {"meter": "events_in", "free": 1000, "price": {"per_unit": {"amount": "0.40", "per": 1000000}}}]}"#,
//! )?;
//! let subscription = Subscription::new(march.from(), plan)?;
//!
//! let mut ledger = Ledger::new(march.from());
//! let line = r#"{"id":"ingest.1","tenant":"acme","minute":"2026-03-07T12:00:00Z","used":{"events_in":5001000}}"#;
//! for record in Record::parse_lines(&format!("{line}\n{line}"))? {
//!     let _ = ledger.merge(&record)?; // Counted, then Duplicate
//! }
//!
//! let usage = ledger.usage("acme", march)?;
//! let mut invoice = draft(&subscription, &usage, march, &[])?;
//! invoice.issue(march.to())?;
//! assert_eq!((invoice.id.as_str(), invoice.total().to_string().as_str()), ("acme-2026-03-1", "2.00 USD"));
//! assert!(verify(&invoice, &subscription, &usage, &[])?.is_empty());
//! # Ok::<(), er_metering::Error>(())
//! ```

// A float is no money, and in a release build `+` wraps: neither gets in here.
#![cfg_attr(
    not(test),
    deny(
        clippy::float_arithmetic,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss
    )
)]

mod currency;
mod error;
mod invoice;
mod ledger;
pub mod limits;
mod meter;
mod money;
mod plan;
mod price;
mod rate;
mod record;
pub mod render;
mod report;
mod rows;
#[cfg(feature = "schema")]
mod schema;
mod share;
mod subscription;
mod time;
mod usage;

pub use currency::Currency;
pub use error::{Error, Result};
pub use invoice::{close_due, draft, verify, Corrects, Difference, Invoice, Kind, Line, State};
pub use ledger::{Ledger, Merge, Sum};
pub use meter::{Meter, Quantities};
pub use money::Money;
pub use plan::{Charge, Fault, Plan, Pricing, Tier};
pub use price::Price;
pub use rate::{rate, Band, Rated};
pub use record::Record;
pub use report::{Report, Row};
pub use rows::{read_rows, rows_json};
pub use share::Share;
pub use subscription::{Change, Subscription};
pub use time::{Period, Time, Window};
pub use usage::{Mismatch, Usage};
