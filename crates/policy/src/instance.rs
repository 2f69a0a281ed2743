//! One instance of a compiled policy, with its data in it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use opa_wasm::{DefaultContext, Policy, Runtime};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::Value;
use wasmtime::{Module, ResourceLimiter, Store, Trap};

use crate::{Error, Failure, Limits};

/// What loading data may take: it is ours, and its size is bounded.
const LOADING_FUEL: u64 = 10_000_000_000;

/// To be dropped after an error: what an interrupted policy left in its memory is not known.
pub struct Instance {
    store: Store<Memory>,
    policy: Policy<DefaultContext>,
}

/// Keeps an instance's memory within its limit, and remembers that it wanted more.
struct Memory {
    bytes_max: usize,
    refused: bool,
}

/// What the policy says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    pub allow: bool,
    pub reason: String,
}

/// A result as OPA's Wasm has it.
#[derive(Deserialize)]
struct ResultItem<'a> {
    #[serde(borrow)]
    result: &'a RawValue,
}

// === impl Instance ===

impl Instance {
    pub fn new(module: &Module, data: &Value, limits: &Limits) -> Result<Self, Error> {
        let refused = |e: &dyn std::fmt::Display| Error::Start(e.to_string());
        let mut store = Store::new(module.engine(), Memory { bytes_max: limits.memory_bytes_max, refused: false });
        store.limiter(|memory| memory);
        store.set_fuel(LOADING_FUEL).map_err(|e| refused(&e))?;
        let policy = now(async {
            let runtime = Runtime::new(&mut store, module).await?;
            runtime.with_data(&mut store, data).await
        })
        .map_err(|e| refused(&format!("{e:#}")))?;
        Ok(Self { store, policy })
    }

    pub fn has_entrypoint(&self, entrypoint: &str) -> bool {
        self.policy.entrypoints().contains(entrypoint)
    }

    pub fn evaluate(&mut self, entrypoint: &str, input: &RawValue, fuel: u64) -> Result<Verdict, (Failure, String)> {
        let trapped = |e: String| (Failure::Trapped, e);
        self.store.set_fuel(fuel).map_err(|e| trapped(e.to_string()))?;
        let results: Box<RawValue> = now(self.policy.evaluate(&mut self.store, entrypoint, &input))
            .map_err(|e| failure(&e, self.store.data().refused))?;
        let output = |e: &dyn std::fmt::Display| (Failure::Output, format!("the policy's answer is none: {e}"));
        let results: Vec<ResultItem<'_>> = serde_json::from_str(results.get()).map_err(|e| output(&e))?;
        match results.as_slice() {
            [] => Err((Failure::Undefined, "the policy has no answer to that".into())),
            [only] => serde_json::from_str(only.result.get()).map_err(|e| output(&e)),
            more => Err(output(&format!("there are {} of them", more.len()))),
        }
    }
}

// === impl Memory ===

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, _now: usize, wanted: usize, _own_max: Option<usize>) -> wasmtime::Result<bool> {
        self.refused |= wanted > self.bytes_max;
        Ok(!self.refused)
    }

    /// The function table of a policy is as large as it was compiled.
    fn table_growing(&mut self, _now: usize, _wanted: usize, _own_max: Option<usize>) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

fn failure(error: &anyhow::Error, memory_refused: bool) -> (Failure, String) {
    if memory_refused {
        return (Failure::Exhausted, "the policy took more memory than it may".into());
    }
    if error.downcast_ref::<Trap>().is_some_and(|trap| *trap == Trap::OutOfFuel) {
        return (Failure::Exhausted, "the policy took more instructions than it may".into());
    }
    (Failure::Trapped, format!("{error:#}"))
}

/// opa-wasm is written for policies that call out and wait. Ours don't, so that each future is ready when it is polled
/// the first time; the budget of the task that asks is not a reason to wait either.
fn now<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let future = pin!(tokio::task::unconstrained(future));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(anyhow::anyhow!("the policy waits for something, and there is nothing to wait for")),
    }
}
