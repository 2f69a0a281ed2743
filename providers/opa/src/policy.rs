//! `policy`: may this be done?

use er_provider_opa::Desk;
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::policy::{Decision, Handler};
use crate::fault::fault;
use crate::provider::Opa;

/// Questions of one call.
const QUESTIONS_MAX: usize = 1_024;
/// A fresh decision takes microseconds; after so many others get a turn.
const TURN: usize = 64;

impl Handler<Option<Context>> for Opa {
    async fn decide(&self, cx: Option<Context>, input: String) -> anyhow::Result<Result<Decision, Fault>> {
        Ok(async {
            self.check_asking(cx.as_ref()).await?;
            Ok(decided(self.desk()?, cx.as_ref(), &input))
        }
        .await)
    }

    async fn decide_many(
        &self,
        cx: Option<Context>,
        inputs: Vec<String>,
    ) -> anyhow::Result<Result<Vec<Decision>, Fault>> {
        Ok(async {
            self.check_asking(cx.as_ref()).await?;
            if inputs.len() > QUESTIONS_MAX {
                let detail = format!("{} questions in one call; ask at most {QUESTIONS_MAX}", inputs.len());
                return Err(fault(FaultCode::Invalid, detail));
            }
            let desk = self.desk()?;
            let mut decisions = Vec::with_capacity(inputs.len());
            for turn in inputs.chunks(TURN) {
                decisions.extend(turn.iter().map(|input| decided(desk, cx.as_ref(), input)));
                tokio::task::yield_now().await;
            }
            Ok(decisions)
        }
        .await)
    }
}

fn decided(desk: &Desk, cx: Option<&Context>, input: &str) -> Decision {
    let caller = cx.and_then(|cx| cx.component.as_deref()).unwrap_or_default();
    let decision = desk.decide(caller, input).decision;
    Decision {
        allow: decision.allow,
        reason: decision.reason.clone(),
        revision: decision.revision.to_string(),
        failure: decision.failure.map(|failure| failure.as_str().to_owned()),
    }
}
