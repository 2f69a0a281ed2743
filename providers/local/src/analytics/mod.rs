//! `analytics`, embedded: the same tables, SQL and buffer as on a server (`crates/analytics`), on ClickHouse's engine in
//! this process.

mod engine;
mod interface;
#[cfg(test)]
mod tests;

pub use engine::Embedded;
