//! What the end-to-end tests stand on: a platform of real processes that can be killed and paused, load that remembers
//! what it was promised, and an oracle that holds the platform to it.

pub mod analytics;
pub mod cassandra;
pub mod clickhouse;
pub mod consumer;
pub mod gateway;
mod guard;
mod hostile;
pub mod idp;
pub mod load;
pub mod oracle;
pub mod platform;
mod ports;
pub mod process;
pub mod prometheus;
pub mod rng;
pub mod spans;
pub mod sse;
pub mod store_contract;
pub mod tenant;
pub mod usage;
pub mod wait;

pub use cassandra::Cassandra;
pub use consumer::{Component, Consumer};
pub use gateway::Gateway;
pub use idp::Idp;
pub use load::Load;
pub use oracle::{Oracle, Report};
pub use platform::{Options, Platform, Stores};
pub use process::{Part, Paused};
pub use prometheus::Prometheus;
pub use rng::Rng;
pub use spans::{Collector, Span};
pub use tenant::Tenant;
pub use wait::until;
