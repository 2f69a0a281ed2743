//! Policies through the real OPA and through this crate. Needs `opa`, which scripts/build-policies brings.

mod fails_closed;
mod garbage;
mod limits;
mod same_as_opa;
mod support;
mod typed;
