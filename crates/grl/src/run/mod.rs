//! A rule set over the facts of one event.

mod builtins;
mod cycle;
mod facts;
mod fault;
mod layout;
mod machine;
mod math;
mod methods;
mod network;
mod patterns;

use std::borrow::Cow;

use crate::form::RuleSet;
use crate::limits::{BUILT_BYTES_MAX, CYCLES_MAX, STEPS_MAX};
use crate::value::{Time, Value};

pub(crate) use cycle::Engine;
use facts::Slot;
pub(crate) use fault::Fault;
pub use fault::Limit;
pub(crate) use patterns::compile as compile_pattern;
use patterns::Patterns;

/// What the rules' surroundings do for them.
pub trait Host {
    /// Calls the function at that place of [`crate::Functions`]. The arguments are of the declared kinds. An error is
    /// the rule's.
    ///
    /// `rule`: whose action it is; empty for a condition.
    fn call(&mut self, rule: &str, function: usize, arguments: &[Value<'_>]) -> Result<Value<'static>, String>;

    /// `Log` and `LogFormat`.
    fn log(&mut self, _text: &str) {}

    /// `Now`; asked once a run at most.
    fn now(&self) -> Time {
        Time::default()
    }
}

/// No host functions, a log that nobody reads, and the clock of the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHost;

/// How a run is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// An error in a condition ends the run, instead of the rule not matching.
    pub strict: bool,
    /// Lists the rules that match, and fires none.
    pub matching: bool,
    /// A rule that fired and changed no fact fires no more in this run. In Grule it would fire until the cycle limit
    /// ends the run with an error, since nothing has changed; so no set that ends by itself in Grule behaves differently.
    pub settle: bool,
    pub limits: Limits,
}

/// What one run may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Firings.
    pub cycles: u64,
    /// Instructions.
    pub steps: u64,
    /// What it may build anew in total, in bytes.
    pub built_bytes: usize,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<'a> {
    /// The rules that fired, in order, by their place in [`RuleSet::names`]. One that failed is the last.
    pub fired: Vec<u32>,
    /// The rules that match, with [`Options::matching`].
    pub matched: Vec<u32>,
    pub ended: Ended,
    /// The facts in the order given: the text itself where nothing changed.
    pub facts: Vec<(&'a str, Cow<'a, str>)>,
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// No rule matches any more, or one said `Complete`.
    Done,
    /// An action failed, or with [`Options::strict`] a condition.
    Failed { rule: String, message: String },
    /// A limit was reached, in this rule.
    Limit { rule: String, limit: Limit },
}

/// Memory to use again for the next event.
#[derive(Default)]
pub struct Scratch {
    generation: u32,
    slots: Vec<Slot>,
    /// How many of a rule's indexed conditions are true.
    counts: Vec<u32>,
    /// Rules to look at, by rank; one bit each.
    agenda: Vec<u64>,
    retracted: Vec<u64>,
    /// Of the tests: unknown, true, false or failed.
    states: Vec<u8>,
    touched: Vec<u32>,
    nodes: Vec<u32>,
    patterns: Patterns,
    stack: Vec<Value<'static>>,
    memos: Vec<Option<Value<'static>>>,
}

/// Evaluates a set over facts: names and JSON texts, which must be valid JSON (broken text reads as if its rest were
/// missing).
pub fn run<'a>(
    set: &'a RuleSet<'_>,
    facts: &[(&'a str, &'a str)],
    host: &mut dyn Host,
    scratch: &mut Scratch,
    options: &Options,
) -> Outcome<'a> {
    let mut engine = Engine::new(set, facts, host, scratch, options);
    let ended = engine.run();
    engine.outcome(ended)
}

// === impl NoHost ===

impl Host for NoHost {
    fn call(&mut self, _rule: &str, _function: usize, _arguments: &[Value<'_>]) -> Result<Value<'static>, String> {
        Err("there is no such function here".to_owned())
    }

    fn now(&self) -> Time {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Time { seconds: since.as_secs() as i64, nanos: since.subsec_nanos() }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Limits { cycles: CYCLES_MAX, steps: STEPS_MAX, built_bytes: BUILT_BYTES_MAX }
    }
}

// === impl Scratch ===

impl Scratch {
    pub fn new() -> Self {
        Scratch::default()
    }
}

// === impl Outcome ===

impl Outcome<'_> {
    /// The names of the rules that fired, in order.
    pub fn fired_names<'s>(&self, set: &'s RuleSet<'_>) -> Vec<&'s str> {
        self.fired.iter().map(|rank| set.rule_name(*rank)).collect()
    }

    /// Why the run failed, in words; none when it did not.
    pub fn error(&self) -> Option<String> {
        match &self.ended {
            Ended::Done => None,
            Ended::Failed { rule, message } => Some(format!("rule {rule}: {message}")),
            Ended::Limit { rule, limit } => Some(format!("rule {rule}: {limit}")),
        }
    }
}
