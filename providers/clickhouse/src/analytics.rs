//! `analytics`: the interface, call by call.

use er_provider_kit::links;
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::analytics::Handler;
use crate::provider::Provider;

const INTERFACE: &str = "analytics";

impl Handler<Option<Context>> for Provider {
    async fn insert(&self, cx: Option<Context>, records: String) -> anyhow::Result<Result<(), Fault>> {
        Ok(self.insert_records(cx.as_ref(), &records).await)
    }

    async fn usage(
        &self,
        cx: Option<Context>,
        tenant: String,
        from_us: u64,
        to_us: u64,
        window: String,
    ) -> anyhow::Result<Result<String, Fault>> {
        Ok(self.tell_usage(cx.as_ref(), &tenant, from_us, to_us, &window).await)
    }
}

impl Provider {
    async fn insert_records(&self, cx: Option<&Context>, records: &str) -> Result<(), Fault> {
        check_link(cx).await?;
        Ok(self.analytics()?.insert(records).await?)
    }

    async fn tell_usage(
        &self,
        cx: Option<&Context>,
        tenant: &str,
        from_us: u64,
        to_us: u64,
        window: &str,
    ) -> Result<String, Fault> {
        check_link(cx).await?;
        Ok(self.analytics()?.usage(tenant, from_us, to_us, window).await?)
    }
}

/// Whether the caller has a link to this interface.
async fn check_link(cx: Option<&Context>) -> Result<(), Fault> {
    links::check(cx, INTERFACE).await.map_err(|refusal| Fault {
        code: FaultCode::Denied,
        detail: refusal.to_string(),
        retry_after_ms: None,
    })
}
