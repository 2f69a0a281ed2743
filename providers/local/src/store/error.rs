//! What can go wrong in the store, in sentences that say the mend.

use std::path::PathBuf;

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's input is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Nothing was taken: too much waits for the disk already.
    #[error("the event store has as much waiting for the disk as it may hold; send again")]
    Busy,
    /// It may become durable, or not.
    #[error("the disk did not confirm in time; the events may or may not be stored, send them again")]
    Slow,
    #[error("{free_mib} MiB are free in {}, and the event store keeps {keep_mib} MiB back; free some space", dir.display())]
    DiskFull { dir: PathBuf, free_mib: u64, keep_mib: u64 },
    #[error("the event store is closed: it is shutting down, or failed and starts again")]
    Closed,
    #[error("the event store failed: {0}")]
    Storage(String),
    /// A row that this program can't have written.
    #[error("the event store holds a broken row: {0}")]
    Corrupt(&'static str),
}

impl From<fjall::Error> for Error {
    fn from(error: fjall::Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: can't be created: {source}; give `data_dir` a directory that this user may write", dir.display())]
    Create { dir: PathBuf, source: std::io::Error },
    #[error("{}: another process has this event store open; stop it, or give `data_dir` another directory", dir.display())]
    Locked { dir: PathBuf },
    #[error("{}: not a readable event store: {reason}; put it back from a backup, or move it away to start with an empty one", dir.display())]
    Unreadable { dir: PathBuf, reason: String },
}

// === impl Error ===

impl Error {
    /// For the label of a metric.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Busy => "busy",
            Self::Slow => "slow",
            Self::DiskFull { .. } => "disk_full",
            Self::Closed => "closed",
            Self::Storage(_) | Self::Corrupt(_) => "failed",
        }
    }
}
