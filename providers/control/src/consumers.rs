//! `consumers`: orders over the lattice.

use bytes::Bytes;
use er_provider_control::Error;
use serde_json::Value;
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::consumers::Handler;
use crate::provider::Control;

const RETRY_MS: u32 = 1_000;

pub fn fault(code: FaultCode, detail: impl Into<String>) -> Fault {
    let passing = matches!(code, FaultCode::Unavailable | FaultCode::Exhausted);
    Fault { code, detail: detail.into(), retry_after_ms: passing.then_some(RETRY_MS) }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Invalid(_) => FaultCode::Invalid,
            Error::NotFound(_) => FaultCode::NotFound,
            Error::Conflict(_) => FaultCode::Conflict,
            Error::Exhausted(_) => FaultCode::Exhausted,
            Error::Away(_) => FaultCode::Unavailable,
            Error::Internal(_) => FaultCode::Internal,
        };
        fault(code, error.to_string())
    }
}

type Answer<T> = anyhow::Result<Result<T, Fault>>;

fn text(value: Value) -> String {
    value.to_string()
}

impl Handler<Option<Context>> for Control {
    async fn all(&self, cx: Option<Context>, tenant: String) -> Answer<String> {
        Ok(async { Ok(text(self.linked(cx.as_ref()).await?.list(&tenant).await?)) }.await)
    }

    async fn show(&self, cx: Option<Context>, tenant: String, name: String) -> Answer<String> {
        Ok(async { Ok(text(self.linked(cx.as_ref()).await?.show(&tenant, &name).await?)) }.await)
    }

    async fn begin(&self, cx: Option<Context>, tenant: String, bytes: u64) -> Answer<String> {
        Ok(async { Ok(self.linked(cx.as_ref()).await?.begin(&tenant, bytes).await?) }.await)
    }

    async fn piece(
        &self,
        cx: Option<Context>,
        tenant: String,
        upload: String,
        offset: u64,
        bytes: Bytes,
    ) -> Answer<()> {
        Ok(async { Ok(self.linked(cx.as_ref()).await?.piece(&tenant, &upload, offset, bytes).await?) }.await)
    }

    async fn put(
        &self,
        cx: Option<Context>,
        tenant: String,
        name: String,
        upload: Option<String>,
        spec: String,
        by: String,
    ) -> Answer<String> {
        Ok(async {
            let desk = self.linked(cx.as_ref()).await?;
            Ok(text(desk.put(&tenant, &name, upload.as_deref(), &spec, &by).await?))
        }
        .await)
    }

    async fn roll_back(
        &self,
        cx: Option<Context>,
        tenant: String,
        name: String,
        version: u32,
        by: String,
    ) -> Answer<String> {
        Ok(async { Ok(text(self.linked(cx.as_ref()).await?.roll_back(&tenant, &name, version, &by).await?)) }.await)
    }

    async fn delete(&self, cx: Option<Context>, tenant: String, name: String, by: String) -> Answer<String> {
        Ok(async { Ok(text(self.linked(cx.as_ref()).await?.delete(&tenant, &name, &by).await?)) }.await)
    }

    async fn logs(&self, cx: Option<Context>, tenant: String, name: String, limit: u32) -> Answer<String> {
        Ok(async { Ok(text(self.linked(cx.as_ref()).await?.logs(&tenant, &name, limit).await?)) }.await)
    }
}
