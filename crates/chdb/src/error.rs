//! What can go wrong, in sentences that say the mend.

use std::path::PathBuf;

/// Why there is no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("chDB's library can't be loaded from {}: {reason}; mend it with: scripts/setup chdb", file.display())]
    Load { file: PathBuf, reason: String },
    #[error("{}: can't be written: {reason}; give chDB a directory that this user may write", dir.display())]
    Directory { dir: PathBuf, reason: String },
    #[error(
        "chDB did not open {}: another process has it open, or it is not readable; chDB has said which on standard error",
        dir.display()
    )]
    Refused { dir: PathBuf },
    #[error("this process has an engine already, and chDB allows one; close it first")]
    Taken,
    #[error("no thread for chDB: {0}")]
    Thread(String),
}

/// Why a statement has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The engine's own words, with its code.
    #[error("{message}")]
    Refused { code: i32, message: String },
    /// Nothing was done: too many statements wait already.
    #[error("chDB has as many statements waiting as it may; send again")]
    Busy,
    #[error("chDB is closed: the process is shutting down")]
    Closed,
}

// === impl Error ===

impl Error {
    /// From the text of an exception, which begins with «Code: 60.».
    pub(crate) fn refused(message: String) -> Self {
        let digits = message.strip_prefix("Code: ").and_then(|rest| rest.split('.').next());
        Self::Refused { code: digits.and_then(|digits| digits.parse().ok()).unwrap_or_default(), message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_exception_is_read() {
        let code = |message: &str| match Error::refused(message.into()) {
            Error::Refused { code, .. } => code,
            _ => -1,
        };
        assert_eq!(code("Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)"), 60);
        assert_eq!(code("something else"), 0);
    }
}
