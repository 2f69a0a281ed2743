//! The interface, call by call.

use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::Fault;
use crate::bindings::exports::eventrunner::platform::analytics::Handler;
use crate::provider::Local;

const INTERFACE: &str = "analytics";

impl Handler<Option<Context>> for Local {
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

impl Local {
    async fn insert_records(&self, cx: Option<&Context>, records: &str) -> Result<(), Fault> {
        self.check_link(cx, INTERFACE).await?;
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
        self.check_link(cx, INTERFACE).await?;
        Ok(self.analytics()?.usage(tenant, from_us, to_us, window).await?)
    }
}
