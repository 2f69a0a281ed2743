//! Policies decided in process: the [`desk::Desk`] answers, and follows what the platform's JetStream says counts. The
//! provider (`main.rs`) serves it over the lattice; whoever decides for every batch keeps one in its own process.

pub mod data;
pub mod desk;
mod error;
mod follow;
pub mod library;
pub mod log;

pub use desk::{Desk, Options};
pub use error::Error;
