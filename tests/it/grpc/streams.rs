//! Streams: answers in order, held up and not refused, and nothing with a receipt is lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure, Context as _};
use er_proto::cloudevents::CloudEvent;
use er_proto::Attr;
use er_testkit::{until, Component, Oracle, Part, Platform, Rng};
use futures::StreamExt as _;
use prost::Message as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{by, client, event, outcomes, refused, with};
use crate::support::{alone, shared, stored};

const SETTLED_WITHIN: Duration = Duration::from_secs(90);
const HELD_UP_WITHIN: Duration = Duration::from_secs(30);
const RECONNECT_AFTER: Duration = Duration::from_millis(100);
/// Of one client whose edge is held up now and then.
const STREAMS_MAX: usize = 10;

#[test]
fn a_stream_answers_each_event_in_order_and_goes_on_after_a_bad_one() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("stream").await?;
        let mut ingest = client(&platform).await?;
        // One by one first: each answer comes before the next event goes.
        let (sender, events) = mpsc::channel(1);
        let mut answers =
            ingest.publish_stream(by(tenant.client.key(), ReceiverStream::new(events))?).await?.into_inner();
        for (place, id) in (0..).zip(["a", "b", "c"]) {
            sender.send(event("/one", id, "1")).await?;
            let answer = outcomes(answers.message().await?.context("the stream ended")?)?;
            ensure!(answer == [(place, Ok(id.to_string()))], "{answer:?}");
        }
        drop(sender);
        ensure!(answers.message().await?.is_none(), "more answers than events");

        // All at once, some of them bad in one way or the other.
        let bad = |n: u64| n % 100 == 7;
        let events = (0..1_000).map(move |n| match n {
            507 => with(
                event("/many", "507", "1"),
                "x",
                Attr::CeTimestamp(prost_types::Timestamp { seconds: 0, nanos: -1 }),
            ),
            n if bad(n) => CloudEvent { source: String::new(), ..event("/many", &n.to_string(), "1") },
            n => event("/many", &n.to_string(), "1"),
        });
        let stream = by(tenant.client.key(), futures::stream::iter(events))?;
        let mut answers = ingest.publish_stream(stream).await?.into_inner();
        let mut next = 0;
        while let Some(answer) = answers.message().await? {
            for (place, outcome) in outcomes(answer)? {
                ensure!(place == next, "the answer to {place} comes when {next} is due");
                next += 1;
                match outcome {
                    Ok(id) => ensure!(!bad(place) && id == place.to_string(), "{place} got a receipt for {id}"),
                    Err(refusal) => {
                        let field = if place == 507 { "attributes[\"x\"]" } else { "source" };
                        let urn = "urn:eventrunner:error:invalid-event";
                        ensure!(bad(place) && refusal.r#type == urn && refusal.field == field, "{place}: {refusal:?}");
                    }
                }
            }
        }
        ensure!(next == 1_000, "{next} of 1,000 were answered");
        let found = until("990 stored events", crate::support::STORED_WITHIN, || async {
            let found = tenant.events("source=%2Fmany").await?;
            ensure!(found.len() >= 990, "{} so far", found.len());
            Ok(Some(found))
        })
        .await?;
        ensure!(found.len() == 990, "{} are stored", found.len());
        Ok(())
    })
}

#[test]
fn a_stream_faster_than_its_quota_is_held_up_and_not_refused() -> anyhow::Result<()> {
    // 32 MiB in large events, and as many of the smallest as a window has room for many times.
    shared(|platform| async move {
        held_up(&platform, "/large", 8_000, 4_096).await?;
        held_up(&platform, "/small", 20_000, 0).await
    })
}

/// Sends events with so much data in one stream, under a quota that lets nothing through and then everything.
async fn held_up(platform: &Platform, source: &'static str, count: u64, data_bytes: usize) -> anyhow::Result<()> {
    // What both ends' windows and buffers have room for.
    const AHEAD_BYTES: u64 = 2 << 20;
    let tenant = platform.tenant("held-up").await?;
    tenant.patch(&json!({ "quota": { "events_per_s": 1, "burst": 1 } })).await?;
    let data = format!("\"{}\"", "x".repeat(data_bytes));
    let event_bytes = u64::try_from(event(source, "0", &data).encoded_len())?;
    let taken = Arc::<AtomicU64>::default();
    let ingest = client(platform).await?;
    // A stream of the events from one on.
    let open = |from: u64| {
        let (mut ingest, taken, data) = (ingest.clone(), Arc::clone(&taken), data.clone());
        let events = futures::stream::iter(from..count).then(move |n| {
            taken.store(n + 1, Ordering::Relaxed);
            let event = event(source, &n.to_string(), &data);
            // Else a client packs what is ready into large frames; one that sends as things happen does not.
            async move {
                tokio::task::yield_now().await;
                event
            }
        });
        let request = by(tenant.client.key(), events);
        async move { anyhow::Ok(ingest.publish_stream(request?).await?.into_inner()) }
    };
    let (mut answers, first) = until("a first answer", HELD_UP_WITHIN, || async {
        let mut answers = open(0).await?;
        let first = answers.message().await?.context("the stream ended")?;
        Ok(Some((answers, first)))
    })
    .await?;
    let mut next = 0;
    // What fits into the first group goes through, then a debt is to be paid.
    for (place, outcome) in outcomes(first)? {
        ensure!(place == next && outcome.is_ok(), "{place}: {outcome:?}");
        next += 1;
    }
    let (mut before, mut still) = (u64::MAX, 0);
    until("the client to be held up", HELD_UP_WITHIN, || {
        let now = taken.load(Ordering::Relaxed);
        still = if now == before { still + 1 } else { 0 };
        before = now;
        // Whatever moves has moved between so many looks.
        let held_up = still >= 10;
        async move { Ok(held_up.then_some(())) }
    })
    .await?;
    let ahead = taken.load(Ordering::Relaxed) - next;
    ensure!(ahead * event_bytes < AHEAD_BYTES, "{ahead} events of {event_bytes} bytes went out unanswered");
    ensure!(next + ahead < count, "all {count} went out: nothing was held up");
    tenant.patch(&json!({ "quota": { "events_per_s": 1_000_000, "burst": 1_000_000 } })).await?;
    let (mut from, mut streams) = (0, 1);
    loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                for (place, outcome) in outcomes(answer)? {
                    ensure!(from + place == next && outcome == Ok(next.to_string()), "{place} of {from}: {outcome:?}");
                    next += 1;
                }
            }
            Ok(None) => break,
            // An edge that can't go on now ends a stream, and what has no answer is sent again on the next.
            Err(status)
                if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded) && streams < STREAMS_MAX =>
            {
                eprintln!("stream {streams} of {source} ended after {next} events: {status:?}");
                tokio::time::sleep(RECONNECT_AFTER).await;
                (from, streams) = (next, streams + 1);
                answers = until("another stream", HELD_UP_WITHIN, || async { open(from).await.map(Some) }).await?;
            }
            Err(status) => return Err(status.into()),
        }
    }
    ensure!(next == count, "{next} of {count} were answered");
    Ok(())
}

#[test]
fn a_stream_ends_when_its_key_is_withdrawn() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("withdrawn").await?;
        let key = tenant.key("publisher").await?;
        let (sender, events) = mpsc::channel(1);
        let mut ingest = client(&platform).await?;
        let mut answers = ingest.publish_stream(by(key.client.key(), ReceiverStream::new(events))?).await?.into_inner();
        sender.send(event("/s", "first", "1")).await?;
        ensure!(outcomes(answers.message().await?.context("the stream ended")?)?.len() == 1);
        let deleted = tenant.client.call(reqwest::Method::DELETE, &format!("/api/v1/keys/{}", key.id), None).await?;
        ensure!(deleted.status == 204, "{} {}", deleted.status, deleted.body);
        let ended = async {
            loop {
                // Nobody listens once it has ended.
                let _ = sender.send(event("/s", "again", "1")).await;
                match answers.message().await {
                    Ok(Some(_)) => {}
                    other => return other,
                }
            }
        };
        let ended = tokio::time::timeout(HELD_UP_WITHIN, ended).await.context("the stream goes on")?;
        refused(ended, Code::Unauthenticated, "UNAUTHORIZED")?;
        Ok(())
    })
}

/// A client as docs/grpc.md asks for: what has no answer when a stream ends is sent again on the next.
struct Sender {
    platform: Arc<Platform>,
    oracle: Arc<Oracle>,
    rng: Rng,
    streams: u64,
}

const SOURCE: &str = "/stream";

impl Sender {
    /// Sends `count` events over as many streams as it takes; `sent` counts receipts.
    async fn send(mut self, count: u64, receipts: &AtomicU64) -> anyhow::Result<u64> {
        let events: Vec<CloudEvent> = (0..count)
            .map(|n| {
                let (id, data) = (n.to_string(), self.rng.json(200));
                self.oracle.sending(SOURCE, &id, &data);
                event(SOURCE, &id, &data)
            })
            .collect();
        let mut done = 0;
        while done < events.len() {
            self.streams += 1;
            let (ended, answered) = self.stream(&events[done..], receipts).await;
            done += answered;
            match ended {
                Ok(()) => ensure!(done == events.len(), "a stream ended well after {done} of {}", events.len()),
                // What a client may expect of a server that dies; anything else is a fault.
                Err(status)
                    if matches!(
                        status.code(),
                        Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled | Code::Internal
                    ) =>
                {
                    tokio::time::sleep(RECONNECT_AFTER).await;
                }
                Err(status) => bail!("stream {}: {status:?}", self.streams),
            }
        }
        Ok(self.streams)
    }

    /// One stream: how it ended, and how many events were answered first.
    async fn stream(&self, events: &[CloudEvent], receipts: &AtomicU64) -> (Result<(), Status>, usize) {
        let mut answered = 0;
        let ended = async {
            let failed = |error: anyhow::Error| Status::unavailable(format!("{error:#}"));
            let mut ingest = client(&self.platform).await.map_err(failed)?;
            // At a pace at which a kill finds it under way.
            let paced = futures::stream::iter(events.to_vec()).then(|event| async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                event
            });
            let request = by(self.oracle.tenant.client.key(), paced).map_err(failed)?;
            let mut answers = ingest.publish_stream(request).await?.into_inner();
            while let Some(answer) = answers.message().await? {
                for (place, outcome) in
                    outcomes(answer).map_err(|error| Status::failed_precondition(format!("{error:#}")))?
                {
                    let id = outcome.map_err(|refusal| Status::failed_precondition(format!("{refusal:?}")))?;
                    let wanted = events.get(answered).map(|event| event.id.as_str());
                    if usize::try_from(place) != Ok(answered) || wanted != Some(id.as_str()) {
                        return Err(Status::failed_precondition(format!("{id} at {place}, {wanted:?} was due")));
                    }
                    self.oracle.acknowledged(SOURCE, &id);
                    answered += 1;
                    receipts.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        }
        .await;
        (ended, answered)
    }
}

#[test]
fn nothing_with_a_receipt_is_lost_when_the_edge_is_killed_in_the_midst_of_a_stream() -> anyhow::Result<()> {
    const EVENTS: u64 = 3_000;
    const KILLS: u64 = 2;
    alone(|platform| async move {
        let seed = Rng::seed("grpc kills");
        let tenant = platform.tenant("grpc-kills").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Arc::new(Oracle::new(tenant));
        let sender =
            Sender { platform: Arc::clone(&platform), oracle: Arc::clone(&oracle), rng: Rng::new(seed), streams: 0 };
        let receipts = Arc::<AtomicU64>::default();
        let sending = tokio::spawn({
            let receipts = Arc::clone(&receipts);
            async move { sender.send(EVENTS, &receipts).await }
        });
        for kill in 1..=KILLS {
            until("more receipts", SETTLED_WITHIN, || async {
                Ok((receipts.load(Ordering::Relaxed) >= kill * EVENTS / (KILLS + 2)).then_some(()))
            })
            .await?;
            ensure!(!sending.is_finished(), "everything was sent before kill {kill}");
            platform.kill9(Part::Ingest).await?;
        }
        let streams = tokio::time::timeout(SETTLED_WITHIN, sending).await.context("not all was sent")???;
        ensure!(streams > KILLS, "{streams} streams for {KILLS} kills");
        let (store, handled) = oracle.settled(&consumer.id, SETTLED_WITHIN).await?;
        eprintln!("{streams} streams; store: {store}; consumer: {handled}");
        ensure!(store.acknowledged == usize::try_from(EVENTS)?, "{store}");
        ensure!(store.is_clean() && store.repeated == 0, "the store: {store}");
        ensure!(handled.is_clean(), "the consumer: {handled}");
        stored(&oracle.tenant, SOURCE, "0").await?;
        platform.retire(&consumer).await
    })
}
