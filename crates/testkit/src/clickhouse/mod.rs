//! A ClickHouse server for tests.
//!
//! Where `ER_CLICKHOUSE_URL` names a real one, that is [`Server::shared`]. Else, and wherever a test kills or stops the
//! server, it is a process of our own: chDB, which is ClickHouse's engine, behind as much of the HTTP interface as the
//! `clickhouse` crate speaks. No package registry has a server of this decade, and its engine is the same code.

mod http;
mod process;

pub use http::{serve, Serving};
pub use process::{serve_if_asked, Server};

use std::path::PathBuf;

use anyhow::Context as _;

/// Where `scripts/env` says that chDB's library is.
pub const LIBRARY: &str = "ER_CHDB_LIB";

/// chDB's library.
///
/// # Errors
/// When it is not there.
pub fn library() -> anyhow::Result<PathBuf> {
    let home = std::env::var("ER_CACHE")
        .map(PathBuf::from)
        .or_else(|_| std::env::var("HOME").map(|home| PathBuf::from(home).join(".cache/eventrunner")));
    let given = std::env::var(LIBRARY).map(PathBuf::from).ok();
    let file = given.or_else(|| Some(home.ok()?.join("chdb/libchdb.so")));
    file.filter(|file| file.exists()).context("chDB's library is not here; mend it with: scripts/setup chdb")
}
