//! `tail`: a tenant's stream as it grows, and its dead letters.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{pull, AckPolicy, DeliverPolicy, ReplayPolicy};
use er_event::event::{is_wanted, parse_batch, BatchWriter};
use futures::StreamExt as _;
use parking_lot::Mutex;
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::tail::{Handler, Page};
use crate::dead;
use crate::fault::{fault, unavailable};
use crate::payload::Payload;
use crate::provider::Jetstream;
use crate::publish::now_us;
use crate::streams;

const WAIT_MAX: Duration = Duration::from_secs(20);
/// Messages of a page at most, beside the limits of a batch.
const MESSAGES_MAX: usize = 64;
/// Of what is read for a page: what does not fit is read again for the next one.
const READ_BYTES_MAX: usize = 1 << 20;
const DEAD_LIMIT_MAX: u32 = 1_000;

/// Live tails that are read now, by tenant. Each read may wait for [`WAIT_MAX`], and holds an instance of whoever asked.
#[derive(Debug, Default)]
pub struct Tails(Mutex<HashMap<String, usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    tails: &'a Tails,
    tenant: String,
}

// === impl Tails ===

impl Tails {
    /// `limits`: of one tenant, and of all. An error says whose is reached.
    pub fn begin(&self, tenant: &str, limits: (usize, usize)) -> Result<Turn<'_>, String> {
        let mut reads = self.0.lock();
        let (of_tenant, of_all) = (reads.get(tenant).copied().unwrap_or_default(), reads.values().sum::<usize>());
        let (tenant_max, all_max) = limits;
        if of_tenant >= tenant_max {
            return Err(format!("{tenant} has {of_tenant} live tails open, as many as may be at once; close one"));
        }
        if of_all >= all_max {
            return Err(format!("{of_all} live tails are open, as many as the platform has room for; come back later"));
        }
        *reads.entry(tenant.to_owned()).or_default() += 1;
        Ok(Turn { tails: self, tenant: tenant.to_owned() })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut reads = self.tails.0.lock();
        if let Some(count) = reads.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                reads.remove(&self.tenant);
            }
        }
    }
}

impl Handler<Option<Context>> for Jetstream {
    async fn read(
        &self,
        cx: Option<Context>,
        tenant: String,
        after: Option<u64>,
        types: Vec<String>,
        wait_ms: u32,
    ) -> anyhow::Result<Result<Page, Fault>> {
        if let Err(refusal) = self.check_link(cx.as_ref(), "tail").await {
            return Ok(Err(refusal));
        }
        let wait = Duration::from_millis(wait_ms.into()).min(WAIT_MAX);
        let _turn = match self.tail(&tenant) {
            Ok(turn) => turn,
            Err(full) => return Ok(Err(fault(FaultCode::Exhausted, full))),
        };
        Ok(self
            .read_metered(&tenant, after, &types, wait)
            .await
            .map_err(|e| unavailable("the tenant's stream can't be read", &format!("{e:#}"))))
    }

    async fn dead_letters(
        &self,
        cx: Option<Context>,
        tenant: String,
        after: u64,
        limit: u32,
    ) -> anyhow::Result<Result<String, Fault>> {
        if let Err(refusal) = self.check_link(cx.as_ref(), "tail").await {
            return Ok(Err(refusal));
        }
        if limit == 0 {
            return Ok(Err(fault(FaultCode::Invalid, "limit must be from 1 to 1,000")));
        }
        Ok(self
            .read_dead_letters(&tenant, after, limit.min(DEAD_LIMIT_MAX) as usize)
            .await
            .map_err(|e| unavailable("dead letters can't be read", &format!("{e:#}"))))
    }
}

impl Jetstream {
    /// What is not counted is not sent.
    async fn read_metered(
        &self,
        tenant: &str,
        after: Option<u64>,
        types: &[String],
        wait: Duration,
    ) -> anyhow::Result<Page> {
        let (page, events) = self.read_tail(tenant, after, types, wait).await?;
        let parts = self.parts().await?;
        let read = parts.nats.new_inbox();
        let used =
            crate::meter::tail(tenant, &read, now_us(), events, page.events.len()).map_err(anyhow::Error::msg)?;
        parts.usage.record(used).await.map_err(anyhow::Error::msg)?;
        Ok(page)
    }

    async fn read_tail(
        &self,
        tenant: &str,
        after: Option<u64>,
        types: &[String],
        wait: Duration,
    ) -> anyhow::Result<(Page, usize)> {
        let parts = self.parts().await?;
        let mut stream = parts.js.get_stream(streams::EVENTS).await?;
        let last = stream.info().await?.state.last_sequence;
        let mut next = after.unwrap_or(last);
        let started = Instant::now();
        let mut page = BatchWriter::new();
        let mut consumer = None;
        while page.is_empty() {
            let left = wait.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            let consumer = match &consumer {
                Some(consumer) => consumer,
                None => consumer.insert(
                    stream
                        .create_consumer(pull::Config {
                            filter_subject: streams::events_subject(tenant),
                            ack_policy: AckPolicy::None,
                            replay_policy: ReplayPolicy::Instant,
                            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: next.saturating_add(1) },
                            memory_storage: true,
                            num_replicas: 1,
                            inactive_threshold: WAIT_MAX + Duration::from_secs(5),
                            ..pull::Config::default()
                        })
                        .await?,
                ),
            };
            // A short batch is answered as soon as one message is there.
            let mut messages = consumer.batch().max_messages(1).expires(left).messages().await?;
            let mut taken = Vec::new();
            while let Some(message) = messages.next().await {
                taken.push(message.map_err(|e| anyhow::anyhow!(e))?);
            }
            if !taken.is_empty() {
                let mut rest = consumer.fetch().max_messages(MESSAGES_MAX).max_bytes(READ_BYTES_MAX).messages().await?;
                // An error is the answer of JetStream, too, where the next message passes the limit.
                while let Some(Ok(message)) = rest.next().await {
                    taken.push(message);
                }
            }
            for message in taken {
                let payload = Payload::of(&message).unpack()?;
                let text = std::str::from_utf8(&payload)?;
                if !page.is_empty() && !page.fits(text.len()) {
                    break;
                }
                next = message.info().map_err(|e| anyhow::anyhow!(e))?.stream_sequence;
                for event in parse_batch(text)? {
                    if is_wanted(types, &event.event_type) {
                        page.push(event.raw);
                    }
                }
            }
        }
        if let Some(consumer) = consumer {
            // It would expire by itself; asked to go, it goes now.
            let _ = stream.delete_consumer(&consumer.cached_info().name).await;
        }
        let count = page.len();
        Ok((Page { events: page.finish(), next }, count))
    }

    async fn read_dead_letters(&self, tenant: &str, after: u64, limit: usize) -> anyhow::Result<String> {
        let stream = self.parts().await?.js.get_stream(streams::DEAD).await?;
        dead::page(&stream, tenant, after, limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_bounded_by_tenant_and_in_all() {
        let tails = Tails::default();
        let limits = (2, 3);
        let first = tails.begin("acme", limits).unwrap();
        let _second = tails.begin("acme", limits).unwrap();
        assert!(tails.begin("acme", limits).unwrap_err().starts_with("acme has 2"));
        let _third = tails.begin("globex", limits).unwrap();
        assert!(tails.begin("globex", limits).unwrap_err().starts_with("3 live tails"));
        drop(first);
        assert!(tails.begin("acme", limits).is_ok());
        let left: usize = tails.0.lock().values().sum();
        assert_eq!(left, 2, "what was dropped is not counted");
    }
}
