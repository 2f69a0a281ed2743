//! A batch through the rules: what goes on, what only rests, what is dead.
//!
//! **Invariant:** each event of the batch, and each that rules made from it, is in exactly one of the three.

use std::collections::BTreeMap;

use er_event::dead::dead_json;
use er_event::event::{split, BatchWriter};
use er_event::{Reject, Runs};
use serde::Serialize;

use crate::event::{End, Rules, Verdict};
use crate::{MADE_MAX, STAGE};

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
    let rules_count = rules.len() as u64;
    let (mut passed, mut held, mut evaluations) = (Runs::default(), Runs::default(), Runs::default());
    for event in split(batch)? {
        let before = (ends.events.len, ends.stats.dropped, ends.stats.events);
        let first = rules.run(event);
        ends.stats.events += 1;
        if first.emitted.is_empty() {
            ends.note(first);
        } else {
            family(rules, event, first, &mut ends);
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

/// An event from which others are made, and all that come of it: each before those that are made from it. Where that are too
/// many, there are none, and the event itself is dead.
fn family<'e>(rules: &mut Rules<'_>, event: &'e str, mut first: Verdict<'e>, ends: &mut Ends) {
    let last_first = |made: &mut Verdict<'_>| std::mem::take(&mut made.emitted).into_iter().rev();
    // Depth first: the hop limit bounds how far this goes, and the emit limit how wide.
    let mut made: Vec<String> = last_first(&mut first).collect();
    let mut count = made.len();
    let mut verdicts = Vec::with_capacity(count);
    while let Some(next) = made.pop() {
        let mut verdict = rules.run(&next);
        ends.stats.events += 1;
        count += verdict.emitted.len();
        if count > MADE_MAX {
            let rule = verdict.fired.last().map_or("a rule", String::as_str);
            let reason =
                format!("{rule}: more than {MADE_MAX} events would be made from this one, from each other's events");
            return ends.note(Verdict { end: End::Dead { reason }, event: event.into(), ..first });
        }
        made.extend(last_first(&mut verdict));
        verdicts.push(verdict.into_owned());
    }
    ends.note(first);
    ends.stats.emitted += verdicts.len();
    verdicts.into_iter().for_each(|verdict| ends.note(verdict));
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
    fn note(&mut self, verdict: Verdict<'_>) {
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
    fn rules_that_make_ever_more_events_end_in_one_dead_letter() {
        let flood = |emits: usize| {
            format!(r#"rule Flood {{ when true then {} Retract("Flood"); }}"#, r#"Emit("f", 1); "#.repeat(emits))
        };
        let out = ruled(&flood(2), &batch(&["a", "b"]));
        // Two, four, eight... of each: the seventh generation is one too many.
        assert_eq!((types(&out.events).len(), out.stats.emitted), (0, 0));
        let dead = read_dead(&out.dead).unwrap();
        assert_eq!(dead.len(), 2, "{}", out.dead);
        assert!(dead[0].reason.contains("more than 256 events"), "{}", dead[0].reason);
        assert!(dead[0].event.contains(r#""type":"a""#), "as it came: {}", dead[0].event);
        assert!(out.stats.events <= 2 * (MADE_MAX + 1), "{:?}", out.stats);
        // Those that are no more than that all pass.
        let tree = r#"
            rule Root { when Event.type == "a" then EMITS Retract("Root"); }
            rule Leaf { when Event.type == "b" then EMITS Retract("Leaf"); }
        "#;
        let tree = tree.replacen("EMITS", &r#"Emit("b", 1); "#.repeat(16), 1).replacen(
            "EMITS",
            &r#"Emit("c", 1); "#.repeat(15),
            1,
        );
        let out = ruled(&tree, &batch(&["a"]));
        assert_eq!((types(&out.events).len(), out.stats.emitted, &*out.dead), (MADE_MAX + 1, MADE_MAX, "[]"));
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
