//! Reading a tenant's events, newest first.
//!
//! A page looks at a bounded number of rows and partitions of the index, takes what the filter takes, and fetches those
//! events by their keys, which shows at the same time whether each still lies where the index says.

use er_event::event::BatchWriter;
use er_event::stored::{page_limit, Filter};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::connection::Connection;
use super::days::Days;
use super::error::{invalid, Error};
use super::layout::{day, day_start_us, Place, BUCKETS};
use super::merge::{Entry, Merge};
use super::{cursor, metrics};

/// Rows of the index that one page may look at, wanted or not. Then it is answered as it is, with a cursor.
pub const ROWS_MAX: usize = 20_000;
/// How often one page may ask a partition.
const READS_MAX: usize = 512;
/// Rows that are read of a partition at once: at least, and at most.
const CHUNK_MIN: usize = 8;
const CHUNK_MAX: usize = 128;
/// Events that are fetched at once. Fewer than a page may have, since each may be as large as a page.
const FETCHES: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// A batch.
    pub events: String,
    pub cursor: Option<String>,
    /// How much work it was.
    pub rows: usize,
}

/// The work on one page.
struct Walk<'a> {
    connection: &'a Connection,
    tenant: &'a str,
    filter: &'a Filter,
    merge: Merge<'a>,
    days: Days,
    /// Where the next page would begin: everything from here on is on this one, or unwanted.
    below: Place,
    /// What `below` becomes once the partitions that are open are through.
    floor: Option<Place>,
    rows: usize,
}

/// How the search for the next wanted entry ended.
enum Step {
    Wanted(Entry),
    /// There may be more, for another page.
    Bound,
    End,
}

/// One page.
///
/// # Errors
/// [`Error::Invalid`] for a limit or a cursor that is none.
pub async fn query(
    connection: &Connection,
    tenant: &str,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, Error> {
    let limit = page_limit(limit).map_err(invalid)?;
    let until = Place::floor(filter.until_us.unwrap_or(i64::MAX));
    let below = match cursor {
        Some(cursor) => cursor::read(cursor)?.min(until),
        None => until,
    };
    let mut walk = Walk::new(connection, tenant, filter, below, limit);
    let mut page = BatchWriter::new();
    let more = walk.fill(&mut page, limit).await?;
    Ok(Page { events: page.finish(), cursor: more.then(|| cursor::write(&walk.below)), rows: walk.rows })
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn new(connection: &'a Connection, tenant: &'a str, filter: &'a Filter, below: Place, limit: usize) -> Self {
        let from_us = filter.since_us.unwrap_or(i64::MIN);
        // What a page takes of each bucket of a busy day; as much as may be where most of it is unwanted.
        let share = if filter.is_by_time_only() { limit.div_ceil(BUCKETS) + CHUNK_MIN } else { CHUNK_MAX };
        let days = Days::between(day(from_us), day(below.time_us));
        let merge = Merge::new(connection, tenant, from_us, share.min(CHUNK_MAX));
        Self { connection, tenant, filter, merge, days, below, floor: None, rows: 0 }
    }

    /// Fills the page. Returns whether there may be more.
    async fn fill(&mut self, page: &mut BatchWriter, limit: usize) -> Result<bool, Error> {
        while page.len() < limit {
            let before = self.below.clone();
            let (wanted, end) = self.wanted((limit - page.len()).min(FETCHES)).await?;
            if let Some(below) = self.fetch(before, &wanted, page).await? {
                self.below = below;
                return Ok(true);
            }
            match end {
                None => {}
                Some(end) => return Ok(!matches!(end, Step::End)),
            }
        }
        // A full page is the last one where nothing at all follows.
        let below = self.below.clone();
        let more = !matches!(self.step().await?, Step::End);
        self.below = below;
        Ok(more)
    }

    /// The next entries that the filter takes, and how it ended where they are fewer than asked for.
    async fn wanted(&mut self, count: usize) -> Result<(Vec<Entry>, Option<Step>), Error> {
        let mut wanted = Vec::new();
        while wanted.len() < count {
            match self.step().await? {
                Step::Wanted(entry) => wanted.push(entry),
                end => return Ok((wanted, Some(end))),
            }
        }
        Ok((wanted, None))
    }

    /// Goes on to the next entry that the filter takes.
    async fn step(&mut self) -> Result<Step, Error> {
        loop {
            if self.rows >= ROWS_MAX || self.merge.reads >= READS_MAX {
                return Ok(Step::Bound);
            }
            let Some(entry) = self.merge.next().await? else {
                self.below = self.floor.take().unwrap_or_else(|| self.below.clone());
                let partitions = self.days.next(self.connection, self.tenant).await?;
                let Some(oldest) = partitions.last() else { return Ok(Step::End) };
                self.floor = Some(Place::floor(day_start_us(oldest.day)));
                self.merge.open(&partitions, &self.below);
                continue;
            };
            self.rows += 1;
            self.below = entry.place.clone();
            if self.filter.takes(&entry.event_type, &entry.place.source) {
                return Ok(Step::Wanted(entry));
            }
        }
    }

    /// Adds what is current to the page. Where it is full before all are on it: where the next one begins, with
    /// everything up to `before` looked at already.
    async fn fetch(&self, before: Place, wanted: &[Entry], page: &mut BatchWriter) -> Result<Option<Place>, Error> {
        let fetches: Vec<_> = wanted.iter().map(|entry| self.current(entry)).collect();
        let mut texts = stream::iter(fetches).buffered(FETCHES);
        let mut below = &before;
        for entry in wanted {
            if let Some(text) = texts.try_next().await?.flatten() {
                if !page.fits(text.len()) {
                    return Ok(Some(below.clone()));
                }
                page.push(&text);
            }
            below = &entry.place;
        }
        Ok(None)
    }

    /// The text of an entry's event, unless the event lies elsewhere now.
    async fn current(&self, entry: &Entry) -> Result<Option<String>, Error> {
        let Place { time_us, source, id } = &entry.place;
        let event = self.connection.event(self.tenant, source, id).await?;
        let current = event.filter(|event| event.time_us == *time_us);
        if current.is_none() {
            metrics::stale();
        }
        Ok(current.map(|event| event.text))
    }
}
