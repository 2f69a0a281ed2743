//! The shapes of rule sets that are measured, as texts that every engine reads.

use std::fmt::Write as _;

use crate::facts::{rides, Samples};

/// What a rule set is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Grule's own: the same condition in every rule, true, and the one of highest salience says `Complete`.
    Shared,
    /// Four comparisons with constants of their own, of which the first three hold and the last does not: whoever
    /// reads conditions from left to right reads all of them.
    LastFails,
    /// The same, and the first fails: whoever reads from left to right reads one of four.
    FirstFails,
    /// A field compared with a key of each rule's own: one matches, and writes to the event.
    Keyed,
}

/// A rule set with events for it.
#[derive(Debug)]
pub struct Case {
    pub shape: Shape,
    pub rules: usize,
    pub text: String,
    /// CloudEvents, the fact `Event`.
    pub events: Vec<String>,
}

/// What a rule does, which no rule reads.
const NOTE: &str = "Event.data.action";
const PURCHASE: &str = "Event.data.marketplace_purchase";

// === impl Shape ===

impl Shape {
    pub const ALL: [Self; 4] = [Self::Shared, Self::LastFails, Self::FirstFails, Self::Keyed];

    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared condition",
            Self::LastFails => "distinct, last fails",
            Self::FirstFails => "distinct, first fails",
            Self::Keyed => "keyed, one matches",
        }
    }

    /// How many rules each is measured with.
    pub fn sizes(self) -> &'static [usize] {
        match self {
            Self::Shared => &[100, 1_000],
            _ => &[10, 100, 1_000, 10_000],
        }
    }

    fn condition(self, rule: usize) -> String {
        let three = format!(
            r#"Event.data.sender.id > {rule} && {PURCHASE}.plan.monthly_price_in_cents < {} && {PURCHASE}.account.login != "user-{rule}""#,
            100_000 + rule
        );
        match self {
            Self::Shared => shared_condition("Event.data"),
            Self::LastFails => format!("{three} && {PURCHASE}.unit_count > {}", 1_000 + rule),
            Self::FirstFails => format!(r#"Event.subject == "order-{rule}" && {three}"#),
            Self::Keyed => format!(r#"Event.subject == "key-{rule}""#),
        }
    }
}

/// In the shape of Grule's own benchmark, over a ride at `path`.
pub fn shared_rules(path: &str, rules: usize) -> String {
    let condition = shared_condition(path);
    let mut text = String::new();
    for rule in 0..rules {
        let salience = if rule + 1 == rules { 11 } else { 10 };
        let _ = writeln!(
            text,
            "rule R{rule} \"Ride {rule}\" salience {salience} {{\n  when {condition}\n  then {path}.Price = 143.32; {path}.Done = true; Complete();\n}}"
        );
    }
    text
}

fn shared_condition(path: &str) -> String {
    format!(
        r#"({path}.Metres > 5000 || {path}.Minutes > 120) || ({path}.Kind == "On-Demand" && {path}.Regular == true)"#
    )
}

// === impl Case ===

impl Case {
    pub fn new(shape: Shape, rules: usize, samples: &Samples) -> Self {
        if shape == Shape::Shared {
            return Self { shape, rules, text: shared_rules("Event.data", rules), events: rides() };
        }
        let mut text = String::new();
        for rule in 0..rules {
            let condition = shape.condition(rule);
            let _ = writeln!(
                text,
                "rule R{rule} \"Rule {rule}\" {{\n  when {condition}\n  then {NOTE} = \"rule-{rule}\"; Retract(\"R{rule}\");\n}}"
            );
        }
        Self { shape, rules, text, events: samples.webhooks(rules) }
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.shape.name(), self.rules)
    }

    /// The events as one batch.
    pub fn batch(&self) -> String {
        format!("[{}]", self.events.join(","))
    }

    pub fn event_bytes(&self) -> usize {
        self.events.iter().map(String::len).sum::<usize>() / self.events.len().max(1)
    }
}
