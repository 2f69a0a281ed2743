//! The buffer and its retries, on an engine in memory that fails as it is told. What a real engine makes of the
//! statements is tested in `providers/clickhouse` and `providers/local`.

mod buffer;
mod retries;
mod twin;
