//! `raw-log`: appending to `ER_RAW`.

use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::raw_log::{Entry, Handler};
use crate::fault::{fault, publish_fault, unavailable};
use crate::provider::Jetstream;
use crate::publish::{publish_all, Outgoing};
use crate::streams;

impl Handler<Option<Context>> for Jetstream {
    async fn append(
        &self,
        cx: Option<Context>,
        tenant: String,
        entries: Vec<Entry>,
    ) -> anyhow::Result<Result<(), Fault>> {
        if let Err(refusal) = self.check_link(cx.as_ref(), "raw-log").await {
            return Ok(Err(refusal));
        }
        if !er_event::keys::valid_tenant(&tenant) {
            return Ok(Err(fault(FaultCode::Invalid, format!("`{tenant}` is not a tenant name"))));
        }
        Ok(self.append_raw(&tenant, entries).await)
    }
}

impl Jetstream {
    /// Publishes entries to their shards and waits for every PubAck.
    pub async fn append_raw(&self, tenant: &str, entries: Vec<Entry>) -> Result<(), Fault> {
        let parts = self.parts().await.map_err(|e| unavailable("JetStream can't be reached", &e))?;
        let out = entries
            .into_iter()
            .map(|entry| Outgoing {
                subject: streams::raw_subject(entry.partition % parts.settings.shards, tenant),
                message_id: entry.message_id,
                received_us: entry.received_us,
                headers: Vec::new(),
                payload: entry.events.into(),
            })
            .collect();
        publish_all(&parts.js, out).await.map_err(|e| publish_fault(&e))
    }
}
