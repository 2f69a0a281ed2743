//! ClickHouse's engine in this process: chDB's library, loaded when it is first needed, behind one thread.
//!
//! The library (`libchdb.so`, 566 MB) comes as an npm package without a header, and most of what is built here never
//! needs it, so it is not linked but opened at run time: a machine without it runs everything else, and is told how to
//! get it. A process has one engine, and an engine does one thing at a time, so statements wait in a short queue for the
//! thread that owns it.

mod connection;
mod error;
mod library;
mod options;
mod worker;

pub use error::{Error, OpenError};
pub use options::Options;
pub use worker::Chdb;

/// A statement, and what goes with it.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The database it is said in; none: the engine's own `default`.
    pub database: Option<String>,
    /// An `INSERT` with rows has no FORMAT clause: `format` says what the rows are in.
    pub sql: String,
    /// Of the answer, or of the rows.
    pub format: String,
    /// Values for `{name:Type}`, escaped as in TabSeparated.
    pub params: Vec<(String, String)>,
    /// The rows of an `INSERT`.
    pub rows: Option<Vec<u8>>,
}
