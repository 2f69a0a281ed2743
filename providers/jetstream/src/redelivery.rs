//! `redelivery`: dead letters delivered again or discarded, and replays begun.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream::Stream};
use er_event::dead::DeadLetter;
use er_event::event::{partition_of, EventRef, PARTITIONS};
use futures::{StreamExt as _, TryStreamExt as _};
use metrics::counter;
use serde_json::{json, Value};
use tracing::info;
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::redelivery::{Handler, Letters, Window};
use crate::dead::{self, Letter};
use crate::fault::{fault, publish_fault, unavailable};
use crate::payload::Payload;
use crate::provider::{Jetstream, Parts};
use crate::publish::{now_us, publish, Outgoing};
use crate::{replay, retry, streams};

/// Dead letters of one call.
const LETTERS_MAX: usize = 1_000;
/// Dead letters that are looked at to find those that match.
const LOOKED_AT_MAX: usize = 20_000;
/// Under way at once: each waits for the disk.
const AT_ONCE: usize = 32;
/// How long a call may work on dead letters. Less than callers wait, who would not be told of what was done.
const CALL_MAX: Duration = Duration::from_secs(15);

/// Which consumers a call found to be there: each is asked about once.
#[derive(Default)]
struct Places(tokio::sync::Mutex<HashMap<String, Result<bool, String>>>);

impl Handler<Option<Context>> for Jetstream {
    async fn show(
        &self,
        cx: Option<Context>,
        tenant: String,
        seq: u64,
    ) -> anyhow::Result<Result<Option<String>, Fault>> {
        Ok(async {
            let (_, stream) = self.dead(cx.as_ref(), &tenant).await?;
            let letter = dead::one(&stream, &tenant, seq).await.map_err(away)?;
            Ok(letter.map(|letter| letter.json()))
        }
        .await)
    }

    async fn select(
        &self,
        cx: Option<Context>,
        tenant: String,
        letters: Letters,
    ) -> anyhow::Result<Result<String, Fault>> {
        Ok(async {
            let (_, stream) = self.dead(cx.as_ref(), &tenant).await?;
            select(&stream, &tenant, &letters).await
        }
        .await)
    }

    async fn redrive(
        &self,
        cx: Option<Context>,
        tenant: String,
        seqs: Vec<u64>,
    ) -> anyhow::Result<Result<String, Fault>> {
        Ok(async {
            let (parts, stream) = self.dead(cx.as_ref(), &tenant).await?;
            redrive(parts, &stream, &tenant, few(seqs)?).await
        }
        .await)
    }

    async fn discard(
        &self,
        cx: Option<Context>,
        tenant: String,
        seqs: Vec<u64>,
    ) -> anyhow::Result<Result<String, Fault>> {
        Ok(async {
            let (parts, stream) = self.dead(cx.as_ref(), &tenant).await?;
            let seqs = few(seqs)?;
            let (tenant, stream, began) = (&tenant, &stream, Instant::now());
            let done = futures::stream::iter(seqs).map(|seq| async move {
                if began.elapsed() >= CALL_MAX {
                    return Ok(None);
                }
                match dead::one(stream, tenant, seq).await? {
                    Some(letter) => dead::remove(&parts.js, stream, tenant, letter.seq).await.map(Some),
                    None => Ok(Some(false)),
                }
            });
            let done: Vec<Option<bool>> = done.buffered(AT_ONCE).try_collect().await.map_err(away)?;
            let discarded = done.iter().filter(|done| **done == Some(true)).count();
            info!(tenant, discarded, "audit: dead letters discarded");
            counter!("eventrunner_redelivery_discarded_total").increment(discarded as u64);
            let left = done.iter().filter(|done| done.is_none()).count();
            if left > 0 {
                return Err(unavailable("there was no time for all of them", &format!("{left} are left, ask again")));
            }
            Ok(json!({ "discarded": discarded }).to_string())
        }
        .await)
    }

    async fn replay(
        &self,
        cx: Option<Context>,
        tenant: String,
        window: Window,
        by: String,
    ) -> anyhow::Result<Result<String, Fault>> {
        Ok(async {
            let parts = self.of_tenant(cx.as_ref(), &tenant).await?;
            let place = retry::place(&parts.js, &tenant, &window.consumer).await.map_err(away)?;
            let place_us = place.ok_or_else(|| no_consumer(&window.consumer))?;
            replay::begin(parts, &tenant, place_us, window, by).await
        }
        .await)
    }

    async fn replays(&self, cx: Option<Context>, tenant: String) -> anyhow::Result<Result<String, Fault>> {
        Ok(async {
            let parts = self.of_tenant(cx.as_ref(), &tenant).await?;
            replay::list(parts, &tenant).await
        }
        .await)
    }
}

impl Places {
    async fn has(&self, js: &jetstream::Context, tenant: &str, consumer: &str) -> Result<bool, String> {
        let mut known = self.0.lock().await;
        if let Some(there) = known.get(consumer) {
            return there.clone();
        }
        let place = retry::place(js, tenant, consumer).await;
        let there = place.map(|place| place.is_some()).map_err(|e| format!("{e:#}"));
        known.insert(consumer.to_owned(), there.clone());
        there
    }
}

impl Jetstream {
    /// JetStream, for a caller that has a link and names what can be a tenant.
    async fn of_tenant(&self, cx: Option<&Context>, tenant: &str) -> Result<&Parts, Fault> {
        self.check_link(cx, "redelivery").await?;
        if !er_event::keys::valid_tenant(tenant) {
            return Err(fault(FaultCode::Invalid, format!("`{tenant}` is not a tenant name")));
        }
        self.parts().await.map_err(|e| unavailable("JetStream can't be reached", &e))
    }

    /// The stream of dead letters beside it.
    async fn dead(&self, cx: Option<&Context>, tenant: &str) -> Result<(&Parts, Stream), Fault> {
        let parts = self.of_tenant(cx, tenant).await?;
        let stream = parts.js.get_stream(streams::DEAD).await.map_err(|e| unavailable("dead letters", &e))?;
        Ok((parts, stream))
    }
}

fn away(error: anyhow::Error) -> Fault {
    unavailable("dead letters can't be worked on", &format!("{error:#}"))
}

fn no_consumer(consumer: &str) -> Fault {
    fault(FaultCode::NotFound, format!("this tenant has no consumer `{consumer}` that events are delivered to"))
}

/// In order, each once.
fn few(seqs: Vec<u64>) -> Result<Vec<u64>, Fault> {
    if seqs.len() > LETTERS_MAX {
        return Err(fault(
            FaultCode::Invalid,
            format!("{} dead letters in one call; at most {LETTERS_MAX}", seqs.len()),
        ));
    }
    Ok(seqs.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
}

async fn select(stream: &Stream, tenant: &str, wanted: &Letters) -> Result<String, Fault> {
    let mut found: Vec<Letter> = Vec::new();
    if wanted.seqs.is_empty() {
        let limit = (wanted.limit as usize).min(LETTERS_MAX);
        let mut after = 0;
        for _ in 0..LOOKED_AT_MAX {
            if found.len() >= limit {
                break;
            }
            let Some(letter) = dead::next(stream, tenant, after).await.map_err(away)? else { break };
            after = letter.seq;
            if letter.read().is_ok_and(|read| matches(&read, wanted)) {
                found.push(letter);
            }
        }
    } else {
        let letters = futures::stream::iter(few(wanted.seqs.clone())?);
        let letters = letters.map(|seq| async move { dead::one(stream, tenant, seq).await }).buffered(AT_ONCE);
        found = letters.try_filter_map(|letter| async { Ok(letter) }).try_collect().await.map_err(away)?;
    }
    let seqs: Vec<u64> = found.iter().map(|letter| letter.seq).collect();
    let consumers: BTreeSet<String> =
        found.iter().filter_map(|letter| letter.read().ok()).filter_map(|read| read.consumer).collect();
    Ok(json!({ "seqs": seqs, "consumers": consumers }).to_string())
}

fn matches(letter: &DeadLetter, wanted: &Letters) -> bool {
    wanted.consumer.as_ref().is_none_or(|name| letter.consumer.as_ref() == Some(name))
        && wanted.stage.as_ref().is_none_or(|stage| letter.stage == *stage)
        && wanted.reason.as_ref().is_none_or(|part| letter.reason.contains(part.as_str()))
}

async fn redrive(parts: &Parts, stream: &Stream, tenant: &str, seqs: Vec<u64>) -> Result<String, Fault> {
    let (began, places) = (Instant::now(), &Places::default());
    let done = futures::stream::iter(seqs)
        .map(|seq| async move {
            let done = match began.elapsed() < CALL_MAX {
                true => redrive_one(parts, stream, places, tenant, seq).await,
                false => Err("there was no time for it: ask again".to_owned()),
            };
            (seq, done)
        })
        .buffered(AT_ONCE);
    let done: Vec<(u64, Result<(), String>)> = done.collect().await;
    let redriven = done.iter().filter(|(_, result)| result.is_ok()).count();
    let kept: Vec<Value> =
        done.into_iter().filter_map(|(seq, result)| Some(json!({ "seq": seq, "reason": result.err()? }))).collect();
    info!(tenant, redriven, kept = kept.len(), "audit: dead letters redriven");
    counter!("eventrunner_redelivery_redriven_total").increment(redriven as u64);
    Ok(json!({ "redriven": redriven, "kept": kept }).to_string())
}

/// The letter goes only after what was made of it is durable; its place names the message, so that a repeat makes no second.
async fn redrive_one(parts: &Parts, stream: &Stream, places: &Places, tenant: &str, seq: u64) -> Result<(), String> {
    let text = |error: anyhow::Error| format!("{error:#}");
    let letter = dead::one(stream, tenant, seq).await.map_err(text)?;
    let letter = letter.ok_or("there is no such dead letter, or not any more")?;
    let (claim, letter) = (letter.claim, letter.read().map_err(text)?);
    let out = match &letter.consumer {
        Some(consumer) => {
            if !places.has(&parts.js, tenant, consumer).await? {
                return Err(no_consumer(consumer).detail);
            }
            to_consumer(tenant, consumer, seq, &letter)
        }
        None => to_pipeline(tenant, parts.settings.shards, seq, claim, &letter),
    };
    publish(&parts.js, out).await.map_err(|e| publish_fault(&e).detail)?;
    let removed = dead::remove(&parts.js, stream, tenant, seq).await;
    removed.map(drop).map_err(|e| format!("it is on its way, and could not be removed: {e:#}"))
}

fn to_consumer(tenant: &str, consumer: &str, seq: u64, letter: &DeadLetter) -> Outgoing {
    Outgoing {
        subject: streams::retry_subject(tenant, consumer),
        message_id: format!("redrive-{seq}"),
        received_us: 0,
        headers: retry::headers(1, 0, 1, &round(seq)),
        payload: Payload::pack(format!("[{}]", letter.event)),
    }
}

fn to_pipeline(tenant: &str, shards: u32, seq: u64, claim: Option<u64>, letter: &DeadLetter) -> Outgoing {
    let partition = EventRef::parse(&letter.event).map_or(0, |event| partition_of(tenant, &event)) % PARTITIONS;
    let mut headers = vec![(streams::EVENTS_COUNT, "1".into()), (streams::ROUND, round(seq))];
    headers.extend(claim.map(|claim| (streams::CLAIM, claim.to_string())));
    Outgoing {
        subject: streams::raw_subject(partition % shards, tenant),
        message_id: format!("redrive-{seq}"),
        received_us: now_us(),
        headers,
        payload: Payload::pack(format!("[{}]", letter.event)),
    }
}

/// What makes a dead letter of a redriven event another than the one that it was.
fn round(seq: u64) -> String {
    format!("r{seq}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            stage: "deliver".into(),
            reason: "no such order".into(),
            attempts: 5,
            consumer: Some("alert".into()),
            revision: None,
            time_us: 0,
            event: r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#.into(),
        }
    }

    fn wanted(consumer: Option<&str>, stage: Option<&str>, reason: Option<&str>) -> Letters {
        let text = |part: Option<&str>| part.map(str::to_owned);
        Letters { seqs: vec![], consumer: text(consumer), stage: text(stage), reason: text(reason), limit: 10 }
    }

    #[test]
    fn letters_match_by_all_that_is_said() {
        assert!(matches(&letter(), &wanted(None, None, None)));
        assert!(matches(&letter(), &wanted(Some("alert"), Some("deliver"), Some("order"))));
        for other in [wanted(Some("x"), None, None), wanted(None, Some("rules"), None), wanted(None, None, Some("x"))] {
            assert!(!matches(&letter(), &other), "{other:?}");
        }
    }

    #[test]
    fn a_redriven_letter_begins_anew_and_is_known_as_such() {
        let out = to_consumer("acme", "alert", 8, &letter());
        assert_eq!((&*out.subject, &*out.message_id), ("er.retry.acme.alert", "redrive-8"));
        assert!(out.headers.contains(&(retry::ATTEMPT, "1".into())), "{:?}", out.headers);
        assert!(out.headers.contains(&(streams::ROUND, "r8".into())), "{:?}", out.headers);
        let raw = to_pipeline("acme", 4, 8, Some(3), &letter());
        // Who was given up after it was stored would else be known to the store, and go nowhere.
        assert!(raw.headers.contains(&(streams::CLAIM, "3".into())), "{:?}", raw.headers);
        assert!(raw.subject.starts_with("er.raw.") && raw.subject.ends_with(".acme"), "{}", raw.subject);
        assert_eq!(raw.payload.unpack().unwrap(), out.payload.unpack().unwrap());
    }
}
