//! Policies in Rego, compiled to Wasm by `opa build` and decided in process. Whatever goes wrong is a denial that says
//! what went wrong.
//!
//! A [`Bundle`] is what `opa build` makes. [`Compiled`] and then [`Ready`] are the steps to its use, each of which can
//! fail and changes nothing; [`Evaluator::activate`] is the one that does, and can't fail.

mod bundle;
mod cache;
mod decision;
mod evaluator;
mod instance;
mod limits;
mod ready;

pub use bundle::Bundle;
pub use decision::{Decision, Failure};
pub use evaluator::{Answer, Evaluator};
pub use limits::Limits;
pub use ready::{Compiled, Ready};

/// Why a bundle can't be used. The one before it stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not what `opa build --target wasm` makes.
    #[error("the bundle can't be read: {0}; make it with scripts/build-policies")]
    Bundle(String),
    #[error("the bundle's {what} has more than {max} bytes")]
    TooLarge { what: &'static str, max: usize },
    /// Not Wasm, or a module that needs what is not given here.
    #[error("the policy does not compile: {0}; make it with scripts/build-policies")]
    Compile(String),
    #[error("the policy does not start: {0}")]
    Start(String),
    #[error("the policy's self-test «{case}» fails: {reason}; mend the policy, or the case in data.selftest")]
    SelfTest { case: String, reason: String },
}
