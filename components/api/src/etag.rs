//! Conditional requests (RFC 9110, section 13): who changes what they read before is told when somebody else was first,
//! and who has the newest already is not sent it again.

use er_event::keys::hash;
use er_event::{Kind, Problem};

use crate::http::{Request, Response};

const HEADER: &str = "etag";
/// Digits of a text's hash: 128 bits.
const DIGITS: usize = 32;

/// A strong entity tag, quoted as headers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

// === impl Tag ===

impl Tag {
    /// Of what these texts say.
    pub fn of(parts: &[&str]) -> Self {
        let hash = hash(&parts.join("\n"));
        Tag(format!("\"{}\"", hash.get(..DIGITS).unwrap_or(&hash)))
    }

    /// Of what has a number that is never used twice.
    pub fn numbered(number: u64) -> Self {
        Tag(format!("\"{number}\""))
    }

    /// The answer under this tag.
    pub fn on(&self, response: Response) -> Response {
        response.header(HEADER, self.0.clone())
    }

    fn is(&self, given: &str) -> bool {
        given == "*" || given == self.0
    }
}

/// Holds a change to what its `If-Match` and `If-None-Match` say of what is there now (none: nothing is).
pub fn hold(request: &Request<'_>, now: Option<&Tag>) -> Result<(), Problem> {
    let is_now = |given: &[&str]| now.is_some_and(|now| given.iter().any(|given| now.is(given)));
    if let Some(wanted) = tags(request, "if-match")? {
        if !is_now(&wanted) {
            let detail = match now {
                Some(now) => format!("If-Match names another version than the one that is there, {}", now.0),
                None => "If-Match names a version, and there is none".to_owned(),
            };
            return Err(failed(detail));
        }
    }
    match tags(request, "if-none-match")? {
        Some(unwanted) if is_now(&unwanted) => Err(failed("If-None-Match names what is there already".to_owned())),
        _ => Ok(()),
    }
}

/// The answer under its tag; 304 where the client has it.
pub fn tagged(request: &Request<'_>, tag: &Tag, response: Response) -> Result<Response, Problem> {
    let is_read = matches!(request.method, "GET" | "HEAD");
    let known = if is_read { tags(request, "if-none-match")? } else { None };
    // Of those that a client has, weak ones do, too.
    if known.is_some_and(|known| known.iter().any(|given| tag.is(given.strip_prefix("W/").unwrap_or(given)))) {
        return Ok(tag.on(Response::new(304, "", "")));
    }
    Ok(tag.on(response))
}

/// The tags of a header: quoted, with `W/` before those that are weak; or `*`.
fn tags<'a>(request: &'a Request<'_>, name: &str) -> Result<Option<Vec<&'a str>>, Problem> {
    let Some(value) = request.header(name) else { return Ok(None) };
    let tags: Vec<&str> = value.split(',').map(str::trim).collect();
    let quoted = |tag: &&str| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let inner = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.is_some_and(|inner| inner.bytes().all(|byte| byte == b'!' || (b'#'..=b'~').contains(&byte)))
    };
    if tags == ["*"] || tags.iter().all(quoted) {
        return Ok(Some(tags));
    }
    Err(Problem::new(Kind::HeaderInvalid, format!("the header `{name}` is neither `*` nor quoted tags"))
        .mend("Send the ETag of an answer as it came, quotes included."))
}

fn failed(detail: String) -> Problem {
    Problem::new(Kind::PreconditionFailed, detail).mend("Read it again, see what changed, then change it.")
}
