//! Pages of other origins that may call the API from a browser. Without the setting none may, which the page that the API
//! serves itself does not need. What a page sends of its own accord is no key, so nothing is said about credentials.

use crate::backend::Backend;
use crate::http::{Headers, Request};
use crate::router::Route;

/// The component's setting: origins (`https://console.example.com`), separated by blanks or commas.
const SETTING: &str = "allowed_origins";
const REQUEST_HEADERS: &str =
    "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, x-api-key";
const ANSWER_HEADERS: &str = "er-rules-version, etag, idempotency-replayed, link, location, ratelimit, retry-after";
/// How long a browser remembers what it was allowed.
const MAX_AGE_S: &str = "600";

/// What is said to the page that asks, if its origin is one that may.
pub fn headers(backend: &dyn Backend, request: &Request<'_>, route: Option<&Route>) -> Headers {
    let Some(origin) = request.header("origin") else { return Headers::new() };
    let allowed = backend.setting(SETTING).unwrap_or_default();
    // Exactly: no wildcards, and `null` is nobody.
    if ["", "null"].contains(&origin) || !allowed.split([' ', ',', '\n']).any(|allowed| allowed == origin) {
        return Headers::new();
    }
    let mut headers: Headers = vec![("access-control-allow-origin", origin.to_owned()), ("vary", "Origin".to_owned())];
    let asks_first = request.method == "OPTIONS" && request.header("access-control-request-method").is_some();
    match route {
        Some(route) if asks_first => headers.extend([
            ("access-control-allow-methods", route.allow().to_owned()),
            ("access-control-allow-headers", REQUEST_HEADERS.to_owned()),
            ("access-control-max-age", MAX_AGE_S.to_owned()),
        ]),
        _ => headers.push(("access-control-expose-headers", ANSWER_HEADERS.to_owned())),
    }
    headers
}
