//! Policies through the real OPA and through this crate. Needs `opa`, which scripts/build-policies brings.
// Helpers of tests are outside #[test], where clippy.toml's allowance ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fails_closed;
mod garbage;
mod limits;
mod same_as_opa;
mod support;
mod typed;
