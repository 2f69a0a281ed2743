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
/// Extension: the version of the rule set, and the rules that fired.
pub const RULES: &str = "errules";
/// Extension: tags that rules gave, joined by commas.
pub const TAGS: &str = "ertags";
/// Extension: the sub-streams that rules routed the event to, joined by commas.
pub const ROUTE: &str = "erroute";
/// Extension: why a rule dropped the event.
pub const DROPPED: &str = "erdropped";
/// Extension: the id of the event that this one was made from.
pub const CAUSE: &str = "ercause";
/// Extension: the source of the event that this one was made from.
pub const CAUSE_SOURCE: &str = "ercausesource";
/// The source of events that rules make.
pub const SOURCE: &str = "/rules";
/// The stage of dead letters that rules make.
pub const STAGE: &str = "rules";

/// Events that rules may make from one event.
pub const EMITS_MAX: usize = 16;
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
