//! The desk on a real nats-server: replaced live, rolled back, refused, stale, healed; and what the log says of it.
// Helpers of tests are outside #[test], where clippy.toml's allowance ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod live;
mod nats;
