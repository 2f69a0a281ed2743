//! From a bundle to a policy that can decide: compiled once, then given its data, and tested before anybody asks it.

use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Engine, Module};

use crate::bundle::short;
use crate::cache::Cache;
use crate::instance::{Instance, Verdict};
use crate::{Bundle, Decision, Error, Failure, Limits};

/// Wasm stack of a policy. Rego has no recursion.
const STACK_BYTES: usize = 512 << 10;

/// A policy in machine code, to be used with any data.
#[derive(Clone)]
pub struct Compiled {
    module: Module,
    entrypoint: Arc<str>,
    revision: Arc<str>,
    limits: Limits,
}

/// A policy with its data, tested.
pub struct Ready {
    policy: Compiled,
    data: Value,
    revision: Arc<str>,
    /// None where one failed and its successor was not needed yet.
    instances: Vec<Mutex<Option<Instance>>>,
    pub(crate) cache: Cache,
}

/// A question with its answer that a bundle brings along in `data.selftest.cases`.
#[derive(Deserialize)]
struct Case {
    name: String,
    input: Value,
    allow: bool,
}

// === impl Compiled ===

impl Compiled {
    /// Takes about half a second of one core.
    ///
    /// # Errors
    /// [`Error::Compile`]
    pub fn new(bundle: &Bundle, limits: Limits) -> Result<Self, Error> {
        let refused = |e: wasmtime::Error| Error::Compile(format!("{e:#}"));
        let mut config = Config::new();
        config.consume_fuel(true).max_wasm_stack(STACK_BYTES).async_stack_size(2 * STACK_BYTES);
        let engine = Engine::new(&config).map_err(refused)?;
        let module = Module::new(&engine, &bundle.wasm).map_err(refused)?;
        let entrypoint = bundle.entrypoint.as_str().into();
        Ok(Self { module, entrypoint, revision: Arc::clone(&bundle.revision), limits })
    }

    /// The bundle's.
    #[must_use]
    pub fn revision(&self) -> &Arc<str> {
        &self.revision
    }

    /// Gives the policy its data, all of it, and tests it.
    ///
    /// # Errors
    /// [`Error::Start`] and [`Error::SelfTest`]
    pub fn with_data(&self, data: Value) -> Result<Ready, Error> {
        let instances = (0..self.limits.instances.max(1))
            .map(|_| Instance::new(&self.module, &data, &self.limits).map(|instance| Mutex::new(Some(instance))))
            .collect::<Result<Vec<_>, _>>()?;
        let hash = short(Sha256::new_with_prefix(data.to_string()));
        let ready = Ready {
            revision: format!("{}.{hash}", self.revision).into(),
            policy: self.clone(),
            data,
            instances,
            cache: Cache::new(self.limits.cached_max),
        };
        ready.test()?;
        Ok(ready)
    }
}

// === impl Ready ===

impl Ready {
    /// The bundle's and the data's.
    #[must_use]
    pub fn revision(&self) -> &Arc<str> {
        &self.revision
    }

    #[must_use]
    pub fn policy(&self) -> &Compiled {
        &self.policy
    }

    #[must_use]
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// Decides without a look at what was decided before.
    #[must_use]
    pub fn fresh(&self, question: &str) -> Decision {
        match self.evaluate(question) {
            Ok(Verdict { allow, mut reason }) => {
                if let Some((end, _)) = reason.char_indices().nth(self.policy.limits.reason_chars_max) {
                    reason.truncate(end);
                }
                Decision { allow, reason, revision: Arc::clone(&self.revision), failure: None }
            }
            Err((failure, detail)) => Decision::failed(failure, detail, &self.revision),
        }
    }

    fn evaluate(&self, question: &str) -> Result<Verdict, (Failure, String)> {
        let limits = &self.policy.limits;
        if question.len() > limits.input_bytes_max {
            let max = limits.input_bytes_max;
            return Err((Failure::Input, format!("the input has more than {max} bytes")));
        }
        let input: &RawValue =
            serde_json::from_str(question).map_err(|e| (Failure::Input, format!("the input is not JSON: {e}")))?;
        // One that is free, else the first whose turn comes: each is held for one bounded decision.
        let free = self.instances.iter().find_map(|slot| slot.try_lock());
        let first = self.instances.first().filter(|_| free.is_none());
        let Some(mut slot) = free.or_else(|| first.map(|slot| slot.lock())) else {
            return Err((Failure::NotLoaded, "the policy has no instance".into()));
        };
        let mut instance = match slot.take() {
            Some(instance) => instance,
            None => {
                Instance::new(&self.policy.module, &self.data, limits).map_err(|e| (Failure::Trapped, e.to_string()))?
            }
        };
        let verdict = instance.evaluate(&self.policy.entrypoint, input, limits.fuel_max);
        // Only one that came to an end by itself is used again.
        if !matches!(verdict, Err((Failure::Trapped | Failure::Exhausted, _))) {
            *slot = Some(instance);
        }
        verdict
    }

    /// What no policy may allow, and what this one says of itself.
    fn test(&self) -> Result<(), Error> {
        let known = self.instances.iter().any(|slot| {
            let slot = slot.lock();
            slot.as_ref().is_some_and(|instance| instance.has_entrypoint(&self.policy.entrypoint))
        });
        let fails = |case: &str, reason: String| Error::SelfTest { case: case.into(), reason };
        if !known {
            return Err(Error::Start(format!("it has no entry point {}", self.policy.entrypoint)));
        }
        for nothing in ["null", "{}", "[]", r#"{"kind":""}"#] {
            let decision = self.fresh(nothing);
            if decision.allow {
                return Err(fails("nothing is not allowed", format!("{nothing} is: {}", decision.reason)));
            }
            if decision.failure.is_some() {
                return Err(fails("every question has an answer", format!("{nothing}: {}", decision.reason)));
            }
        }
        for case in self.cases()? {
            let decision = self.fresh(&case.input.to_string());
            if decision.failure.is_some() || decision.allow != case.allow {
                let said = if decision.allow { "allowed" } else { "denied" };
                return Err(fails(&case.name, format!("it is {said}: {}", decision.reason)));
            }
        }
        Ok(())
    }

    fn cases(&self) -> Result<Vec<Case>, Error> {
        match self.data.pointer("/selftest/cases") {
            None => Ok(Vec::new()),
            Some(cases) => Vec::deserialize(cases)
                .map_err(|e| Error::SelfTest { case: "the cases can be read".into(), reason: e.to_string() }),
        }
    }
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ready").field("revision", &self.revision).finish_non_exhaustive()
    }
}
