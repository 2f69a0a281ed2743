//! What metering promises, held against naive twins of it and against files.

// Clippy allows these in test functions only, not in their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calendar;
mod example;
mod golden;
mod invoices;
mod kit;
mod ledger;
mod limits;
mod rating;
