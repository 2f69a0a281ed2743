//! What is stored of a tenant, oldest first. The store is asked by way of the engine, which has a link to it.
//!
//! The store answers newest first, so a range of times is read in slices that fit on a page each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use er_event::event::{rfc3339_us, split};
use er_provider_kit::Caller;
use futures::future::BoxFuture;
use futures::FutureExt as _;
use parking_lot::Mutex;

use crate::components::{read_stored, Range, Stored};

/// The first slice.
pub const SLICE_US: i64 = 60_000_000;

/// The way to the store. A clone is a handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Archive(Arc<Mutex<Option<Engine>>>);

#[derive(Debug, Clone)]
struct Engine {
    id: Arc<str>,
    timeout: Duration,
}

/// Events that are asked for, as far as they were not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span<'a> {
    pub tenant: &'a str,
    /// Exact, or a prefix ending in `*`.
    pub event_type: Option<&'a str>,
    /// In microseconds since 1970, inclusive.
    pub from_us: i64,
    /// Exclusive.
    pub until_us: i64,
}

/// All events between two times.
#[derive(Debug)]
pub struct Slice {
    pub until_us: i64,
    /// How long the next slice had better be.
    pub next_us: i64,
    /// Its first page, newest first. There are more only where it is of a single microsecond.
    pub page: Stored,
}

// === impl Archive ===

impl Archive {
    pub fn link(&self, engine: &str, timeout: Duration) {
        *self.0.lock() = Some(Engine { id: engine.into(), timeout });
    }

    pub fn unlink(&self, engine: &str) {
        self.0.lock().take_if(|linked| *linked.id == *engine);
    }

    /// The earliest slice of a span that has at most `limit` events, of `slice_us` or less.
    pub async fn slice(&self, caller: &Caller, span: &Span<'_>, slice_us: i64, limit: u32) -> anyhow::Result<Slice> {
        let ask = |until_us| -> BoxFuture<'_, _> {
            async move { self.page(caller, &Span { until_us, ..span.clone() }, None, limit).await }.boxed()
        };
        earliest(span, slice_us, limit, ask).await
    }

    /// A page of a span, newest first.
    pub async fn page(
        &self,
        caller: &Caller,
        span: &Span<'_>,
        cursor: Option<&str>,
        limit: u32,
    ) -> anyhow::Result<Stored> {
        let engine = self.0.lock().clone().context("no engine is linked, by which the store is asked")?;
        let (since, until) = (rfc3339_us(span.from_us), rfc3339_us(span.until_us));
        let range = Range { tenant: span.tenant, event_type: span.event_type, since: &since, until: &until };
        read_stored(caller, &engine.id, range, cursor, limit, engine.timeout).await.context("the event store")
    }
}

/// Asks for ever less of a span's beginning, until a page holds it all.
async fn earliest<'a>(
    span: &Span<'_>,
    slice_us: i64,
    limit: u32,
    ask: impl Fn(i64) -> BoxFuture<'a, anyhow::Result<Stored>>,
) -> anyhow::Result<Slice> {
    let mut until_us = span.from_us.saturating_add(slice_us.max(1)).min(span.until_us);
    loop {
        let page = ask(until_us).await?;
        let of_us = until_us - span.from_us;
        if page.cursor.is_some() && of_us > 1 {
            until_us = span.from_us + of_us / 2;
            continue;
        }
        let sparse = page.cursor.is_none() && split(&page.events)?.len() <= limit as usize / 2;
        let next_us = if sparse { of_us.saturating_mul(2) } else { of_us };
        return Ok(Slice { until_us, next_us, page });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store of events that are nothing but their times.
    fn page(times: &[i64], from_us: i64, until_us: i64, limit: usize) -> Stored {
        let found: Vec<i64> = times.iter().rev().copied().filter(|time| (from_us..until_us).contains(time)).collect();
        let cursor = (found.len() > limit).then(|| "more".to_string());
        let events: Vec<String> = found.iter().take(limit).map(|time| format!(r#"{{"time":{time}}}"#)).collect();
        Stored { events: format!("[{}]", events.join(",")), cursor }
    }

    /// All slices of the store, how often it was asked, and how many pages were of one microsecond and more than a page.
    async fn walk(times: &[i64], until_us: i64, limit: usize) -> (Vec<String>, usize, usize) {
        let (mut read, asked, mut dense) = (Vec::new(), Mutex::new(0), 0);
        let (mut from_us, mut slice_us) = (times[0], SLICE_US);
        while from_us < until_us {
            let span = Span { tenant: "acme", event_type: None, from_us, until_us };
            let ask = |until_us| {
                *asked.lock() += 1;
                std::future::ready(Ok(page(times, from_us, until_us, limit))).boxed()
            };
            let slice = earliest(&span, slice_us, limit as u32, ask).await.unwrap();
            assert!(slice.until_us > from_us && slice.until_us <= until_us);
            if slice.page.cursor.is_some() {
                assert_eq!(slice.until_us, from_us + 1);
                dense += 1;
            }
            read.extend(split(&slice.page.events).unwrap().iter().rev().map(|event| event.to_string()));
            (from_us, slice_us) = (slice.until_us, slice.next_us);
        }
        (read, asked.into_inner(), dense)
    }

    fn texts(times: &[i64]) -> Vec<String> {
        times.iter().map(|time| format!(r#"{{"time":{time}}}"#)).collect()
    }

    #[tokio::test]
    async fn all_is_read_in_order_however_it_lies() {
        let day = 86_400_000_000;
        // One a month; then twenty thousand in two seconds; then nothing for a year.
        let mut times: Vec<i64> = (0..12).map(|n| n * 30 * day).collect();
        let last = *times.last().unwrap();
        times.extend((1..20_000).map(|n| last + n * 100));
        for limit in [1, 2, 3, 10, 1_000] {
            let (read, asked, dense) = walk(&times, last + 365 * day, limit).await;
            assert_eq!(read, texts(&times));
            assert_eq!(dense, 0);
            // Some are too full and asked for again as less, and others are empty: never many more than there are pages.
            let pages = times.len() / limit.div_ceil(2);
            assert!(asked < 3 * pages + 500, "{asked} for pages of {limit}");
        }
    }

    #[tokio::test]
    async fn more_than_a_page_of_one_moment_is_left_to_the_cursor() {
        let limit = 10;
        let times = [vec![5], vec![7; limit + 1], vec![8; limit]].concat();
        let (read, _, dense) = walk(&times, 9, limit).await;
        assert_eq!(dense, 1);
        // The first page of the dense one; its cursor has the rest.
        assert_eq!(read, texts(&[vec![5], vec![7; limit], vec![8; limit]].concat()));
    }
}
