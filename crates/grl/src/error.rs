//! What this crate's functions fail with. Why a run ended is no error but part of its [`crate::Outcome`].

use crate::syntax::Diagnostic;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The texts were refused; all that is wrong with them.
    #[error("the rules have {} mistakes; the first is on line {}: {}", .0.len(), first(.0).0, first(.0).1)]
    Refused(Vec<Diagnostic>),
    /// The bytes are not a compiled rule set of this version, or were damaged. Compile it again.
    #[error("not a compiled rule set of this version: {0}")]
    Damaged(&'static str),
}

fn first(diagnostics: &[Diagnostic]) -> (usize, &str) {
    diagnostics.first().map_or((0, ""), |diagnostic| (diagnostic.place.line, &diagnostic.message))
}
