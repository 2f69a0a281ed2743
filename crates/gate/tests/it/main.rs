//! deploy/nats on a real nats-server: who may do what.
// Helpers of tests are outside #[test], where clippy.toml's allowance ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod nats;
mod permissions;
