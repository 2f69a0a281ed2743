//! `usage-log`: what the records in `ER_USAGE` come to, added up anew: the proof of what analytics say.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::jetstream::consumer::{pull, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use er_event::event::hash64;
use er_metering::{rows_json, Ledger, Period, Quantities, Record, Time, Usage, Window};
use futures::StreamExt as _;
use time::OffsetDateTime;
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::usage_log::Handler;
use crate::fault::{fault, unavailable};
use crate::payload::Payload;
use crate::provider::Jetstream;
use crate::streams;

/// How long one call may read. Less than callers wait.
const ADD_UP_MAX: Duration = Duration::from_secs(20);
/// Records of one call: 64 MiB of keys.
const RECORDS_MAX: usize = 8 << 20;

impl Handler<Option<Context>> for Jetstream {
    async fn usage(
        &self,
        cx: Option<Context>,
        tenant: String,
        from_us: u64,
        to_us: u64,
        window: String,
    ) -> anyhow::Result<Result<String, Fault>> {
        if let Err(refusal) = self.check_link(cx.as_ref(), "usage-log").await {
            return Ok(Err(refusal));
        }
        Ok(self.add_up(&tenant, from_us, to_us, &window).await)
    }
}

impl Jetstream {
    async fn add_up(&self, tenant: &str, from_us: u64, to_us: u64, window: &str) -> Result<String, Fault> {
        let invalid = |cause: String| fault(FaultCode::Invalid, cause);
        let window = Window::from_name(window).ok_or_else(|| invalid(format!("`{window}` is no window")))?;
        let time = |us: u64| Time::from_us(i64::try_from(us).unwrap_or(i64::MAX)).map_err(|e| invalid(e.to_string()));
        let period = Period::new(time(from_us)?, time(to_us)?).map_err(|e| invalid(e.to_string()))?;
        if !er_event::keys::valid_tenant(tenant) {
            return Err(invalid(format!("`{tenant}` is not a tenant name")));
        }
        let usage = tokio::time::timeout(ADD_UP_MAX, self.sums(tenant, period)).await.map_err(|_| {
            unavailable("ER_USAGE holds more of it than can be added up in one call", &"ask for a shorter time")
        })??;
        let rows = usage.by(window, period).map_err(|e| invalid(e.to_string()))?;
        let rows: Vec<(Time, Quantities)> = rows.into_iter().map(|(of, used)| (of.from(), used)).collect();
        rows_json(&rows).map_err(|e| invalid(e.to_string()))
    }

    /// Sums of every record of the tenant that is in the stream now and counts in `period`.
    ///
    /// The stream is read twice: to learn which keys come more than once, of which 8 bytes a record are kept, and to add up.
    /// Only of those few keys are the records themselves kept.
    async fn sums(&self, tenant: &str, period: Period) -> Result<Usage, Fault> {
        let failed = |error: er_metering::Error| fault(FaultCode::Invalid, error.to_string());
        let mut keys = Vec::new();
        // Both times to the same place, or what comes in between would be unknown to the first reading.
        let last = self.last(tenant, period).await?;
        self.read_records(tenant, period, last, |record| {
            keys.push(key(&record));
            if keys.len() > RECORDS_MAX {
                return Err(unavailable("the tenant has more records in that time than are added up", &RECORDS_MAX));
            }
            Ok(())
        })
        .await?;
        keys.sort_unstable();
        let repeated: HashSet<u64> = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        drop(keys);
        let mut usage = Usage::new(tenant, period, Window::Minute).map_err(failed)?;
        let mut ledger = Ledger::new(period.from());
        self.read_records(tenant, period, last, |record| {
            if repeated.contains(&key(&record)) {
                return ledger.merge(&record).map(|_| ()).map_err(failed);
            }
            usage.add_all(record.minute, &record.used).map_err(failed)
        })
        .await?;
        let rest = ledger.usage(tenant, period).and_then(|usage| usage.by(Window::Minute, period)).map_err(failed)?;
        for (minute, used) in rest {
            usage.add_all(minute.from(), &used).map_err(failed)?;
        }
        Ok(usage)
    }

    /// The place of the tenant's last message, 0 where no message of it can hold a record that counts in `period` or later.
    async fn last(&self, tenant: &str, period: Period) -> Result<u64, Fault> {
        let parts = self.parts().await.map_err(|e| away(&e))?;
        let mut stream = parts.js.get_stream(streams::USAGE).await.map_err(|e| away(&e))?;
        let state = stream.info().await.map_err(|e| away(&e))?.state.clone();
        let from = written_from(period)?;
        if state.first_sequence > 1 && state.first_timestamp > from {
            let first = state.first_timestamp;
            return Err(fault(
                FaultCode::NotFound,
                format!("ER_USAGE reaches back to {first} only, and {} was asked for", period.from()),
            ));
        }
        match stream.get_last_raw_message_by_subject(&streams::usage_subject(tenant)).await {
            Ok(message) if message.time < from => Ok(0),
            Ok(message) => Ok(message.sequence),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(0),
            Err(error) => Err(away(&error)),
        }
    }

    /// Gives every record of the tenant up to that place that counts in `period`.
    async fn read_records(
        &self,
        tenant: &str,
        period: Period,
        last: u64,
        mut take: impl FnMut(Record) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if last == 0 {
            return Ok(());
        }
        let parts = self.parts().await.map_err(|e| away(&e))?;
        let stream = parts.js.get_stream(streams::USAGE).await.map_err(|e| away(&e))?;
        let (subject, from) = (streams::usage_subject(tenant), written_from(period)?);
        let config = pull::OrderedConfig {
            filter_subject: subject,
            deliver_policy: DeliverPolicy::ByStartTime { start_time: from },
            replay_policy: ReplayPolicy::Instant,
            ..pull::OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|e| away(&e))?;
        let mut messages = consumer.messages().await.map_err(|e| away(&e))?;
        let mut reached = 0;
        while reached < last {
            let Some(message) = messages.next().await else { return Err(away(&"the reading ended")) };
            let message = message.map_err(|e| away(&e))?;
            reached = message.info().map_err(|e| away(&e))?.stream_sequence;
            let text = Payload::of(&message).unpack().map_err(|e| away(&e))?;
            let text = std::str::from_utf8(&text).map_err(|e| away(&e))?;
            let records = Record::parse_lines(text).map_err(|e| fault(FaultCode::Internal, e.to_string()))?;
            records.into_iter().filter(|record| period.contains(record.minute)).try_for_each(&mut take)?;
        }
        Ok(())
    }
}

fn away(error: &dyn std::fmt::Display) -> Fault {
    unavailable("ER_USAGE can't be read", error)
}

/// A record is written after its minute, so what was written before counts earlier.
fn written_from(period: Period) -> Result<OffsetDateTime, Fault> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(period.from().us()) * 1_000)
        .map_err(|e| fault(FaultCode::Invalid, e.to_string()))
}

/// A record's key within its tenant. Two keys that share it are only told apart later than others.
fn key(record: &Record) -> u64 {
    hash64(&[&record.minute.us().to_string(), &record.id])
}
