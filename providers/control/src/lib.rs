//! What only something native can do for the components: tenants' consumers, Keto kept in step with the records, and what
//! is known of the gateway. Of consumers, a record in `ER_CONSUMERS` says what shall be; the [`Desk`] takes orders into records, and works
//! until the lattice is as they say, also what a predecessor left half done. `main.rs` serves it over the lattice.

pub mod desk;
mod error;
pub mod gateway;
mod images;
pub mod keto;
mod logs;
mod manifest;
mod names;
mod oci;
mod record;
mod spec;
mod spool;
mod standing;
mod store;
mod turns;
mod work;

pub use desk::{Desk, Options};
pub use error::Error;
pub use record::{Record, State, Version};
pub use spec::Spec;
