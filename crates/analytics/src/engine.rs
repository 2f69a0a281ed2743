//! What an engine has to do: run one statement, and say what became of it.

use std::borrow::Cow;
use std::future::Future;

use bytes::Bytes;

/// Codes of ClickHouse that mean «not now»: quotas, timeouts, too many queries or parts, no memory or space, read-only,
/// overload, Keeper away.
const PASSING: [i32; 18] = [159, 160, 201, 202, 203, 209, 210, 236, 241, 242, 243, 252, 319, 394, 439, 473, 745, 999];
/// Codes that an operator mends on the server: who may log in, and do what.
const ACCESS: [i32; 4] = [192, 194, 497, 516];
/// No such table, column or database: somebody took the schema away.
const SCHEMA: [i32; 3] = [16, 60, 81];

/// One statement. It is said in the engine's own database, unless `on_server`.
#[derive(Debug, Clone, Default)]
pub struct Statement {
    /// An `INSERT` with rows has no FORMAT clause.
    pub sql: Cow<'static, str>,
    /// Values for `{name:Type}`, as they are.
    pub params: Vec<(&'static str, String)>,
    /// The rows of an `INSERT`, in RowBinary.
    pub rows: Option<Bytes>,
    /// Said before there is a database.
    pub on_server: bool,
}

/// Runs statements.
pub trait Engine: Send + Sync + 'static {
    /// Runs a statement, and gives its result in TabSeparated. Dropped before its end it may or may not be done.
    fn run(&self, statement: Statement) -> impl Future<Output = Result<Bytes, Failure>> + Send;

    /// The database its statements are said in.
    fn database(&self) -> &str;
}

/// Why a statement was not done, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The engine says no, with its code.
    Refused { code: i32, message: String },
    /// No answer: it may have been done, or not, or still be.
    Silent(String),
}

// === impl Statement ===

impl Statement {
    pub fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), ..Self::default() }
    }

    #[must_use]
    pub fn param(mut self, name: &'static str, value: impl ToString) -> Self {
        self.params.push((name, value.to_string()));
        self
    }
}

// === impl Failure ===

impl Failure {
    /// From what a server says of an exception: «Code: 60. DB::Exception: …».
    pub fn refused(message: &str) -> Self {
        let digits = message.strip_prefix("Code: ").and_then(|rest| rest.split('.').next());
        let code = digits.and_then(|digits| digits.parse().ok()).unwrap_or_default();
        Self::Refused { code, message: message.trim_end().to_owned() }
    }

    /// Whether the same statement may be done a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Refused { code, .. } => PASSING.contains(code) || self.lacks_schema(),
        }
    }

    pub fn needs_operator(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if ACCESS.contains(code))
    }

    /// Whether the tables are not, or no longer, as the migrations left them.
    pub fn lacks_schema(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if SCHEMA.contains(code))
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Refused { message, .. } | Self::Silent(message) => message,
        }
    }
}

/// A parameter's value as engines read it: escaped as in TabSeparated, whatever its type is.
pub fn escape_param(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\0' => escaped.push_str("\\0"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_say_whether_trying_again_helps() {
        for (message, passing, operator, schema) in [
            ("Code: 241. DB::Exception: Memory limit exceeded", true, false, false),
            ("Code: 60. DB::Exception: Table x does not exist. (UNKNOWN_TABLE)", true, false, true),
            ("Code: 516. DB::Exception: default: Authentication failed", false, true, false),
            ("Code: 62. DB::Exception: Syntax error", false, false, false),
            ("502 Bad Gateway", false, false, false),
        ] {
            let failure = Failure::refused(message);
            let says = (failure.is_passing(), failure.needs_operator(), failure.lacks_schema());
            assert_eq!(says, (passing, operator, schema), "{message}");
        }
        assert!(Failure::Silent("timeout".into()).is_passing());
    }

    #[test]
    fn values_can_not_leave_their_parameter() {
        assert_eq!(escape_param("a\\'\t\r\n\0ü"), "a\\\\'\\t\\r\\n\\0ü");
    }
}
