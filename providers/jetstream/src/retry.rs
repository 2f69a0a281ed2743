//! The next attempt of what a consumer did not handle, and the dead letter when there is none.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Context, ErrorCode};
use er_event::dead::DeadLetter;
use er_event::event::{hash64, BatchWriter, EventRef};
use er_provider_kit::metrics::{dropped, retried, Stage};
use er_tenant::consumers::durable;
use futures::TryStreamExt as _;
use metrics::counter;

use crate::payload::Payload;
use crate::publish::{now_us, Outgoing};
use crate::streams;

/// Header: which attempt the message is for, from 2.
pub const ATTEMPT: &str = "Er-Attempt";
/// Header: not before this time, in microseconds.
pub const NOT_BEFORE_US: &str = "Er-Not-Before-Us";

/// Into how many pieces a batch that failed as a whole is cut for its next attempt: 1,024 events are single
/// events by the fifth attempt, so that the one that breaks the batch dies alone.
const PIECES: usize = 8;
/// A wait of the policy's or of the consumer's own wish.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// Messages of one consumer that may wait however full the stream is of others'.
const FEW: u64 = 64;
/// The stage of dead letters that a policy made.
pub const POLICY_STAGE: &str = "policy";

/// An event that was not handled, and why.
#[derive(Debug)]
pub struct Unhandled<'a> {
    pub raw: &'a str,
    pub reason: String,
    /// The consumer's own wish, over the retry policy's backoff.
    pub after: Option<Duration>,
}

/// Where and how a consumer's events are tried again.
#[derive(Debug)]
pub struct Policy<'a> {
    pub tenant: &'a str,
    pub consumer: &'a str,
    pub attempts_max: u32,
    pub backoff: Duration,
    /// Which redrive or replay brought them; empty where none did.
    pub round: &'a str,
}

// === impl Policy ===

impl Policy<'_> {
    /// What to publish for events that failed in attempt `attempt` (from 1): their next attempt, or their dead
    /// letters. `whole`: the batch failed as a whole, so that it is not known which event is at fault.
    /// `id` is the same on every repeat, for de-duplication.
    pub fn after(
        &self,
        attempt: u32,
        unhandled: &[Unhandled<'_>],
        whole: bool,
        received_us: u64,
        id: &str,
    ) -> Vec<Outgoing> {
        if attempt >= self.attempts_max {
            return unhandled.iter().map(|event| self.dead(attempt, event, received_us)).collect();
        }
        retried(Stage::Delivery, 1);
        let piece = if whole { unhandled.len().div_ceil(PIECES) } else { 1 };
        unhandled.chunks(piece.max(1)).map(|events| self.again(attempt, events, received_us, id)).collect()
    }

    fn again(&self, attempt: u32, events: &[Unhandled<'_>], received_us: u64, id: &str) -> Outgoing {
        let wait = events
            .iter()
            .filter_map(|event| event.after)
            .max()
            .unwrap_or_else(|| self.backoff * 2u32.saturating_pow(attempt - 1))
            .min(BACKOFF_MAX);
        let not_before = now_us() + u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        let mut batch = BatchWriter::new();
        for event in events {
            batch.push(event.raw);
        }
        let (subject, batch) = (streams::retry_subject(self.tenant, self.consumer), batch.finish());
        // By what is in it: messages that come again can be grouped otherwise, and the same place in a group hold others.
        let content = hash64(&[&batch]);
        Outgoing {
            message_id: format!("{subject}.{id}.{attempt}.{content:016x}"),
            subject,
            received_us,
            headers: headers(attempt + 1, not_before, events.len(), self.round),
            payload: Payload::pack(batch),
        }
    }

    fn dead(&self, attempt: u32, event: &Unhandled<'_>, received_us: u64) -> Outgoing {
        dead_letter(
            self.tenant,
            received_us,
            self.round,
            &DeadLetter {
                stage: "deliver".into(),
                reason: event.reason.clone(),
                attempts: attempt,
                consumer: Some(self.consumer.to_string()),
                revision: None,
                time_us: i64::try_from(now_us()).unwrap_or(i64::MAX),
                event: event.raw.to_string(),
            },
        )
    }
}

/// Whether more of a consumer's may be written to be tried again beside what waits already, which is to have room as well
/// when it is written anew for its next attempt.
pub async fn has_room(js: &Context, tenant: &str, consumer: &str, messages_max: u64) -> anyhow::Result<bool> {
    let stream = js.get_stream(streams::RETRY).await.context("the stream of retries")?;
    let mut waiting = stream.info_with_subjects(streams::retry_subject(tenant, consumer)).await?;
    let bytes = waiting.info.state.bytes;
    let bytes_max = u64::try_from(waiting.info.config.max_bytes).unwrap_or(u64::MAX);
    let mut messages = 0;
    while let Some((_, count)) = waiting.try_next().await? {
        messages += count as u64;
    }
    Ok(leaves_room(messages, messages_max, bytes, bytes_max))
}

/// When the place was made from which a consumer's retries are taken, in microseconds since 1970; none where there is none, and
/// so nobody takes them.
pub async fn place(js: &Context, tenant: &str, consumer: &str) -> anyhow::Result<Option<u64>> {
    if !er_tenant::consumers::valid_place(consumer) {
        return Ok(None);
    }
    let subject = streams::retry_subject(tenant, consumer);
    for durable in [durable(tenant, consumer), consumer.to_owned()] {
        let [_, name] = streams::delivery_names(&durable);
        let asked = format!("CONSUMER.INFO.{}.{name}", streams::RETRY);
        match js
            .request::<_, _, Response<Info>>(asked, &serde_json::json!({}))
            .await
            .context("the consumers of retries")?
        {
            // A place of that name may be another tenant's.
            Response::Ok(Info { config, created, .. }) if config.filter_subject == subject => {
                return Ok(Some(u64::try_from(created.unix_timestamp_nanos() / 1_000)?));
            }
            Response::Ok(_) => {}
            Response::Err { error } if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => {}
            Response::Err { error } => return Err(error).context("the consumers of retries"),
        }
    }
    Ok(None)
}

/// `messages` are the consumer's, `bytes` of the stream. Where others fill half of the stream, who has little there goes on.
fn leaves_room(messages: u64, messages_max: u64, bytes: u64, bytes_max: u64) -> bool {
    messages < messages_max && (bytes < bytes_max / 2 || messages < FEW)
}

/// Of a message for a consumer's retry subject. `attempt`: the one that it is for, from 1.
pub fn headers(attempt: u32, not_before_us: u64, events: usize, round: &str) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        (ATTEMPT, attempt.to_string()),
        (NOT_BEFORE_US, not_before_us.to_string()),
        (streams::EVENTS_COUNT, events.to_string()),
    ];
    if !round.is_empty() {
        headers.push((streams::ROUND, round.to_string()));
    }
    headers
}

/// A dead letter as a message of `ER_DEAD`. `round`: which redrive or replay brought the event; empty where none did.
pub fn dead_letter(tenant: &str, received_us: u64, round: &str, letter: &DeadLetter) -> Outgoing {
    counter!("eventrunner_pipeline_dead_letters_total", "stage" => letter.stage.clone()).increment(1);
    // A tenant's rule and a policy say on purpose that an event goes no further.
    let intentional = matches!(letter.stage.as_str(), "rules" | POLICY_STAGE);
    dropped(letter.stage.clone(), "dead-letter", intentional, 1);
    let (source, id) = EventRef::parse(&letter.event)
        .map(|event| (event.source.into_owned(), event.id.into_owned()))
        .unwrap_or_else(|_| (String::new(), letter.event.clone()));
    let key = hash64(&[tenant, letter.consumer.as_deref().unwrap_or_default(), &letter.stage, &source, &id]);
    // The tenant as it is: of what is hashed, another tenant could make the same on purpose, and hide this letter behind its own.
    let message_id = match round {
        "" => format!("dead-{tenant}-{key:016x}"),
        round => format!("dead-{tenant}-{key:016x}-{round}"),
    };
    Outgoing {
        subject: streams::dead_subject(tenant),
        message_id,
        received_us,
        headers: Vec::new(),
        payload: Payload::pack(letter.to_json()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy<'static> {
        Policy { tenant: "demo", consumer: "c", attempts_max: 5, backoff: Duration::from_millis(10), round: "" }
    }

    fn event(id: usize) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"}}"#)
    }

    #[test]
    fn a_poison_event_is_alone_before_its_last_attempt() {
        let raw: Vec<String> = (0..1024).map(event).collect();
        let mut size = raw.len();
        for attempt in 1..5 {
            let unhandled: Vec<Unhandled> =
                raw[..size].iter().map(|raw| Unhandled { raw, reason: "trap".into(), after: None }).collect();
            let out = policy().after(attempt, &unhandled, true, 0, "1");
            assert!(out.len() <= PIECES);
            let first = out[0].payload.unpack().unwrap();
            let largest = er_event::event::split(std::str::from_utf8(&first).unwrap()).unwrap().len();
            size = largest;
        }
        assert_eq!(size, 1);
    }

    #[test]
    fn the_last_attempt_leads_to_dead_letters_with_the_reason() {
        let raw = event(7);
        let unhandled = [Unhandled { raw: &raw, reason: "no such order".into(), after: None }];
        let out = policy().after(5, &unhandled, false, 0, "1");
        let payload = out[0].payload.unpack().unwrap();
        let letter = DeadLetter::parse(std::str::from_utf8(&payload).unwrap()).unwrap();
        assert_eq!(out[0].subject, "er.dead.demo");
        assert_eq!((letter.reason.as_str(), letter.attempts), ("no such order", 5));
        assert_eq!(letter.consumer.as_deref(), Some("c"));
    }

    #[test]
    fn what_is_given_up_again_after_a_redrive_is_another_dead_letter() {
        let raw = event(7);
        let unhandled = [Unhandled { raw: &raw, reason: "r".into(), after: None }];
        let id = |round| Policy { round, ..policy() }.after(5, &unhandled, false, 0, "1").remove(0).message_id;
        assert_ne!(id(""), id("r8"));
        assert_eq!(id("r8"), id("r8"));
        let again = Policy { round: "r8", ..policy() }.after(1, &unhandled, false, 0, "1").remove(0);
        assert!(again.headers.contains(&(streams::ROUND, "r8".into())), "{:?}", again.headers);
    }

    #[test]
    fn a_consumers_own_wish_is_granted_up_to_a_ceiling() {
        let raw = event(7);
        let latest = |after| {
            let before = now_us();
            let unhandled = [Unhandled { raw: &raw, reason: "r".into(), after: Some(after) }];
            let out = policy().after(1, &unhandled, false, 0, "1").remove(0);
            let at = out.headers.iter().find(|(name, _)| *name == NOT_BEFORE_US).unwrap().1.parse::<u64>().unwrap();
            Duration::from_micros(at - before)
        };
        assert!((Duration::from_secs(7)..BACKOFF_MAX).contains(&latest(Duration::from_secs(7))));
        assert!(latest(BACKOFF_MAX * 100) < BACKOFF_MAX * 2);
    }

    #[test]
    fn who_fills_the_stream_waits_and_who_has_little_there_does_not() {
        let half = 500;
        assert!(leaves_room(1_999, 2_000, half - 1, 1_000));
        assert!(!leaves_room(2_000, 2_000, 0, 1_000), "its own share");
        assert!(!leaves_room(FEW, 2_000, half, 1_000), "the stream");
        assert!(leaves_room(FEW - 1, 2_000, half, 1_000), "others fill it");
    }

    #[test]
    fn other_events_have_another_message_id() {
        let (one, other) = (event(7), event(8));
        let id = |policy: Policy<'_>, raw: &str, id: &str| {
            let unhandled = [Unhandled { raw, reason: "r".into(), after: None }];
            policy.after(1, &unhandled, true, 0, id).remove(0).message_id
        };
        let ids = [
            id(policy(), &one, "deliver.9.1"),
            // Grouped otherwise when it came again, it has the place of another.
            id(policy(), &other, "deliver.9.1"),
            id(policy(), &one, "retry.9.1"),
            id(Policy { tenant: "acme", ..policy() }, &one, "deliver.9.1"),
            id(Policy { consumer: "d", ..policy() }, &one, "deliver.9.1"),
        ];
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }

    #[test]
    fn a_repeat_has_the_same_message_id() {
        let raw = event(7);
        let unhandled = [Unhandled { raw: &raw, reason: "r".into(), after: None }];
        let ids = |()| policy().after(1, &unhandled, true, 0, "9").remove(0).message_id;
        assert_eq!(ids(()), ids(()));
    }
}
