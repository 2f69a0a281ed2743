//! `emitter`: a consumer's own events, into the stream of the tenant that its link names.

use std::time::Duration;

use metrics::counter;
use tokio::sync::Semaphore;
use wasmcloud_provider_sdk::Context;

use crate::bindings::exports::eventrunner::platform::emitter::Handler;
use crate::bindings::exports::eventrunner::platform::raw_log::Entry;
use crate::lane::Spent;
use crate::provider::Jetstream;
use crate::publish::now_us;

/// How long a consumer waits for the answer that it emits too much. One that does not listen would keep the lattice busy.
const SPENT_WAIT: Duration = Duration::from_secs(1);
/// Room for those who wait: each takes the place of another call. Beyond it they are answered at once.
static WAITING: Semaphore = Semaphore::const_new(64);

impl Handler<Option<Context>> for Jetstream {
    async fn emit(&self, cx: Option<Context>, batch: String) -> anyhow::Result<Result<u32, String>> {
        Ok(self.emit_checked(cx.as_ref(), &batch).await)
    }
}

impl Jetstream {
    async fn emit_checked(&self, cx: Option<&Context>, batch: &str) -> Result<u32, String> {
        self.check_link(cx, "emitter").await.map_err(|fault| fault.detail)?;
        let source = cx.and_then(|cx| cx.component.as_deref()).unwrap_or_default();
        // The tenant is the link's, never the caller's word.
        let (tenant, calls) =
            self.emitter(source).ok_or_else(|| format!("{source} has no emitter link with a `tenant`"))?;
        let hop = bounded(calls.enter()).await?;
        let (entries, count) = er_event::admit::admit_emitted(&tenant, batch, source, hop + 1, now_us())?;
        bounded(calls.spend(count)).await?;
        let entries = entries
            .into_iter()
            .map(|entry| Entry {
                partition: entry.partition,
                message_id: entry.message_id,
                received_us: entry.received_us,
                events: entry.events,
            })
            .collect();
        if let Err(fault) = self.append_raw(&tenant, entries).await {
            calls.give_back(count);
            return Err(fault.detail);
        }
        counter!("eventrunner_delivery_events_emitted_total").increment(count as u64);
        u32::try_from(count).map_err(|e| e.to_string())
    }
}

/// Makes the consumer wait for a refusal, as far as there is room to wait.
async fn bounded<T>(counted: Result<T, Spent>) -> Result<T, String> {
    if counted.is_err() {
        counter!("eventrunner_delivery_emits_refused_total").increment(1);
        if let Ok(_room) = WAITING.try_acquire() {
            tokio::time::sleep(SPENT_WAIT).await;
        }
    }
    counted.map_err(|spent| spent.to_string())
}
