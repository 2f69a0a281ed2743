//! Requests and answers, as far as this API looks at them.

use er_event::limits::BODY_BYTES_MAX;
use er_event::{Kind, Problem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::tail::Tail;

pub const JSON: &str = "application/json";
pub const PROBLEM: &str = "application/problem+json";
pub const CLOUDEVENT: &str = "application/cloudevents+json";
pub const TEXT: &str = "text/plain; charset=utf-8";

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    Broken,
}

/// Where the body comes from; it is read only by routes that want one.
pub trait Body {
    /// The whole body, if it has at most `max` bytes.
    fn read(&self, max: usize) -> Result<Vec<u8>, BodyError>;
    /// The body in pieces of `size` bytes, the last one shorter, each given to `take` and then forgotten; it ends where
    /// `take` fails.
    fn pieces(&self, size: usize, take: Take<'_>) -> Result<Result<(), Problem>, BodyError>;
}

/// What takes a piece of a body.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Problem>;

pub struct Request<'a> {
    pub method: &'a str,
    /// Still percent-encoded.
    pub path: &'a str,
    /// Without the `?`.
    pub query: &'a str,
    /// Names in lower case.
    pub headers: &'a [(String, String)],
    pub body: &'a dyn Body,
    /// What chance gives, the same each time that the request is repeated under its idempotency key; none: drawn anew.
    pub chance: Option<[u8; 32]>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub content_type: &'static str,
    /// Besides the content type and those that every answer has.
    pub headers: Headers,
    pub body: String,
}

pub enum Answer {
    Whole(Response),
    /// Server-sent events, and headers besides those that every answer has.
    Stream(Tail, Headers),
}

pub type Headers = Vec<(&'static str, String)>;

// === impl Request ===

impl Request<'_> {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body read as JSON into what it is meant to be.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        parse(&self.json_text()?)
    }

    /// The body that says it is JSON, for [`parse`] to borrow from.
    pub fn json_text(&self) -> Result<String, Problem> {
        self.expect_json()?;
        let text = self.text()?;
        // serde would take an array for the members in order.
        if text.trim_start().starts_with('[') {
            return Err(Problem::new(Kind::Unprocessable, "the body is an array, and has to be an object"));
        }
        Ok(text)
    }

    /// The body in pieces, for what would be too large as a whole.
    pub fn pieces(&self, size: usize, take: Take<'_>) -> Result<(), Problem> {
        self.body.pieces(size, take).map_err(broken)?
    }

    /// The whole body.
    pub fn bytes(&self) -> Result<Vec<u8>, Problem> {
        self.body.read(BODY_BYTES_MAX).map_err(broken)
    }

    /// The body as text.
    pub fn text(&self) -> Result<String, Problem> {
        String::from_utf8(self.bytes()?).map_err(|cause| {
            Problem::new(
                Kind::InvalidUtf8,
                format!("the body is not UTF-8 from byte {}", cause.utf8_error().valid_up_to()),
            )
        })
    }

    /// The content type without its parameters, in lower case.
    pub fn media_type(&self) -> String {
        let given = self.header("content-type").unwrap_or_default();
        given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    fn expect_json(&self) -> Result<(), Problem> {
        let given = self.header("content-type").unwrap_or_default();
        let media_type = self.media_type();
        if media_type == JSON || (self.method == "PATCH" && media_type == "application/merge-patch+json") {
            return Ok(());
        }
        let detail = match given {
            "" => "the request has no Content-Type".to_owned(),
            _ => format!("the content type is {given}"),
        };
        Err(Problem::new(Kind::UnknownContentType, detail).mend("Send JSON with Content-Type: application/json."))
    }
}

fn broken(cause: BodyError) -> Problem {
    match cause {
        BodyError::TooLarge => Problem::new(Kind::TooLarge, format!("the body has more than {BODY_BYTES_MAX} bytes")),
        BodyError::Broken => Problem::new(Kind::InvalidJson, "the body ended before it was whole"),
    }
}

/// JSON into what it is meant to be.
pub fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|cause| {
        let kind = match cause.classify() {
            Category::Data => Kind::Unprocessable,
            Category::Syntax | Category::Eof | Category::Io => Kind::InvalidJson,
        };
        let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Problem::new(kind, cause.to_string()).at(place(cause.line()), place(cause.column()))
    })
}

// === impl Response ===

impl Response {
    pub fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Response { status, content_type, headers: Vec::new(), body: body.into() }
    }

    pub fn json(body: impl Into<String>) -> Self {
        Response::new(200, JSON, body)
    }

    /// `value` as JSON.
    pub fn of(status: u16, value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_string(value).map_err(|cause| Problem::new(Kind::Internal, cause.to_string()))?;
        Ok(Response::new(status, JSON, body))
    }

    pub fn empty() -> Self {
        Response::new(204, "", "")
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let mut response = Response::new(problem.status, PROBLEM, problem.to_json());
        if problem.status == 401 {
            response = response.header("www-authenticate", r#"Bearer realm="eventrunner""#);
        }
        if let Some(ms) = problem.retry_after_ms {
            let seconds = ms.div_ceil(1000).max(1);
            response = response.header("retry-after", seconds.to_string());
            if problem.kind == Kind::RateLimited {
                // draft-ietf-httpapi-ratelimit-headers: nothing is left, and when there is again.
                response = response.header("ratelimit", format!(r#""tenant";r=0;t={seconds}"#));
            }
        }
        response
    }
}

// === impl Answer ===

impl Answer {
    #[must_use]
    pub fn headers(mut self, more: Headers) -> Self {
        match &mut self {
            Answer::Whole(response) => response.headers.extend(more),
            Answer::Stream(_, headers) => headers.extend(more),
        }
        self
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Answer::Whole(response)
    }
}
