//! Events as text: CloudEvents codecs, admission, normalization. Pure logic: no I/O, no async, no wasmCloud.
//!
//! An event is JSON text and stays JSON text. Everything here finds, checks and splices slices of it; nothing builds
//! a tree. What comes from outside passes [`admit`] once, which checks every byte; everything after that
//! ([`event`], [`normalize`], [`dead`]) trusts the text to be valid JSON and never panics when it is not.

pub mod admit;
pub mod dead;
pub mod event;
pub mod frame;
pub mod json;
pub mod keys;
pub mod limits;
pub mod normalize;
pub mod packed;
mod percent;
pub mod problem;
mod reject;
pub mod runs;
pub mod stored;

pub use event::{EventRef, RAW_TYPE};
pub use problem::{Kind, Problem};
pub use reject::Reject;
pub use runs::Runs;
