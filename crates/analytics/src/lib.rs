//! Usage records in ClickHouse: one table, one set of SQL files, one buffer and one question, whichever way the engine is
//! reached. An [`Engine`] runs statements: over HTTP in `providers/clickhouse`, in process in `providers/local`.
//!
//! What holds, whatever fails ([`docs/analytics.md`](../../docs/analytics.md) says why):
//! - A call of [`Analytics::insert`] that returned `Ok` is on the disk.
//! - A record counts once, however often and in whatever company it is inserted.
//! - Every call ends in bounded time, and what waits is bounded.

mod analytics;
mod block;
mod buffer;
mod engine;
mod error;
mod metrics;
mod options;
mod retention;
mod schema;
mod usage;

pub use analytics::Analytics;
pub use engine::{escape_param, Engine, Failure, Statement};
pub use error::{Code, Error};
pub use options::{system_clock, Clock, Options};
pub use retention::kept_from;
pub use schema::{FILES, VERSION};
