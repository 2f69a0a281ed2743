//! Whether what was acknowledged is stored: every event once, each byte as it was sent.

use std::fmt::Write as _;
use std::ops::Range;

use anyhow::{bail, Context as _};
use er_event::event::split;
use memchr::memmem;

use crate::events::{rfc3339, Known};
use crate::platform::Platform;

const PAGE_EVENTS: usize = 1000;
const READ_TRIES: usize = 5;

/// What the store holds of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stored {
    pub distinct: u64,
    pub missing: u64,
    /// Rows beyond the first of an event.
    pub repeated: u64,
    /// Events that nobody sent like this.
    pub altered: u64,
}

/// Reads all events since `from_us` through the API, page by page.
pub async fn stored(platform: &Platform, known: &Known, sent: Range<u64>, from_us: u64) -> anyhow::Result<Stored> {
    let from = String::from_utf8_lossy(&rfc3339(from_us)).into_owned();
    let mut seen = vec![false; usize::try_from(sent.end - sent.start)?];
    let mut stored = Stored::default();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/events?from={from}&limit={PAGE_EVENTS}{cursor}");
        let body = read(platform, &path).await?;
        let (events, next) = page(&body)?;
        for event in split(events)? {
            let index = known.number(event).and_then(|number| usize::try_from(number.checked_sub(sent.start)?).ok());
            match index.and_then(|index| seen.get_mut(index)) {
                Some(place) if *place => stored.repeated += 1,
                Some(place) => *place = true,
                None => stored.altered += 1,
            }
        }
        match next {
            Some(next) => cursor = format!("&cursor={}", percent_encoded(&next)),
            None => break,
        }
    }
    stored.distinct = seen.iter().filter(|seen| **seen).count() as u64;
    stored.missing = seen.len() as u64 - stored.distinct;
    Ok(stored)
}

/// The body of an answer of the API. It asks again when none came: that is a defect, but not of what is stored.
async fn read(platform: &Platform, path: &str) -> anyhow::Result<String> {
    let mut tries = 1;
    loop {
        match platform.deployed.client.get(path).await {
            Ok(answer) if answer.status.is_success() => return Ok(answer.body),
            Ok(answer) if !answer.status.is_server_error() || tries == READ_TRIES => {
                bail!("{path}: {} {}", answer.status, answer.body);
            }
            Ok(answer) => eprintln!("  the API answered {} {}", answer.status, answer.body),
            Err(error) if tries == READ_TRIES => return Err(error),
            Err(error) => eprintln!("  the API did not answer: {error:#}"),
        }
        tries += 1;
    }
}

/// How many dead letters there are, up to a page of them.
pub async fn dead_letters(platform: &Platform) -> anyhow::Result<usize> {
    let answer = platform.deployed.client.get("/api/v1/dead-letters?after=0&limit=1000").await?;
    let items = answer.json().get("items").and_then(serde_json::Value::as_array).map(Vec::len);
    items.with_context(|| format!("dead letters: {} {}", answer.status, answer.body))
}

/// The events of a page as text, and the cursor of the next.
fn page(body: &str) -> anyhow::Result<(&str, Option<String>)> {
    const EVENTS: &str = "{\"events\":";
    const CURSOR: &[u8] = b",\"cursor\":";
    let at = memmem::rfind(body.as_bytes(), CURSOR).context("a page without a cursor")?;
    let events = body.get(..at).and_then(|body| body.strip_prefix(EVENTS)).context("a page without events")?;
    let cursor = body.get(at + CURSOR.len()..).and_then(|rest| rest.strip_suffix('}')).context("a broken page")?;
    Ok((events, serde_json::from_str(cursor)?))
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        // Writing to a String can't fail.
        let _ =
            if byte.is_ascii_alphanumeric() { write!(out, "{}", char::from(byte)) } else { write!(out, "%{byte:02X}") };
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_events_and_a_cursor() {
        let body = r#"{"events":[{"id":"1","data":",\"cursor\":1"}],"cursor":"a+b="}"#;
        let (events, cursor) = page(body).unwrap();
        assert_eq!(split(events).unwrap().len(), 1);
        assert_eq!(percent_encoded(&cursor.unwrap()), "a%2Bb%3D");
        assert_eq!(page(r#"{"events":[],"cursor":null}"#).unwrap(), ("[]", None));
    }
}
