//! The store on a real server: Apache Cassandra, or whatever `ER_SCYLLA_NODES` names.

mod bounds;
mod common;
mod contract;
mod faults;
mod schema;
