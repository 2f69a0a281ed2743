//! The analytics, embedded: the same tables, SQL and buffer as on a server (`crates/analytics`), on ClickHouse's engine in
//! this process.

mod engine;
#[cfg(test)]
mod tests;

pub use engine::Embedded;
