//! A batch through the rules: what goes on, what only rests, what is dead.
//!
//! **Invariant:** each event of the batch, and each that rules made from it, is in exactly one of the three.

use std::collections::BTreeMap;

use er_event::dead::dead_json;
use er_event::event::{split, BatchWriter};
use er_event::{Reject, Runs};
use serde::Serialize;

use crate::event::{End, Rules, Verdict};
use crate::STAGE;

/// What the rules made of a batch, as the interface `rules` gives it.
#[derive(Debug, PartialEq, Eq)]
pub struct Ruled {
    /// In the order they came, each followed by those made from it; within the limits of a batch.
    pub events: Vec<String>,
    pub dropped: Vec<String>,
    /// `[{"stage","reason","event"}]`
    pub dead: String,
    pub stats: Stats,
    /// For each event of the batch: how many of `events` are it or were made from it.
    pub passed: Runs,
    /// The same of `dropped`.
    pub held: Runs,
    /// For each event of the batch: rules evaluated, every rule of the set once for it and for each that was made from it.
    pub evaluations: Runs,
}

/// What a batch's run came to, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    pub version: u64,
    /// Events that were run through the rules, made ones too.
    pub events: usize,
    pub dropped: usize,
    pub dead: usize,
    /// Events that rules made.
    pub emitted: usize,
    /// How often each rule fired.
    pub fired: BTreeMap<String, usize>,
}

/// Runs every event, and every event that rules make from it, until no rule makes any more.
pub fn evaluate(rules: &mut Rules<'_>, batch: &str) -> Result<Ruled, Reject> {
    let mut ends = Ends { events: Batches::with_capacity(batch.len() + batch.len() / 8), ..Ends::default() };
    let mut made: Vec<String> = Vec::new();
    let rules_count = rules.len() as u64;
    let (mut passed, mut held, mut evaluations) = (Runs::default(), Runs::default(), Runs::default());
    for event in split(batch)? {
        let before = (ends.events.len, ends.stats.dropped, ends.stats.events);
        made.extend(ends.note(rules.run(event)));
        // Depth first: the hop limit bounds how far this goes, the emit limit how wide.
        while let Some(event) = made.pop() {
            made.extend(ends.note(rules.run(&event)));
        }
        passed.push((ends.events.len - before.0) as u64);
        held.push((ends.stats.dropped - before.1) as u64);
        evaluations.push((ends.stats.events - before.2) as u64 * rules_count);
    }
    ends.stats.version = rules.version();
    let dead: Vec<_> = ends.dead.iter().map(|(reason, event)| (STAGE, reason.as_str(), event.as_str())).collect();
    Ok(Ruled {
        events: ends.events.finish(),
        dropped: ends.dropped.finish(),
        dead: dead_json(&dead),
        stats: ends.stats,
        passed,
        held,
        evaluations,
    })
}

#[derive(Default)]
struct Ends {
    events: Batches,
    dropped: Batches,
    /// Reason and event.
    dead: Vec<(String, String)>,
    stats: Stats,
}

// === impl Ends ===

impl Ends {
    /// Gives the events that were made, the last first.
    fn note(&mut self, verdict: Verdict<'_>) -> impl Iterator<Item = String> {
        self.stats.events += 1;
        match verdict.end {
            End::Pass => self.events.push(&verdict.event),
            End::Dropped { .. } => {
                self.stats.dropped += 1;
                self.dropped.push(&verdict.event);
            }
            End::Dead { reason } => {
                self.stats.dead += 1;
                self.dead.push((reason, verdict.event.into_owned()));
            }
        }
        for rule in verdict.fired {
            *self.stats.fired.entry(rule).or_default() += 1;
        }
        self.stats.emitted += verdict.emitted.len();
        verdict.emitted.into_iter().rev()
    }
}

/// Events as batches that keep to the limits.
#[derive(Default)]
struct Batches {
    full: Vec<String>,
    open: BatchWriter,
    /// Events in all of them.
    len: usize,
}

// === impl Batches ===

impl Batches {
    fn with_capacity(bytes: usize) -> Self {
        Batches { open: BatchWriter::with_capacity(bytes), ..Batches::default() }
    }

    fn push(&mut self, event: &str) {
        if !self.open.fits(event.len()) {
            self.full.push(std::mem::take(&mut self.open).finish());
        }
        self.open.push(event);
        self.len += 1;
    }

    fn finish(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.full.push(self.open.finish());
        }
        self.full
    }
}

#[cfg(test)]
mod tests {
    use er_event::dead::read_dead;
    use er_event::event::parse_batch;
    use er_event::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, HOPS_MAX};
    use er_tenant::rules::{Language, Text, Texts};

    use super::*;
    use crate::compile;

    fn ruled(grl: &str, batch: &str) -> Ruled {
        let text = Text { language: Language::Grl, text: grl.into() };
        let compiled = compile(&Texts::from([("t".to_owned(), text)])).unwrap();
        evaluate(&mut Rules::open(&compiled.bytes, 3, 0).unwrap(), batch).unwrap()
    }

    fn batch(types: &[&str]) -> String {
        let event = |(id, name): (usize, &&str)| {
            format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"{name}","data":{id}}}"#)
        };
        format!("[{}]", types.iter().enumerate().map(event).collect::<Vec<_>>().join(","))
    }

    fn types(batches: &[String]) -> Vec<String> {
        batches
            .iter()
            .flat_map(|batch| parse_batch(batch).unwrap())
            .map(|event| event.event_type.into_owned())
            .collect()
    }

    #[test]
    fn every_event_comes_to_exactly_one_end() {
        let rules = r#"
            rule Noise { when Event.type == "noise" then Drop("noise"); Retract("Noise"); }
            rule Bad { when Event.type == "bad" then DeadLetter("bad"); Retract("Bad"); }
            rule Copy { when Event.type == "copy" then Emit("copied", Event.data); Retract("Copy"); }
        "#;
        let out = ruled(rules, &batch(&["a", "noise", "copy", "bad", "b"]));
        assert_eq!(types(&out.events), ["a", "copy", "copied", "b"]);
        assert_eq!(types(&out.dropped), ["noise"]);
        let dead = read_dead(&out.dead).unwrap();
        assert_eq!((dead.len(), &*dead[0].stage, &*dead[0].reason), (1, "rules", "Bad: bad"));
        let fired = ["Bad", "Copy", "Noise"].map(|rule| (rule.to_owned(), 1)).into();
        assert_eq!(out.stats, Stats { version: 3, events: 6, dropped: 1, dead: 1, emitted: 1, fired });
        assert_eq!(out.passed.to_string(), "1x1 1x0 1x2 1x0 1x1");
        assert_eq!(out.held.to_string(), "1x0 1x1 3x0");
        assert_eq!(out.evaluations.to_string(), "2x3 1x6 2x3", "three rules, twice where an event was made");
    }

    #[test]
    fn events_that_rules_make_run_through_the_rules() {
        let rules = r#"
            rule First { when Event.type == "a" then Emit("b", 1); Retract("First"); }
            rule Second { when Event.type == "b" then Tag("seen"); Retract("Second"); }
        "#;
        let out = ruled(rules, &batch(&["a"]));
        assert!(out.events[0].contains(r#""errules":"3:Second","ertags":"seen""#), "{}", out.events[0]);
    }

    #[test]
    fn a_rule_that_answers_itself_ends_in_one_dead_letter() {
        let out = ruled(r#"rule Echo { when true then Emit("echo", 1); Retract("Echo"); }"#, &batch(&["a"]));
        assert_eq!(types(&out.events).len(), HOPS_MAX as usize);
        let dead = read_dead(&out.dead).unwrap();
        assert_eq!(dead.len(), 1);
        assert!(dead[0].reason.contains("hop limit"), "{}", dead[0].reason);
    }

    #[test]
    fn more_events_than_a_batch_holds_are_several_batches() {
        let many = batch(&vec!["copy"; BATCH_EVENTS_MAX]);
        let rules = r#"rule Copy { when Event.type == "copy" then Emit("copied", Event.data); Retract("Copy"); }"#;
        let out = ruled(rules, &many);
        assert_eq!(types(&out.events).len(), 2 * BATCH_EVENTS_MAX);
        assert!(out.events.len() > 1 && out.events.iter().all(|batch| batch.len() <= BATCH_BYTES_MAX));
    }
}
