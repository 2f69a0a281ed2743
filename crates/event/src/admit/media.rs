//! Content types: which mode they mean, and whether their data is JSON, text or bytes.

use crate::{Kind, Problem};

/// What a content type means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// `application/cloudevents+json`
    Event,
    /// `application/cloudevents-batch+json`
    Batch,
    /// CloudEvents in a format that is not JSON.
    OtherEvents,
    Json,
    Text,
    Bytes,
}

/// Whether data of this content type is JSON.
pub fn says_json(content_type: &str) -> bool {
    Media::parse(content_type).is_ok_and(|media| matches!(media.class, Class::Json | Class::Event | Class::Batch))
}

/// A content type, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Media<'a> {
    pub(super) class: Class,
    pub(super) charset: Option<&'a str>,
}

impl<'a> Media<'a> {
    /// `type/subtype;name=value…` of RFC 9110.
    pub(super) fn parse(text: &'a str) -> Result<Self, Problem> {
        let (essence, parameters) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.trim();
        let parts = essence.split_once('/').filter(|(kind, subtype)| token(kind) && token(subtype));
        let Some((kind, subtype)) = parts else {
            return Err(Problem::new(Kind::UnknownContentType, format!("Content-Type {text:?} is no media type"))
                .mend(super::ACCEPTED));
        };
        Ok(Media { class: class(kind, subtype), charset: charset(parameters) })
    }

    /// Whether characters mean what they mean in UTF-8.
    pub(super) fn is_utf8(&self) -> bool {
        self.charset.is_none_or(|charset| {
            ["utf-8", "utf8", "us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name))
        })
    }

    /// JSON is UTF-8 (RFC 8259), whatever a header says.
    pub(super) fn only_utf8(&self) -> Result<(), Problem> {
        if self.is_utf8() {
            return Ok(());
        }
        let charset = self.charset.unwrap_or_default();
        Err(Problem::new(Kind::UnknownContentType, format!("charset {charset:?} is not supported for JSON"))
            .mend("Send JSON in UTF-8, without a charset parameter."))
    }
}

fn class(kind: &str, subtype: &str) -> Class {
    let is = |name: &str| subtype.eq_ignore_ascii_case(name);
    let ends = |end: &str| {
        let cut = subtype.len().checked_sub(end.len()).and_then(|at| subtype.get(at..));
        cut.is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    let application = kind.eq_ignore_ascii_case("application");
    if application && is("cloudevents+json") {
        Class::Event
    } else if application && is("cloudevents-batch+json") {
        Class::Batch
    } else if application && subtype.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("cloudevents")) {
        Class::OtherEvents
    } else if is("json") || ends("+json") {
        Class::Json
    } else if kind.eq_ignore_ascii_case("text") || ends("+xml") || ends("+yaml") || TEXTS.iter().any(|name| is(name)) {
        Class::Text
    } else {
        Class::Bytes
    }
}

/// Subtypes that are text though their type isn't `text`.
const TEXTS: [&str; 10] =
    ["xml", "yaml", "x-yaml", "toml", "javascript", "graphql", "sql", "ndjson", "x-ndjson", "x-www-form-urlencoded"];

fn charset(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

/// RFC 9110's token.
fn token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_mean_what_they_say_in_any_case() {
        for (text, class) in [
            ("application/cloudevents+json", Class::Event),
            ("Application/CloudEvents+JSON; charset=UTF-8", Class::Event),
            ("application/cloudevents-batch+json;charset=utf-8", Class::Batch),
            ("application/cloudevents+protobuf", Class::OtherEvents),
            ("application/cloudevents", Class::OtherEvents),
            ("application/json", Class::Json),
            ("application/vnd.github.v3+json ; q=1", Class::Json),
            ("text/json", Class::Json),
            ("text/plain", Class::Text),
            ("application/xml", Class::Text),
            ("image/svg+xml", Class::Text),
            ("application/x-www-form-urlencoded", Class::Text),
            ("application/octet-stream", Class::Bytes),
            ("application/jsonish", Class::Bytes),
        ] {
            assert_eq!(Media::parse(text).unwrap().class, class, "{text}");
        }
    }

    #[test]
    fn the_charset_is_found_among_the_parameters() {
        let utf8 = |text: &str| Media::parse(text).unwrap().is_utf8();
        assert!(
            utf8("application/json")
                && utf8("application/json; a=b; CharSet=\"UTF-8\"")
                && utf8("a/b;charset=us-ascii")
        );
        assert!(!utf8("application/json; charset=iso-8859-1") && !utf8("application/json;charset="));
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for text in ["", "json", "application/", "/json", "a b/c", "é/x", "a/b/c"] {
            assert_eq!(Media::parse(text).unwrap_err().kind, Kind::UnknownContentType, "{text}");
        }
    }
}
