//! What every event store holds to, whatever it stands on: the promises of `event-store` in wit/pipeline.wit as checks
//! that run against a store behind a trait.
//!
//! Each check uses tenants of its own, so that all may run at once on a store that others use too, and that keeps
//! what earlier runs left. `er_testkit::store_contract!(open)` makes a test of each, where `open` is an
//! `async fn() -> impl EventStore`.

// These are tests, whatever crate they stand in.
#![allow(clippy::unwrap_used)]

mod bounds;
mod claims;
mod model;
mod paging;
mod shape;

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use er_event::event::{parse_batch, rfc3339_us, split};
use er_event::Runs;

pub use bounds::{far_times_sort_too, filters_hold_together, what_is_wrong_is_refused_and_stores_nothing};
pub use claims::{
    a_repeat_under_the_same_claim_writes_over_what_is_there, an_event_moves_with_its_time_and_type,
    of_two_in_one_batch_the_first_counts, the_first_claim_holds,
};
pub use model::any_sequence_answers_as_a_map_would;
pub use paging::{
    a_page_keeps_to_the_bytes_of_a_batch, events_of_the_same_moment_are_all_paged_through,
    pages_of_any_size_visit_each_event_once, pages_stand_still_while_new_events_come_in,
    wrong_limits_and_cursors_are_refused,
};
pub use shape::{
    a_full_batch_is_taken, an_event_is_stored_as_it_came, events_without_a_time_lie_where_they_came_in,
    sources_and_ids_of_any_characters_stay_apart, tenants_see_only_their_own,
};

/// 2024-05-06T07:08:09Z
const BASE_US: i64 = 1_714_979_289_000_000;

/// `event-store`, its faults as their text.
pub trait EventStore: Send + Sync {
    fn put(
        &self,
        tenant: &str,
        keep_h: Option<u32>,
        claims: &Runs,
        events: &str,
    ) -> impl Future<Output = Result<Vec<u32>, String>> + Send;

    fn get(&self, tenant: &str, source: &str, id: &str) -> impl Future<Output = Result<Option<String>, String>> + Send;

    fn query(
        &self,
        tenant: &str,
        filter: &Filter,
        cursor: Option<String>,
        limit: u32,
    ) -> impl Future<Output = Result<Page, String>> + Send;
}

/// As in the interface: times are RFC 3339.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub event_type: Option<String>,
    pub source: Option<String>,
    pub since: Option<String>,
    pub until: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Page {
    pub events: String,
    pub cursor: Option<String>,
}

/// Makes a `#[tokio::test]` of each check; `$open` is an `async fn() -> impl EventStore`.
#[macro_export]
macro_rules! store_contract {
    ($open:path) => {
        $crate::store_contract!($open:
            an_event_is_stored_as_it_came
            tenants_see_only_their_own
            sources_and_ids_of_any_characters_stay_apart
            events_without_a_time_lie_where_they_came_in
            a_full_batch_is_taken
            a_repeat_under_the_same_claim_writes_over_what_is_there
            an_event_moves_with_its_time_and_type
            the_first_claim_holds
            of_two_in_one_batch_the_first_counts
            filters_hold_together
            far_times_sort_too
            what_is_wrong_is_refused_and_stores_nothing
            pages_of_any_size_visit_each_event_once
            pages_stand_still_while_new_events_come_in
            events_of_the_same_moment_are_all_paged_through
            a_page_keeps_to_the_bytes_of_a_batch
            wrong_limits_and_cursors_are_refused
            any_sequence_answers_as_a_map_would
        );
    };
    ($open:path: $($check:ident)+) => {
        $(
            #[tokio::test]
            async fn $check() {
                $crate::store_contract::$check(&$open().await).await;
            }
        )+
    };
}

/// A store seen by one tenant that nobody else is.
struct Own<'a, S> {
    store: &'a S,
    tenant: String,
}

impl<'a, S: EventStore> Own<'a, S> {
    fn new(store: &'a S) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let tenant = format!("t-{now:x}-{:x}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { store, tenant }
    }

    /// All under one claim.
    async fn put(&self, claim: u64, events: &[String]) -> Vec<u32> {
        self.store.put(&self.tenant, None, &Runs::of(events.len(), claim), &batch(events)).await.unwrap()
    }

    async fn get(&self, source: &str, id: &str) -> Option<String> {
        self.store.get(&self.tenant, source, id).await.unwrap()
    }

    async fn page(&self, filter: &Filter, cursor: Option<String>, limit: u32) -> Page {
        self.store.query(&self.tenant, filter, cursor, limit).await.unwrap()
    }

    /// The texts of all pages.
    async fn texts(&self, filter: &Filter, limit: u32) -> Vec<String> {
        let mut texts = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.page(filter, cursor.clone(), limit).await;
            let events = split(&page.events).unwrap();
            assert!(events.len() <= limit as usize, "a page of {limit} has {}", events.len());
            texts.extend(events.into_iter().map(str::to_string));
            if page.cursor.is_none() {
                return texts;
            }
            assert_ne!(page.cursor, cursor, "the cursor leads back to itself");
            cursor = page.cursor;
        }
    }

    /// The ids of all pages.
    async fn ids(&self, filter: &Filter) -> Vec<String> {
        ids_of(&batch(&self.texts(filter, 3).await))
    }

    async fn all(&self) -> Vec<String> {
        self.ids(&Filter::default()).await
    }
}

/// An event some seconds after [`BASE_US`].
fn event(source: &str, id: &str, ty: &str, second: i64) -> String {
    let time = at(second);
    format!(r#"{{"specversion":"1.0","id":{},"source":{},"type":"{ty}","time":"{time}"}}"#, quoted(id), quoted(source))
}

fn at(second: i64) -> String {
    rfc3339_us(BASE_US + second * 1_000_000)
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    er_event::json::write_string(&mut out, text);
    out
}

fn batch(events: &[String]) -> String {
    format!("[{}]", events.join(","))
}

fn ids_of(batch: &str) -> Vec<String> {
    parse_batch(batch).unwrap().iter().map(|event| event.id.to_string()).collect()
}
