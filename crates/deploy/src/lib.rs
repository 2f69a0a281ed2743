//! Applications on a lattice: what `wash app deploy` does, for scripts, tests and `make up`.

pub mod app;
pub mod client;
pub mod first;
mod hosts;
pub mod links;
pub mod manifest;
pub mod prometheus;
pub mod samples;
