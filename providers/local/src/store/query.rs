//! Reading a tenant's events, newest first.

use std::ops::Bound;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use er_event::event::BatchWriter;
use er_event::stored::{page_limit, Filter};
use er_event::EventRef;
use fjall::Readable as _;

use super::engine::Engine;
use super::error::Error;
use super::layout::{Found, Position, Prefix};
use super::put::invalid;

/// Rows that one page may look at, matching or not. Then it is answered as it is, with a cursor.
pub const ROWS_MAX: usize = 20_000;
/// Their bytes.
const EXAMINED_BYTES_MAX: usize = 32 << 20;
/// The first byte of a cursor, so that a later layout can tell old ones.
const CURSOR_VERSION: u8 = 1;

#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// A batch.
    pub events: String,
    pub cursor: Option<String>,
    /// How much work it was.
    pub rows: usize,
}

/// One page. The cursor names the last row looked at, so what comes in meanwhile moves nothing.
pub fn query(
    engine: &Engine,
    prefix: &Prefix,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, Error> {
    let limit = page_limit(limit).map_err(invalid)?;
    let after = cursor.map(read_cursor).transpose()?;
    let from = filter.since_us.map_or_else(|| prefix.floor(i64::MIN), |since| prefix.floor(since));
    let until = filter.until_us.map_or_else(|| prefix.end(), |until| prefix.floor(until));
    let to = after.map_or_else(|| until.clone(), |after| until.clone().min(prefix.event(&after)));

    let mut page = BatchWriter::new();
    let (mut rows, mut bytes) = (0, 0);
    let mut last = None;
    let mut more = false;
    if from < to {
        let snapshot = engine.snapshot();
        let range = (Bound::Included(from), Bound::Excluded(to));
        for row in snapshot.range::<Vec<u8>, _>(&engine.events, range).rev() {
            if page.len() == limit || rows == ROWS_MAX || bytes >= EXAMINED_BYTES_MAX {
                more = true;
                break;
            }
            let (key, value) = row.into_inner()?;
            let position = prefix.position(&key).ok_or(Error::Corrupt("an event's key"))?;
            let text = text(&value)?;
            if wanted(filter, text)? && is_current(engine.find(&snapshot, &position.hash)?, &position) {
                if !page.fits(text.len()) {
                    more = true;
                    break;
                }
                page.push(text);
            }
            rows += 1;
            bytes += value.len();
            last = Some(position);
        }
    }
    Ok(Page { events: page.finish(), cursor: last.filter(|_| more).map(|last| write_cursor(&last)), rows })
}

/// Whether the filter takes the event; it is only looked into where the filter asks for that.
fn wanted(filter: &Filter, text: &str) -> Result<bool, Error> {
    if filter.is_by_time_only() {
        return Ok(true);
    }
    let event = parse(text)?;
    Ok(filter.takes(&event.event_type, &event.source))
}

/// Whether the row is where the event lies now, and not where it lay before its time changed.
fn is_current(found: Option<Found>, position: &Position) -> bool {
    found.is_some_and(|found| found.time_us == position.time_us)
}

pub fn text(value: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(value).map_err(|_| Error::Corrupt("an event that is not UTF-8"))
}

pub fn parse(text: &str) -> Result<EventRef<'_>, Error> {
    EventRef::parse(text).map_err(|_| Error::Corrupt("an event that is no CloudEvent"))
}

fn write_cursor(position: &Position) -> String {
    let mut bytes = vec![CURSOR_VERSION];
    bytes.extend_from_slice(&position.bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(cursor: &str) -> Result<Position, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    bytes
        .split_first()
        .filter(|(version, _)| **version == CURSOR_VERSION)
        .and_then(|(_, position)| Position::read(position))
        .ok_or_else(|| invalid("`cursor` is none that this store gave; leave it out to begin at the newest".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_and_others_are_refused() {
        let position = Position { time_us: -1, hash: [3; 16] };
        let cursor = write_cursor(&position);
        assert_eq!(read_cursor(&cursor), Ok(position));
        for bad in ["", "AQ", "?", &cursor[1..], &format!("{cursor}AAAA"), &cursor.replacen('A', "B", 1)] {
            assert!(matches!(read_cursor(bad), Err(Error::Invalid(_))), "{bad}");
        }
    }
}
