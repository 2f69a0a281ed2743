//! Components that are what they should be, and components that are not, each made for its test.
// Helpers of tests are outside #[test], where clippy.toml's allowance ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod made;
mod refused;
mod samples;
