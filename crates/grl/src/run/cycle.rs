//! The engine's cycles: of the rules that match, the one of highest salience fires, until none matches.

use std::borrow::Cow;

use super::facts::Fact;
use super::network::{clear_bit, has_bit, put_bit};
use super::{Ended, Fault, Host, Limit, Options, Outcome, Scratch};
use crate::form::{rule, test, RuleSet, Section};
use crate::limits::BYTES_PER_STEP;
use crate::value::{Time, Value};

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const FAILED: u8 = 3;

/// A run under way.
pub(crate) struct Engine<'a, 'h> {
    pub(super) set: &'a RuleSet<'a>,
    pub(super) facts: Vec<Fact<'a>>,
    pub(super) host: &'h mut dyn Host,
    pub(super) scratch: &'h mut Scratch,
    pub(super) stack: Vec<Value<'a>>,
    pub(super) memos: Vec<Option<Value<'a>>>,
    pub(super) strict: bool,
    pub(super) settle: bool,
    /// The rule whose actions run.
    pub(super) firing: Option<u32>,
    /// Assignments that changed something; counted where [`Options::settle`] asks for it.
    pub(super) changes: u64,
    matching: bool,
    cycles_max: u64,
    steps_left: u64,
    built_left: usize,
    pub(super) complete: bool,
    pub(super) now: Option<Time>,
    /// Of the statement that runs.
    pub(super) line: u32,
    pub(super) nested: usize,
    fired: Vec<u32>,
    matched: Vec<u32>,
}

// === impl Engine ===

impl<'a, 'h> Engine<'a, 'h> {
    pub(crate) fn new(
        set: &'a RuleSet<'_>,
        facts: &[(&'a str, &'a str)],
        host: &'h mut dyn Host,
        scratch: &'h mut Scratch,
        options: &Options,
    ) -> Self {
        scratch.prepare(set);
        let facts = facts.iter().map(|(name, text)| Fact { name, text, tree: None, given: true }).collect();
        let stack = recycle(std::mem::take(&mut scratch.stack));
        let mut memos: Vec<Option<Value<'a>>> = std::mem::take(&mut scratch.memos).into_iter().map(|_| None).collect();
        memos.clear();
        memos.resize(set.memos_len(), None);
        let mut engine = Engine {
            set,
            facts,
            host,
            scratch,
            stack,
            memos,
            strict: options.strict,
            settle: options.settle,
            firing: None,
            changes: 0,
            matching: options.matching,
            cycles_max: options.limits.cycles,
            steps_left: options.limits.steps,
            built_left: options.limits.built_bytes,
            complete: false,
            now: None,
            line: 0,
            nested: 0,
            fired: Vec::new(),
            matched: Vec::new(),
        };
        for fact in 0..engine.facts.len() as u32 {
            engine.extract(fact);
        }
        for at in 0..engine.scratch.touched.len() {
            if let Some(node) = engine.scratch.touched.get(at).copied() {
                engine.enter(node);
            }
        }
        for rank in set.list(Section::Always, 0, set.len()) {
            put_bit(&mut engine.scratch.agenda, rank);
        }
        engine
    }

    pub(crate) fn run(&mut self) -> Ended {
        if self.matching {
            return match self.all_matching() {
                Ok(matched) => {
                    self.matched = matched;
                    Ended::Done
                }
                Err((rank, fault)) => self.ended(rank, &fault, None),
            };
        }
        let mut cycle = 0;
        loop {
            let rank = match self.next() {
                Ok(Some(rank)) => rank,
                Ok(None) => return Ended::Done,
                Err((rank, fault)) => return self.ended(rank, &fault, None),
            };
            cycle += 1;
            if cycle > self.cycles_max {
                return self.ended(rank, &Fault::Limit(Limit::Cycles), None);
            }
            self.fired.push(rank);
            let changes = self.changes;
            let (from, length) = (self.set.rule(rank, rule::THEN), self.set.rule(rank, rule::THEN_LEN));
            self.firing = Some(rank);
            let done = self.execute(from, length);
            self.firing = None;
            self.stack.clear();
            if let Err(fault) = done {
                return self.ended(rank, &fault, Some(self.line));
            }
            if self.complete {
                return Ended::Done;
            }
            if self.settle && self.changes == changes {
                put_bit(&mut self.scratch.retracted, rank);
            }
        }
    }

    fn ended(&self, rank: u32, fault: &Fault, line: Option<u32>) -> Ended {
        let rule = self.set.rule_name(rank).to_owned();
        match (fault, line) {
            (Fault::Limit(limit), _) => Ended::Limit { rule, limit: *limit },
            (fault, Some(line)) => {
                Ended::Failed { rule, message: format!("line {line}: {}", fault.describe(self.set)) }
            }
            (fault, None) => Ended::Failed { rule, message: format!("its condition: {}", fault.describe(self.set)) },
        }
    }

    /// The rule to fire.
    fn next(&mut self) -> Result<Option<u32>, (u32, Fault)> {
        if self.strict {
            let mut first = None;
            for rank in 0..self.set.len() as u32 {
                if !self.is_retracted(rank) && self.matches_strictly(rank).map_err(|fault| (rank, fault))? {
                    first = first.or(Some(rank));
                }
            }
            return Ok(first);
        }
        let mut at = 0;
        while let Some(word) = self.scratch.agenda.get(at).copied() {
            if word == 0 {
                at += 1;
                continue;
            }
            let rank = at as u32 * 64 + word.trailing_zeros();
            if !self.is_retracted(rank) && self.matches(rank).map_err(|fault| (rank, fault))? {
                return Ok(Some(rank));
            }
            clear_bit(&mut self.scratch.agenda, rank);
        }
        Ok(None)
    }

    fn all_matching(&mut self) -> Result<Vec<u32>, (u32, Fault)> {
        let mut matched = Vec::new();
        for rank in 0..self.set.len() as u32 {
            let is = match self.strict {
                true => self.matches_strictly(rank),
                false if has_bit(&self.scratch.agenda, rank) => self.matches(rank),
                false => Ok(false),
            };
            if is.map_err(|fault| (rank, fault))? {
                matched.push(rank);
            }
        }
        Ok(matched)
    }

    pub(super) fn is_retracted(&self, rank: u32) -> bool {
        has_bit(&self.scratch.retracted, rank)
    }

    pub(super) fn retract(&mut self, name: &str) {
        if let Some(rank) = self.set.rank_of(name) {
            put_bit(&mut self.scratch.retracted, rank);
        }
    }

    /// Whether what the indexes did not decide is true.
    fn matches(&mut self, rank: u32) -> Result<bool, Fault> {
        let (from, count) = (self.set.rule(rank, rule::TESTS), self.set.rule(rank, rule::TESTS_LEN));
        for test in self.set.list(Section::Pool, from as usize, count as usize) {
            match self.test(test) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(fault @ Fault::Limit(_)) => return Err(fault),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The whole condition in its order, errors counting.
    fn matches_strictly(&mut self, rank: u32) -> Result<bool, Fault> {
        for (test, ..) in self.set.all_tests(rank) {
            if !self.test(test)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The value of a test, from memory if nothing that it reads was written since.
    pub(crate) fn test(&mut self, test: u32) -> Result<bool, Fault> {
        match self.scratch.states.get(test as usize) {
            Some(&TRUE) => return Ok(true),
            Some(&FALSE) => return Ok(false),
            // Strictly, the error itself is needed.
            Some(&FAILED) if !self.strict => return Ok(false),
            _ => {}
        }
        let (from, length) = (self.set.test(test, test::CODE), self.set.test(test, test::CODE_LEN));
        let depth = self.stack.len();
        let result = self.evaluate(from, length).and_then(|value| match value {
            Value::Bool(value) => Ok(value),
            other => Err(Fault::NotBool(other.kind())),
        });
        self.stack.truncate(depth);
        let state = match result {
            Ok(true) => TRUE,
            Ok(false) => FALSE,
            Err(_) => FAILED,
        };
        if let Some(place) = self.scratch.states.get_mut(test as usize) {
            *place = state;
        }
        result
    }

    pub(super) fn step(&mut self, steps: u64) -> Result<(), Fault> {
        self.steps_left = self.steps_left.checked_sub(steps).ok_or(Fault::Limit(Limit::Steps))?;
        Ok(())
    }

    /// Accounts for work that cannot be stopped half-way; the next instruction is the one that fails.
    pub(super) fn spend(&mut self, steps: usize) {
        self.steps_left = self.steps_left.saturating_sub(steps as u64);
    }

    /// Accounts for bytes that were, or will be, built; they take time too.
    pub(super) fn built(&mut self, bytes: usize) -> Result<(), Fault> {
        self.built_left = self.built_left.checked_sub(bytes).ok_or(Fault::Limit(Limit::Built))?;
        self.step((bytes / BYTES_PER_STEP) as u64)
    }

    pub(crate) fn set(&self) -> &'a RuleSet<'a> {
        self.set
    }

    /// The value at a node as JSON.
    pub(crate) fn shown(&self, node: u32) -> Option<String> {
        self.read(node).map(|value| value.to_json())
    }

    pub(crate) fn outcome(mut self, ended: Ended) -> Outcome<'a> {
        self.scratch.stack = recycle(std::mem::take(&mut self.stack));
        self.scratch.memos = std::mem::take(&mut self.memos).into_iter().map(|_| None).collect();
        let given = self.facts.into_iter().filter(|fact| fact.given);
        let facts = given
            .map(|fact| match fact.tree {
                Some(tree) => (fact.name, Cow::Owned(tree.to_json())),
                None => (fact.name, Cow::Borrowed(fact.text)),
            })
            .collect();
        Outcome { fired: self.fired, matched: self.matched, ended, facts }
    }
}

/// Empties a list and keeps its memory for values of another lifetime.
fn recycle<'to>(mut values: Vec<Value<'_>>) -> Vec<Value<'to>> {
    values.clear();
    values.into_iter().map(|_| Value::Null).collect()
}

// === impl RuleSet ===

impl RuleSet<'_> {
    /// The parts of a rule's condition, with line and column of each.
    pub(crate) fn all_tests(&self, rank: u32) -> impl Iterator<Item = (u32, u32, u32)> + '_ {
        let from = self.rule(rank, rule::ALL) as usize;
        (0..self.rule(rank, rule::ALL_LEN) as usize).map_while(move |at| {
            let mut words = self.list(Section::Pool, from.saturating_add(at * 3), 3);
            Some((words.next()?, words.next()?, words.next()?))
        })
    }
}

// === impl Scratch ===

impl Scratch {
    fn prepare(&mut self, set: &RuleSet<'_>) {
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 || self.slots.len() != set.nodes_len() {
            self.slots.clear();
            self.slots.resize(set.nodes_len(), super::Slot::default());
            self.generation = 1;
        }
        zero(&mut self.counts, set.len());
        zero(&mut self.agenda, set.len().div_ceil(64));
        zero(&mut self.retracted, set.len().div_ceil(64));
        zero(&mut self.states, set.tests_len());
        self.touched.clear();
    }
}

fn zero<T: Default + Clone>(list: &mut Vec<T>, len: usize) {
    list.clear();
    list.resize(len, T::default());
}
