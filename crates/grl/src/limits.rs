//! What a rule set and a run may cost, in one place.

/// Nesting of brackets, selectors and calls in one expression.
pub const EXPRESSION_DEPTH_MAX: usize = 200;
/// A rule set's text.
pub const SOURCE_BYTES_MAX: usize = 16 << 20;
/// Diagnostics of one text; what follows is of little use.
pub const DIAGNOSTICS_MAX: usize = 100;
/// Containers that assignments put into one another.
pub const VALUE_DEPTH_MAX: u32 = 64;

/// Firings of one run, as Grule's `MaxCycle`.
pub const CYCLES_MAX: u64 = 5000;
/// Instructions of one run; long texts count as several.
pub const STEPS_MAX: u64 = 5_000_000;
/// What one run may build anew, in total.
pub const BUILT_BYTES_MAX: usize = 64 << 20;
/// One text or one fact after an assignment.
pub const VALUE_BYTES_MAX: usize = 4 << 20;
/// What an element or member takes in memory beside its text, roughly.
pub const ITEM_BYTES: usize = 128;
/// Patterns kept compiled between events.
pub const PATTERNS_MAX: usize = 256;

/// Bytes of text that cost as much as one instruction.
pub const BYTES_PER_STEP: usize = 32;
/// Bytes of a changed fact to find one path in that cost as much as one instruction.
pub const TREE_BYTES_PER_STEP: usize = 1024;
/// Counters and memories of rules to set that cost as much as one instruction.
pub const WAKES_PER_STEP: usize = 16;
/// States of patterns, each for one character, that cost as much as one instruction.
pub const STATES_PER_STEP: usize = 8;
