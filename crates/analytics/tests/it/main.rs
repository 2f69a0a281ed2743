//! The buffer and its retries, on an engine in memory that fails as it is told. What a real engine makes of the
//! statements is tested in `providers/clickhouse` and `providers/local`.

// Clippy allows these in test functions only, not in their helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod buffer;
mod retries;
mod twin;
