//! `policy`: may this be done?

use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::Fault;
use crate::bindings::exports::eventrunner::platform::policy::{Decision, Handler};
use crate::provider::Opa;

impl Handler<Option<Context>> for Opa {
    async fn decide(&self, cx: Option<Context>, input: String) -> anyhow::Result<Result<Decision, Fault>> {
        Ok(async {
            self.check_link(cx.as_ref(), "policy").await?;
            let caller = cx.as_ref().and_then(|cx| cx.component.as_deref()).unwrap_or_default();
            let decision = self.desk()?.decide(caller, &input).decision;
            Ok(Decision {
                allow: decision.allow,
                reason: decision.reason.clone(),
                revision: decision.revision.to_string(),
            })
        }
        .await)
    }
}
