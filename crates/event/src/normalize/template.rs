//! Templates: text with placeholders, all of which must resolve.

use std::borrow::Cow;
use std::fmt;

use crate::json;
use crate::percent;

/// A template, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Header(String),
    /// Resolves to nothing where the header has this value.
    HeaderIs(String, String),
    Query(String),
    /// The pointer, and where among the found values its value is.
    Pointer(String, usize),
    Tenant,
}

/// Where placeholders find their values.
pub(super) struct Input<'a> {
    pub(super) tenant: &'a str,
    /// Lines `name: value`.
    pub(super) headers: &'a str,
    pub(super) query: &'a str,
    /// Raw JSON texts, one a pointer of the mapping.
    pub(super) found: Vec<Option<&'a str>>,
}

impl<'a> Input<'a> {
    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .split('\n')
            .filter_map(|line| line.split_once(": "))
            .find(|(header, value)| *header == name && !value.is_empty())
            .map(|(_, value)| value)
    }

    pub(super) fn query(&self, name: &str) -> Option<Cow<'a, str>> {
        percent::query(self.query, name)
    }
}

impl Template {
    /// Takes a template apart; its pointers are added to `pointers`.
    pub(super) fn new(text: &str, pointers: &mut Vec<String>) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (inside, tail) =
                after.split_once('}').ok_or_else(|| format!("template {text:?} has `{{` without `}}`"))?;
            pieces.push(Piece::new(inside, pointers)?);
            rest = tail;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Template { pieces })
    }

    /// The text, or the first placeholder that doesn't resolve.
    pub(super) fn fill<'a>(&'a self, input: &Input<'a>) -> Result<Cow<'a, str>, &'a dyn fmt::Display> {
        let mut out = Cow::Borrowed("");
        for piece in &self.pieces {
            let value = piece.value(input).ok_or(piece as &dyn fmt::Display)?;
            // `Cow`'s `+=` copies nothing while one side is empty.
            out += value;
        }
        Ok(out)
    }
}

impl Piece {
    fn new(inside: &str, pointers: &mut Vec<String>) -> Result<Self, String> {
        if inside.starts_with('/') {
            pointers.push(inside.to_owned());
            return Ok(Piece::Pointer(inside.to_owned(), pointers.len() - 1));
        }
        if let Some((name, value)) = inside.strip_prefix("?header:").and_then(|guard| guard.split_once('=')) {
            return Ok(Piece::HeaderIs(name.to_ascii_lowercase(), value.to_owned()));
        }
        match inside.split_once(':') {
            Some(("header", name)) => Ok(Piece::Header(name.to_ascii_lowercase())),
            Some(("query", name)) => Ok(Piece::Query(name.to_owned())),
            None if inside == "tenant" => Ok(Piece::Tenant),
            _ => Err(format!("{{{inside}}} is no placeholder")),
        }
    }

    fn value<'a>(&'a self, input: &Input<'a>) -> Option<Cow<'a, str>> {
        match self {
            Piece::Text(text) => Some(Cow::Borrowed(text)),
            Piece::Header(name) => input.header(name).map(Cow::Borrowed),
            Piece::HeaderIs(name, value) => (input.header(name)? == value).then_some(Cow::Borrowed("")),
            Piece::Query(name) => input.query(name),
            Piece::Tenant => Some(Cow::Borrowed(input.tenant)),
            Piece::Pointer(_, slot) => scalar((*input.found.get(*slot)?)?),
        }
    }
}

fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => json::string(raw).filter(|text| !text.is_empty()),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}

// === texts ===

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Piece::Text(text) => write!(f, "{text:?}"),
            Piece::Header(name) => write!(f, "the header {name}"),
            Piece::HeaderIs(name, value) => write!(f, "the header {name} with the value {value:?}"),
            Piece::Query(name) => write!(f, "the query parameter {name}"),
            Piece::Pointer(pointer, _) => write!(f, "{pointer} in the body"),
            Piece::Tenant => write!(f, "the tenant"),
        }
    }
}
