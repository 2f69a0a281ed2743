//! The store on a real server: Apache Cassandra, or whatever `ER_SCYLLA_NODES` names.

// Helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bounds;
mod common;
mod contract;
mod faults;
mod schema;
