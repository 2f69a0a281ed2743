//! `policies`: the versions, and which of them count.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use er_provider_opa::Desk;
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::policies::Handler;
use crate::fault::fault;
use crate::provider::Opa;

impl Opa {
    async fn linked(&self, cx: Option<&Context>) -> Result<&Desk, Fault> {
        self.check_link(cx, "policies").await?;
        self.desk()
    }
}

impl Handler<Option<Context>> for Opa {
    async fn state(&self, cx: Option<Context>) -> anyhow::Result<Result<String, Fault>> {
        Ok(self.linked(cx.as_ref()).await.map(|desk| desk.state().to_string()))
    }

    async fn versions(&self, cx: Option<Context>) -> anyhow::Result<Result<String, Fault>> {
        Ok(async { Ok(self.linked(cx.as_ref()).await?.versions().await?.to_string()) }.await)
    }

    async fn publish_bundle(&self, cx: Option<Context>, bundle: String) -> anyhow::Result<Result<String, Fault>> {
        Ok(async {
            let desk = self.linked(cx.as_ref()).await?;
            let packed = STANDARD
                .decode(bundle)
                .map_err(|e| fault(FaultCode::Invalid, format!("the bundle is not base64: {e}")))?;
            Ok(desk.publish_bundle(packed).await?)
        }
        .await)
    }

    async fn publish_data(&self, cx: Option<Context>, data: String) -> anyhow::Result<Result<String, Fault>> {
        Ok(async { Ok(self.linked(cx.as_ref()).await?.publish_data(&data).await?) }.await)
    }

    async fn activate(
        &self,
        cx: Option<Context>,
        bundle: String,
        data: Option<String>,
        by: String,
        over: Option<u64>,
    ) -> anyhow::Result<Result<String, Fault>> {
        Ok(async {
            let desk = self.linked(cx.as_ref()).await?;
            Ok(desk.activate(&bundle, data.as_deref(), &by, over).await?.to_string())
        }
        .await)
    }
}
