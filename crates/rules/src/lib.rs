//! A tenant's rules on its events: the rule set of a version, and what it makes of a batch. Pure logic.
//!
//! The language and its engine are crate `grl`; where versions rest is `er_tenant::rules`. Here is what both mean for
//! an event: the fact `Event`, the actions that rules may take, and the end that an event comes to.

mod actions;
mod batch;
mod event;
mod set;
mod text;

pub use batch::{evaluate, Ruled, Stats};
pub use event::{End, FalsePart, Reason, Rules, Verdict};
pub use set::{compile, compile_explained, Compiled};
pub use text::{pack, unpack, TextError};

/// The fact that rules see and change: the CloudEvent as a JSON object.
pub const FACT: &str = "Event";
/// The source of events that rules make.
pub const SOURCE: &str = "/rules";
/// The stage of dead letters that rules make.
pub const STAGE: &str = "rules";

/// Events that rules may make from one event.
pub const EMITS_MAX: usize = 16;
/// Events that rules may make from one that came in, those that they make from made ones counted too.
pub const MADE_MAX: usize = 256;
/// Tags, routes and extensions that one event may get, each.
pub const MARKS_MAX: usize = 16;
/// A tag or a route.
pub const MARK_CHARS_MAX: usize = 64;
/// Firings of one event's run.
pub const CYCLES_MAX: u64 = 5_000;
/// Instructions of one event's run: some tens of milliseconds.
pub const STEPS_MAX: u64 = 500_000;
/// What one event's run may build anew.
pub const BUILT_BYTES_MAX: usize = 8 << 20;
