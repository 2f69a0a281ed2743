//! Which rules matched and fired, and why the others did not.

use crate::form::{test, RuleSet, Section};
use crate::run::{Engine, Host, Options, Outcome, Scratch};

/// A run with the reasons for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation<'a> {
    pub outcome: Outcome<'a>,
    /// One a rule, highest salience first.
    pub rules: Vec<Why<'a>>,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Why<'a> {
    pub rule: &'a str,
    /// Its condition held for the facts as they came.
    pub matched: bool,
    pub fired: usize,
    /// The first part of its condition that did not hold for the facts as they came.
    pub first_false: Option<FalsePart<'a>>,
}

/// A part of a condition that is not true.
#[derive(Debug, Clone, PartialEq)]
pub struct FalsePart<'a> {
    pub text: &'a str,
    /// From 1, and from 0 in characters.
    pub line: u32,
    pub column: u32,
    /// The paths that it reads, with their values as JSON; none for those that are not there.
    pub values: Vec<(String, Option<String>)>,
    /// Why it could not be evaluated at all.
    pub error: Option<String>,
}

/// Runs the set as [`crate::run()`] does, and says of every rule why it did or did not match the facts as they came.
pub fn explain<'a>(
    set: &'a RuleSet<'_>,
    facts: &[(&'a str, &'a str)],
    host: &mut dyn Host,
    options: &Options,
) -> Explanation<'a> {
    let mut scratch = Scratch::new();
    let mut rules = Vec::with_capacity(set.len());
    {
        let mut engine = Engine::new(set, facts, host, &mut scratch, &Options { strict: true, ..*options });
        for rank in 0..set.len() as u32 {
            let first_false = engine.first_false(rank);
            let rule = set.rule_name(rank);
            rules.push(Why { rule, matched: first_false.is_none(), fired: 0, first_false });
        }
    }
    let outcome = crate::run::run(set, facts, host, &mut scratch, options);
    for rank in &outcome.fired {
        if let Some(why) = rules.get_mut(*rank as usize) {
            why.fired += 1;
        }
    }
    Explanation { outcome, rules }
}

// === impl Engine ===

impl<'a> Engine<'a, '_> {
    fn first_false(&mut self, rank: u32) -> Option<FalsePart<'a>> {
        let set = self.set();
        for (test, line, column) in set.all_tests(rank) {
            let error = match self.test(test) {
                Ok(true) => continue,
                Ok(false) => None,
                Err(fault) => Some(fault.describe(set)),
            };
            let values = set.reads_of(test).into_iter().map(|node| (set.path_of(node), self.shown(node))).collect();
            return Some(FalsePart { text: set.text(set.test(test, test::TEXT)), line, column, values, error });
        }
        None
    }
}

// === impl RuleSet ===

impl RuleSet<'_> {
    /// The nodes that a test reads, those of its shared expressions too.
    fn reads_of(&self, test: u32) -> Vec<u32> {
        let mut nodes = Vec::new();
        let mut open = vec![(self.test(test, test::CODE), self.test(test, test::CODE_LEN))];
        let mut budget = 64;
        while let (Some((from, length)), true) = (open.pop(), budget > 0) {
            budget -= 1;
            let from = from as usize;
            let code = self.section(Section::Code).get(from..from.saturating_add(length as usize)).unwrap_or(&[]);
            let (paths, memos) = crate::compile::reads_in(code);
            nodes.extend(paths.into_iter().filter(|node| !nodes.contains(node)).collect::<Vec<_>>());
            open.extend(memos.into_iter().map(|memo| {
                (self.word(Section::Memos, memo as usize * 2), self.word(Section::Memos, memo as usize * 2 + 1))
            }));
        }
        nodes
    }
}

// === impl Why ===

impl Why<'_> {
    /// A sentence for people.
    pub fn text(&self) -> String {
        let Some(part) = &self.first_false else {
            return match self.fired {
                0 => "matched, but did not fire: a rule before it ended the run, retracted it or changed its facts"
                    .into(),
                1 => "matched and fired".into(),
                count => format!("matched and fired {count} times"),
            };
        };
        let mut text = match self.fired {
            0 => "did not match: ".to_owned(),
            1 => "fired after another rule changed the facts; at first ".to_owned(),
            count => format!("fired {count} times after other rules changed the facts; at first "),
        };
        text += &format!("line {}, column {}: {}", part.line, part.column + 1, part.text);
        text += match &part.error {
            Some(_) => " could not be evaluated: ",
            None => " is false",
        };
        text += part.error.as_deref().unwrap_or("");
        let values: Vec<String> = part
            .values
            .iter()
            .map(|(path, value)| format!("{path} is {}", value.as_deref().unwrap_or("missing")))
            .collect();
        if !values.is_empty() {
            text += &format!(" ({})", values.join(", "));
        }
        text
    }
}
