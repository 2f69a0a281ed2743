//! How publish requests travel from the ingest provider to the ingest component: one string for many requests.
//!
//! Per request one line of JSON, then the body as it came, then a line feed:
//! ```text
//! {"id":"01J…","us":1714979289000000,"len":27,"type":"application/json","ce":[["id","7"]],"head":[["x-a","b"]],"query":"a=b"}
//! {"the":"body, of len bytes"}
//! ```
//! `b64` is true where the body was not UTF-8 and travels as base64. What is absent is left out. The body is cut out by
//! its length and never scanned here.

use std::borrow::Cow;

use crate::json::{self, write_string, Elements, Members};
use crate::Reject;

/// How a body travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it came.
    Utf8,
    /// It was not UTF-8: standard base64 with padding.
    Base64,
}

/// One publish request as the edge saw it. Nothing here is decoded or checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// Made by the edge and never used twice: printable ASCII without `"` and `\`.
    pub id: &'a str,
    /// When it arrived, microseconds since 1970 (UTC).
    pub received_us: u64,
    /// The `Content-Type` header.
    pub content_type: Option<Cow<'a, str>>,
    pub encoding: Encoding,
    /// The `ce-` headers without that prefix, values as on the wire (percent-encoded).
    pub attributes: Vec<(String, String)>,
    /// Headers worth keeping with raw input: `x-*`, `user-agent`, `idempotency-key`; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The raw query string, without `?`.
    pub query: Option<String>,
    pub body: &'a str,
}

/// Builds a frame string.
#[derive(Debug, Clone, Default)]
pub struct FrameWriter {
    text: String,
    requests: usize,
}

impl FrameWriter {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, request: &Request<'_>) {
        let out = &mut self.text;
        out.reserve(request.body.len() + 256);
        out.push_str("{\"id\":");
        write_string(out, request.id);
        out.push_str(",\"us\":");
        out.push_str(&request.received_us.to_string());
        out.push_str(",\"len\":");
        out.push_str(&request.body.len().to_string());
        if let Some(content_type) = &request.content_type {
            out.push_str(",\"type\":");
            write_string(out, content_type);
        }
        if request.encoding == Encoding::Base64 {
            out.push_str(",\"b64\":true");
        }
        write_pairs(out, "ce", &request.attributes);
        write_pairs(out, "head", &request.headers);
        if let Some(query) = &request.query {
            out.push_str(",\"query\":");
            write_string(out, query);
        }
        out.push_str("}\n");
        out.push_str(request.body);
        out.push('\n');
        self.requests += 1;
    }

    /// Requests so far.
    pub fn len(&self) -> usize {
        self.requests
    }

    pub fn is_empty(&self) -> bool {
        self.requests == 0
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub fn finish(self) -> String {
        self.text
    }
}

fn write_pairs(out: &mut String, name: &str, pairs: &[(String, String)]) {
    if pairs.is_empty() {
        return;
    }
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":[");
    for (index, (key, value)) in pairs.iter().enumerate() {
        out.push_str(if index == 0 { "[" } else { ",[" });
        write_string(out, key);
        out.push(',');
        write_string(out, value);
        out.push(']');
    }
    out.push(']');
}

/// The requests of a frame string, in order. An error means that the writer was another version or the text was cut:
/// nothing of it may be trusted then.
pub fn read(frames: &str) -> Result<Vec<Request<'_>>, Reject> {
    Frames::new(frames).map(|frame| Ok(frame?.to_request())).collect()
}

/// A request by its slices, for whoever needs no owned copy.
#[derive(Debug, Default)]
pub(crate) struct Frame<'a> {
    pub(crate) id: &'a str,
    pub(crate) received_us: u64,
    pub(crate) content_type: Option<Cow<'a, str>>,
    pub(crate) base64: bool,
    pub(crate) attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(crate) query: Option<Cow<'a, str>>,
    pub(crate) body: &'a str,
}

pub(crate) struct Frames<'a> {
    text: &'a str,
    at: usize,
}

// === impl Frame ===

impl<'a> Frame<'a> {
    fn to_request(&self) -> Request<'a> {
        let owned = |pairs: &[(Cow<'a, str>, Cow<'a, str>)]| {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        Request {
            id: self.id,
            received_us: self.received_us,
            content_type: self.content_type.clone(),
            encoding: if self.base64 { Encoding::Base64 } else { Encoding::Utf8 },
            attributes: owned(&self.attributes),
            headers: owned(&self.headers),
            query: self.query.as_deref().map(str::to_owned),
            body: self.body,
        }
    }

    /// Reads the header line; gives the frame without its body, and the body's length.
    fn head(line: &'a str) -> Option<(Self, usize)> {
        let mut frame = Frame::default();
        let (mut id, mut us, mut length) = (None, None, None);
        let mut members = Members::of(line)?;
        for member in members.by_ref() {
            let value = member.value;
            match &*member.key {
                "id" => match json::string(value)? {
                    Cow::Borrowed(text) => id = Some(text),
                    Cow::Owned(_) => return None,
                },
                "us" => us = value.parse().ok(),
                "len" => length = value.parse().ok(),
                "type" => frame.content_type = Some(json::string(value)?),
                "b64" => frame.base64 = value == "true",
                "ce" => frame.attributes = pairs(value)?,
                "head" => frame.headers = pairs(value)?,
                "query" => frame.query = Some(json::string(value)?),
                // A newer writer may say more.
                _ => {}
            }
        }
        frame.id = id?;
        frame.received_us = us?;
        members.whole().then_some((frame, length?))
    }
}

fn pairs(array: &str) -> Option<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let mut pairs = Vec::with_capacity(8);
    for pair in Elements::of(array)? {
        let mut pair = Elements::of(pair)?;
        pairs.push((json::string(pair.next()?)?, json::string(pair.next()?)?));
    }
    Some(pairs)
}

// === impl Frames ===

impl<'a> Frames<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Frames { text, at: 0 }
    }

    fn step(&mut self) -> Result<Frame<'a>, &'static str> {
        let rest = &self.text[self.at..];
        let line_end = memchr::memchr(b'\n', rest.as_bytes()).ok_or("a header line without end")?;
        let (mut frame, length) = Frame::head(&rest[..line_end]).ok_or("a broken header line")?;
        let start = line_end + 1;
        let end = start.checked_add(length).ok_or("a body longer than the text")?;
        frame.body = rest.get(start..end).ok_or("a body longer than the text")?;
        if rest.as_bytes().get(end) != Some(&b'\n') {
            return Err("a body of another length");
        }
        self.at += end + 1;
        Ok(frame)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Reject>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.text.len() {
            return None;
        }
        let offset = self.at;
        Some(self.step().map_err(|what| {
            self.at = self.text.len();
            Reject::Frame { offset, what }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_back_as_written() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let full = Request {
            id: "01J-1",
            received_us: u64::MAX,
            content_type: Some("text/plain; charset=\"utf-8\"".into()),
            encoding: Encoding::Base64,
            attributes: vec![pair("id", "a%20\"b\\"), pair("source", "é\n")],
            headers: vec![pair("x-a", "")],
            query: Some("a=b&c=%22".into()),
            body: "one\n{\"two\"}\n\n😀",
        };
        let bare = Request {
            id: "",
            received_us: 0,
            content_type: None,
            encoding: Encoding::Utf8,
            attributes: vec![],
            headers: vec![],
            query: None,
            body: "",
        };
        let mut writer = FrameWriter::new();
        for request in [&full, &bare, &full] {
            writer.push(request);
        }
        assert_eq!(writer.len(), 3);
        let text = writer.finish();
        assert_eq!(read(&text).unwrap(), [full.clone(), bare, full]);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn a_cut_or_changed_frame_is_refused() {
        let good = "{\"id\":\"1\",\"us\":1,\"len\":3}\nabc\n";
        assert!(read(good).is_ok());
        for end in 1..good.len() {
            assert!(read(&good[..end]).is_err(), "{end}");
        }
        for bad in [
            good.replace("3", "2"),
            good.replace("3", "4"),
            good.replace("3", "18446744073709551615"),
            good.replace("abc", "aéc"),
            good.replace("\"1\"", "\"\\u0031\""),
            good.replace("\"us\":1,", ""),
            format!("{good}\n"),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
