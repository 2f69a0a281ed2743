//! Ory Keto, kept as the records of tenants, members and API keys say: whom the gateway lets through is decided by its
//! relation tuples.

mod client;
mod reconcile;
mod tuples;

pub use client::Client;
pub use reconcile::{run, Options};
pub use tuples::{changes, wanted, Change, Records, Subject, Tuple};
