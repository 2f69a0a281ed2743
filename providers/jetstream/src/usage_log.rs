//! `usage-log`: what the records in `ER_USAGE` come to, added up anew: the proof of what analytics say.

use std::time::Duration;

use async_nats::jetstream::consumer::{pull, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use er_metering::{rows_json, Ledger, Period, Record, Time, Window};
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
const ADD_UP_MAX: Duration = Duration::from_secs(8);

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
        let ledger = tokio::time::timeout(ADD_UP_MAX, self.ledger(tenant, period)).await.map_err(|_| {
            unavailable("ER_USAGE holds more of it than can be added up in one call", &"ask for a shorter time")
        })??;
        let rows = ledger.usage(tenant, period).and_then(|usage| usage.by(window, period));
        rows.and_then(|rows| rows_json(&rows)).map_err(|e| invalid(e.to_string()))
    }

    /// Every record of the tenant that is in the stream now and counts in `period`.
    async fn ledger(&self, tenant: &str, period: Period) -> Result<Ledger, Fault> {
        let away = |error: &dyn std::fmt::Display| unavailable("ER_USAGE can't be read", error);
        let parts = self.parts().await.map_err(|e| away(&e))?;
        let mut stream = parts.js.get_stream(streams::USAGE).await.map_err(|e| away(&e))?;
        let state = stream.info().await.map_err(|e| away(&e))?.state.clone();
        // A record is written after its minute, so what was written before `from` counts earlier.
        let from = OffsetDateTime::from_unix_timestamp_nanos(i128::from(period.from().us()) * 1_000)
            .map_err(|e| fault(FaultCode::Invalid, e.to_string()))?;
        if state.first_sequence > 1 && state.first_timestamp > from {
            let first = state.first_timestamp;
            return Err(fault(
                FaultCode::NotFound,
                format!("ER_USAGE reaches back to {first} only, and {} was asked for", period.from()),
            ));
        }
        let mut ledger = Ledger::new(period.from());
        let subject = streams::usage_subject(tenant);
        let last = match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) if message.time < from => return Ok(ledger),
            Ok(message) => message.sequence,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => return Ok(ledger),
            Err(error) => return Err(away(&error)),
        };
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
            let Some(message) = messages.next().await else { break };
            let message = message.map_err(|e| away(&e))?;
            reached = message.info().map_err(|e| away(&e))?.stream_sequence;
            let text = Payload::of(&message).unpack().map_err(|e| away(&e))?;
            let text = std::str::from_utf8(&text).map_err(|e| away(&e))?;
            let records = Record::parse_lines(text).map_err(|e| fault(FaultCode::Internal, e.to_string()))?;
            for record in records.iter().filter(|record| period.contains(record.minute)) {
                let _ = ledger.merge(record).map_err(|e| fault(FaultCode::Invalid, e.to_string()))?;
            }
        }
        Ok(ledger)
    }
}
