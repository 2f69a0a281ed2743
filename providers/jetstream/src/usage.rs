//! Usage records on their way into `ER_USAGE`.
//!
//! Whoever has records waits until they are durable before it acknowledges what they are of. Records that come while a
//! message is on its way go together with the next: one sync for all who wait, and no wait for a timer.

use std::collections::BTreeMap;

use async_nats::jetstream::Context;
use er_event::event::hash64;
use er_event::limits::BATCH_BYTES_MAX;
use er_metering::Record;
use metrics::counter;
use tokio::sync::{mpsc, oneshot};

use crate::payload::Payload;
use crate::publish::{now_us, publish_all, Outgoing};
use crate::streams;

/// Calls that may wait for the writer; more wait for room.
const WAITING_MAX: usize = 256;

/// A clone is a handle to the same writer.
#[derive(Clone)]
pub struct UsageLog(mpsc::Sender<Waiting>);

struct Waiting {
    records: Vec<Record>,
    answer: oneshot::Sender<Result<(), String>>,
}

// === impl UsageLog ===

impl UsageLog {
    /// Starts the writer, which ends with the last handle.
    pub fn start(js: Context) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(js, receiver));
        Self(sender)
    }

    /// Returns when the records are durable. Repeating it is harmless: a record has a key.
    pub async fn record(&self, records: Vec<Record>) -> Result<(), String> {
        if records.is_empty() {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let ended = || "the writer of usage records ended".to_owned();
        self.0.send(Waiting { records, answer }).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

async fn write(js: Context, mut receiver: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::with_capacity(WAITING_MAX);
    while receiver.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        let records = waiting.iter().flat_map(|waiting| &waiting.records);
        let result = match messages(records) {
            Ok(out) => publish_all(&js, out).await.map_err(|e| format!("usage records: {e}")),
            Err(error) => Err(format!("usage records: {error}")),
        };
        for Waiting { records, answer } in waiting.drain(..) {
            if result.is_ok() {
                counter!("eventrunner_usage_records_total").increment(records.len() as u64);
            }
            // Who gave up waiting is not told.
            let _ = answer.send(result.clone());
        }
    }
}

/// A message for each tenant, or several where one would be too long.
fn messages<'a>(records: impl Iterator<Item = &'a Record>) -> er_metering::Result<Vec<Outgoing>> {
    let mut tenants: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for record in records {
        let line = record.to_line()?;
        let texts = tenants.entry(&record.tenant).or_default();
        match texts.last_mut() {
            Some(text) if text.len() + line.len() < BATCH_BYTES_MAX => {
                text.push('\n');
                text.push_str(&line);
            }
            _ => texts.push(line),
        }
    }
    let received_us = now_us();
    let out = tenants.into_iter().flat_map(|(tenant, texts)| {
        texts.into_iter().map(move |text| Outgoing {
            subject: streams::usage_subject(tenant),
            message_id: format!("usage-{:016x}", hash64(&[tenant, &text])),
            received_us,
            headers: Vec::new(),
            payload: Payload::pack(text),
        })
    });
    Ok(out.collect())
}

#[cfg(test)]
mod tests {
    use er_metering::{Meter, Quantities, Time};

    use super::*;

    fn record(tenant: &str, id: &str) -> Record {
        Record::new(tenant, id, Time::MIN, Quantities::of(Meter::EventsIn, 1).unwrap()).unwrap()
    }

    #[test]
    fn records_of_a_tenant_go_together_within_the_limits_of_a_message() {
        let many: Vec<Record> = (0..9_000).map(|n| record("a", &n.to_string())).collect();
        let out = messages(many.iter().chain([&record("b", "1")])).unwrap();
        let subjects: Vec<&str> = out.iter().map(|out| &*out.subject).collect();
        assert_eq!(subjects, ["er.usage.a", "er.usage.a", "er.usage.b"]);
        let mut read = Vec::new();
        for message in &out {
            let text = message.payload.unpack().unwrap();
            assert!(text.len() <= BATCH_BYTES_MAX);
            read.extend(Record::parse_lines(std::str::from_utf8(&text).unwrap()).unwrap());
        }
        assert_eq!(read, many.into_iter().chain([record("b", "1")]).collect::<Vec<_>>());
    }
}
