//! The console: one page for browsers, with its scripts and styles. All of it is in here; the page asks nobody else for anything.

use er_event::keys::hash;
use er_event::{Kind, Problem};

use crate::http::{Request, Response, TEXT};
use crate::router::INDEX;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Scripts and styles of this origin, requests to this origin, and nothing else: neither inline code, nor frames around it, nor
/// forms that send a key away. Trusted types refuse to make markup of text, so that nothing an event says becomes a part of the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

struct File {
    path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($content_type:ident: $($path:literal)*;)*) => {
        &[$($(File { path: $path, content_type: $content_type, text: include_str!(concat!("../console/", $path)) },)*)*]
    };
}

const PAGE: &str = "index.html";
const FILES: &[File] = files! {
    HTML: "index.html";
    SVG: "icon.svg";
    CSS: "css/base.css" "css/frame.css" "css/parts.css" "css/tokens.css" "css/views.css";
    JS: "js/api.js" "js/dom.js" "js/editor.js" "js/feed.js" "js/format.js" "js/grl.js" "js/main.js" "js/plot.js" "js/session.js"
        "js/sse.js" "js/theme.js" "js/ui.js" "js/views/consumer.js" "js/views/consumers.js" "js/views/door.js" "js/views/events.js"
        "js/views/letters.js" "js/views/overview.js" "js/views/rules.js" "js/views/story.js" "js/views/trial.js" "js/views/usage.js";
};

/// `GET /`: the page for browsers, and for all others what there is, in words.
pub fn index(request: &Request<'_>) -> Result<Response, Problem> {
    let browser = request.header("accept").is_some_and(|accept| accept.contains("text/html"));
    let answer = if browser { file(PAGE, request)? } else { Response::new(200, TEXT, INDEX) };
    Ok(answer.header("vary", "accept"))
}

/// `GET /console/…`
pub fn file(path: &str, request: &Request<'_>) -> Result<Response, Problem> {
    let path = if path.is_empty() { PAGE } else { path };
    let found = FILES.iter().find(|file| file.path == path);
    let File { content_type, text, .. } = found
        .ok_or_else(|| Problem::new(Kind::NotFound, format!("the console has no {path}")).mend("GET / has it."))?;
    let tag = format!("\"{}\"", &hash(text)[..16]);
    let known = request.header("if-none-match").is_some_and(|tags| tags.split(',').any(|known| same(known, &tag)));
    let answer = if known { Response::new(304, "", "") } else { Response::new(200, content_type, *text) };
    Ok(answer
        // Asked for again each time, and sent only where it changed: a page never runs with another version's scripts.
        .header("cache-control", "no-cache")
        .header("etag", tag)
        .header("content-security-policy", POLICY)
        .header("referrer-policy", "no-referrer")
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin"))
}

/// As `If-None-Match` compares: a weak tag stands for the same text.
fn same(known: &str, tag: &str) -> bool {
    let known = known.trim();
    known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
}
