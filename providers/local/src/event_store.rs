//! `event-store`: the interface, call by call.

use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::Fault;
use crate::bindings::exports::eventrunner::platform::event_store::{Filter, Handler, Page};
use crate::provider::Local;
use er_provider_local::store::{self, Error};

const INTERFACE: &str = "event-store";

impl Handler<Option<Context>> for Local {
    async fn put(
        &self,
        cx: Option<Context>,
        tenant: String,
        keep_h: Option<u32>,
        claims: String,
        events: String,
    ) -> anyhow::Result<Result<Vec<u32>, Fault>> {
        Ok(self.put_events(cx.as_ref(), &tenant, keep_h, &claims, &events).await)
    }

    async fn get(
        &self,
        cx: Option<Context>,
        tenant: String,
        source: String,
        id: String,
    ) -> anyhow::Result<Result<Option<String>, Fault>> {
        Ok(self.get_event(cx.as_ref(), &tenant, &source, &id).await)
    }

    async fn query(
        &self,
        cx: Option<Context>,
        tenant: String,
        filter: Filter,
        cursor: Option<String>,
        limit: u32,
    ) -> anyhow::Result<Result<Page, Fault>> {
        Ok(self.query_events(cx.as_ref(), &tenant, filter, cursor, limit).await)
    }
}

impl Local {
    async fn put_events(
        &self,
        cx: Option<&Context>,
        tenant: &str,
        keep_h: Option<u32>,
        claims: &str,
        events: &str,
    ) -> Result<Vec<u32>, Fault> {
        self.check_link(cx, INTERFACE).await?;
        let claims = claims.parse().map_err(|cause| Error::Invalid(format!("claims: {cause}")))?;
        Ok(self.store()?.put(tenant, keep_h, &claims, events).await?)
    }

    async fn get_event(
        &self,
        cx: Option<&Context>,
        tenant: &str,
        source: &str,
        id: &str,
    ) -> Result<Option<String>, Fault> {
        self.check_link(cx, INTERFACE).await?;
        Ok(self.store()?.get(tenant, source, id).await?)
    }

    async fn query_events(
        &self,
        cx: Option<&Context>,
        tenant: &str,
        filter: Filter,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<Page, Fault> {
        self.check_link(cx, INTERFACE).await?;
        let (since, until) = (filter.since.as_deref(), filter.until.as_deref());
        let filter = store::Filter::new(filter.event_type, filter.source, since, until).map_err(Error::Invalid)?;
        let page = self.store()?.query(tenant, filter, cursor, limit).await?;
        Ok(Page { events: page.events, cursor: page.cursor })
    }
}
