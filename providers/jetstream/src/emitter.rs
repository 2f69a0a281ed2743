//! `emitter`: a consumer's own events, into the stream of the tenant that its link names.

use wasmcloud_provider_sdk::Context;

use crate::bindings::exports::eventrunner::platform::emitter::Handler;
use crate::bindings::exports::eventrunner::platform::raw_log::Entry;
use crate::provider::Jetstream;
use crate::publish::now_us;

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
        let (tenant, hop) =
            self.emitter(source).ok_or_else(|| format!("{source} has no emitter link with a `tenant`"))?;
        let (entries, count) = er_event::admit::admit_emitted(&tenant, batch, source, hop + 1, now_us())?;
        let entries = entries
            .into_iter()
            .map(|entry| Entry {
                partition: entry.partition,
                message_id: entry.message_id,
                received_us: entry.received_us,
                events: entry.events,
            })
            .collect();
        self.append_raw(&tenant, entries).await.map_err(|fault| fault.detail)?;
        metrics::counter!("eventrunner_delivery_events_emitted_total").increment(count as u64);
        u32::try_from(count).map_err(|e| e.to_string())
    }
}
