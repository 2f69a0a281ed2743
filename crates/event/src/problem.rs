//! What is told to a client whose request failed: RFC 9457 problem details, from one table.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use crate::json::{Fault, What};

const URN: &str = "urn:eventrunner:error:";

macro_rules! kinds {
    ($($name:ident, $slug:literal, $title:literal, $status:literal, $retryable:literal;)*) => {
        /// What went wrong. Each kind has one slug, title, status, and one answer to «may I send it again?».
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $($name,)* }

        impl Kind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)*];

            /// The last part of the `type` URN.
            pub fn slug(self) -> &'static str {
                match self { $(Kind::$name => $slug,)* }
            }

            pub fn title(self) -> &'static str {
                match self { $(Kind::$name => $title,)* }
            }

            /// HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Kind::$name => $status,)* }
            }

            /// Whether the same request may succeed later, unchanged.
            pub fn retryable(self) -> bool {
                match self { $(Kind::$name => $retryable,)* }
            }
        }
    };
}

kinds! {
    InvalidJson,        "invalid-json",           "The body is not valid JSON",               400, false;
    InvalidUtf8,        "invalid-utf8",           "The body is not valid UTF-8",              400, false;
    InvalidEvent,       "invalid-event",          "Not a valid CloudEvent",                   400, false;
    DuplicateKey,       "duplicate-key",          "An object names the same key twice",       400, false;
    TooDeep,            "too-deep",               "The JSON is nested too deeply",            400, false;
    HeaderInvalid,      "header-invalid",         "A header is not valid",                    400, false;
    BadEncoding,        "bad-encoding",           "The body can't be decompressed",           400, false;
    InvalidQuery,       "invalid-query",          "A query parameter is not valid",           400, false;
    Unauthorized,       "unauthorized",           "Authentication is required",               401, false;
    Forbidden,          "forbidden",              "This identity may not do that",            403, false;
    NotFound,           "not-found",              "No such thing",                            404, false;
    MethodNotAllowed,   "method-not-allowed",     "The method is not allowed here",           405, false;
    NotAcceptable,      "not-acceptable",         "No acceptable representation",             406, false;
    Conflict,           "conflict",               "Somebody else changed it first",           409, false;
    InProgress,         "in-progress",            "The same request is still being done",     409, true;
    PreconditionFailed, "precondition-failed",    "It was changed since it was read",         412, false;
    TooLarge,           "too-large",              "The body is too large",                    413, false;
    EventTooLarge,      "event-too-large",        "An event is too large",                    413, false;
    TooManyEvents,      "too-many-events",        "Too many events in one request",           413, false;
    UnknownContentType, "unknown-content-type",   "The content type is not supported",        415, false;
    Unprocessable,      "unprocessable",          "Understood, but it can't be done",         422, false;
    KeyReused,          "idempotency-key-reused", "The same key came with another request",   422, false;
    RateLimited,        "rate-limited",           "The tenant's quota is used up for now",    429, true;
    Internal,           "internal",               "A defect of the platform",                 500, true;
    Overloaded,         "overloaded",             "Too much work at the moment",              503, true;
    Unavailable,        "unavailable",            "A part the request needs is away",         503, true;
    Timeout,            "timeout",                "It took too long to make the events safe", 504, true;
}

impl Kind {
    /// The `type` member: `urn:eventrunner:error:<slug>`.
    pub fn urn(self) -> String {
        format!("{URN}{}", self.slug())
    }

    /// The kind of a slug or of a `type` URN.
    pub fn parse(text: &str) -> Option<Kind> {
        let slug = text.strip_prefix(URN).unwrap_or(text);
        Kind::ALL.iter().copied().find(|kind| kind.slug() == slug)
    }
}

/// A place in the client's text, both counted from 1; a column is a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct At {
    pub line: u32,
    pub column: u32,
}

/// One of several things wrong with a text that the client sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Mistake {
    /// Which text, where there is more than one.
    pub text: String,
    /// Both from 1; the column in characters.
    pub line: u32,
    pub column: u32,
    pub message: String,
    /// What could stand there instead; may be empty.
    pub expected: String,
    /// The line of the text with the piece underlined, for people.
    pub excerpt: String,
}

/// One problem, as told to the client. `title`, `type` and `retryable` follow from `kind`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub kind: Kind,
    /// HTTP status; `kind.status()` unless set otherwise.
    pub status: u16,
    /// One sentence: what is wrong with this request.
    pub detail: String,
    /// One sentence: how to mend it.
    pub mend: Option<String>,
    /// Which event of the request's batch, from 0; serialized as `event`.
    pub index: Option<usize>,
    /// Which member of the event: an attribute, `data` or `data_base64`.
    pub field: Option<String>,
    /// Where in the body.
    pub at: Option<At>,
    /// All that is wrong, where `detail` can only name the first.
    pub errors: Vec<Mistake>,
    pub retry_after_ms: Option<u32>,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Problem {
            kind,
            status: kind.status(),
            detail: detail.into(),
            mend: None,
            index: None,
            field: None,
            at: None,
            errors: Vec::new(),
            retry_after_ms: None,
        }
    }

    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }

    #[must_use]
    pub fn event(mut self, index: usize) -> Self {
        self.index = Some(index);
        self
    }

    #[must_use]
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = Some(name.into());
        self
    }

    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        self.at = Some(At { line, column });
        self
    }

    #[must_use]
    pub fn errors(mut self, errors: Vec<Mistake>) -> Self {
        self.errors = errors;
        self
    }

    #[must_use]
    pub fn retry_after_ms(mut self, ms: u32) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// The `application/problem+json` text.
    pub fn to_json(&self) -> String {
        // Serializing a struct of strings and numbers can't fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Problem::to_json`] wrote; none when it is something else.
    pub fn from_json(text: &str) -> Option<Problem> {
        let wire: Wire = serde_json::from_str(text).ok()?;
        Some(wire.into())
    }
}

// === impl Problem: texts ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.slug(), self.detail)
    }
}

impl std::error::Error for Problem {}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire::from(self).serialize(serializer)
    }
}

/// Problem details (RFC 9457): what went wrong, where, how to mend it, and whether it may be sent again.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Wire {
    /// Which kind of problem: `docs/errors/<its last part>.md` explains it.
    #[serde(rename = "type")]
    urn: String,
    /// The kind, in words.
    #[serde(default)]
    title: String,
    /// The answer's HTTP status.
    status: u16,
    /// One sentence: what is wrong with this request.
    #[serde(default)]
    detail: String,
    /// Whether the same request may succeed later, unchanged.
    #[serde(default)]
    retryable: bool,
    /// One sentence: how to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mend: Option<String>,
    /// Which event of the request's batch, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<usize>,
    /// Which member of that event, as its format calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Where in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<At>,
    /// All that is wrong, where `detail` can only name the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Mistake>,
    /// Milliseconds to wait before sending it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u32>,
}

impl From<&Problem> for Wire {
    fn from(problem: &Problem) -> Self {
        Wire {
            urn: problem.kind.urn(),
            title: problem.kind.title().to_owned(),
            status: problem.status,
            detail: problem.detail.clone(),
            retryable: problem.kind.retryable(),
            mend: problem.mend.clone(),
            event: problem.index,
            field: problem.field.clone(),
            at: problem.at,
            errors: problem.errors.clone(),
            retry_after_ms: problem.retry_after_ms,
        }
    }
}

impl From<Wire> for Problem {
    fn from(wire: Wire) -> Self {
        // A kind that this build doesn't know was made by a newer one: keep its status and words.
        let kind = Kind::parse(&wire.urn).unwrap_or(Kind::Internal);
        Problem {
            kind,
            status: wire.status,
            detail: wire.detail,
            mend: wire.mend,
            index: wire.event,
            field: wire.field,
            at: wire.at,
            errors: wire.errors,
            retry_after_ms: wire.retry_after_ms,
        }
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer).map(Into::into)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Problem {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Problem".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Wire::json_schema(generator);
        if let Some(urn) = schema.pointer_mut("/properties/type").and_then(serde_json::Value::as_object_mut) {
            urn.insert("enum".into(), Kind::ALL.iter().map(|kind| kind.urn()).collect());
        }
        schema
    }
}

// === causes ===

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let (kind, mend) = match &fault.what {
            What::DuplicateKey(_) => (Kind::DuplicateKey, "Give every key of an object once."),
            What::TooDeep => (Kind::TooDeep, "Nest objects and arrays at most 64 deep."),
            What::LoneSurrogate => (Kind::InvalidJson, "Escape characters beyond U+FFFF as a pair of surrogates."),
            What::ByteOrderMark => (Kind::InvalidJson, "Send the text without a byte order mark."),
            _ => (Kind::InvalidJson, "Send one JSON text as RFC 8259 has it."),
        };
        Problem::new(kind, fault.to_string()).mend(mend).at(fault.line, fault.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slug_is_found_again_and_is_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(&kind.urn()), Some(*kind));
            assert_eq!(Kind::parse(kind.slug()), Some(*kind));
        }
    }

    #[test]
    fn a_problem_reads_back_as_written() {
        let problem = Problem::new(Kind::DuplicateKey, "line 3, column 14: duplicate key \"id\"")
            .mend("Give it once.")
            .event(7)
            .field("id")
            .at(3, 14)
            .retry_after_ms(250);
        let text = problem.to_json();
        assert!(text.starts_with(r#"{"type":"urn:eventrunner:error:duplicate-key","title":"#), "{text}");
        assert!(text.contains(r#""event":7,"field":"id","at":{"line":3,"column":14}"#), "{text}");
        assert_eq!(Problem::from_json(&text), Some(problem));
    }

    #[test]
    fn a_problem_of_an_unknown_kind_keeps_its_status() {
        let read = Problem::from_json(r#"{"type":"urn:eventrunner:error:new","status":418,"detail":"tea"}"#);
        assert_eq!(read.map(|problem| (problem.status, problem.detail)), Some((418, "tea".into())));
    }

    #[test]
    fn only_kinds_that_mend_themselves_may_be_retried() {
        for kind in Kind::ALL {
            let by_itself = kind.status() >= 500 || kind.status() == 429 || *kind == Kind::InProgress;
            assert_eq!(kind.retryable(), by_itself, "{kind:?}");
        }
    }
}
