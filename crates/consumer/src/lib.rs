//! Whether a component may be a tenant's consumer.
//!
//! [`check`] reads what it is made of: size, exports, imports, strings, signature; milliseconds, nothing is run.
//! [`trial`] compiles it and calls it, with nothing granted and everything bounded; seconds.
//! What either refuses is a [`Refusal`], a sentence for the component's owner.

mod check;
mod host;
mod limits;
mod refusal;
mod trial;
mod types;

pub use check::{check, Facts};
pub use limits::{Limits, TENANT_IMPORTS};
pub use refusal::Refusal;
pub use trial::{trial, Setup, Trial};

/// What a consumer exports.
pub const CONSUMER: &str = "eventrunner:platform/consumer@0.1.0";
/// What it may call.
pub const EMITTER: &str = "eventrunner:platform/emitter@0.1.0";
