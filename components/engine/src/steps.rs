//! Which events go through the normalizer, which end here, and how the outcome is put together again.
//!
//! **Invariant:** each event of the batch is in exactly one of `events` and `dead`, both in the order they came.

use std::borrow::Cow;

use er_event::dead::dead_json;
use er_event::event::{split, BatchWriter, EventRef, HOP};
use er_event::limits::HOPS_MAX;
use er_event::{Runs, RAW_TYPE};
use memchr::memmem;

use crate::bindings::eventrunner::platform::normalizer::Normalized;
use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

/// What became of a batch.
#[derive(Debug)]
pub struct Ends {
    pub events: String,
    /// `events` is the text that came.
    pub unchanged: bool,
    pub dead: String,
    /// For each event that came: 1 if it is among `events`, 0 if it is dead.
    pub kept: Runs,
}

/// A batch of none.
pub const NO_EVENTS: &str = "[]";

/// What is to become of one event of the batch.
enum Step<'a> {
    /// It is a CloudEvent already.
    Keep(&'a str),
    /// It needs the normalizer.
    Normalize(&'a str),
    Dead(Dead<'a>),
}

struct Dead<'a> {
    stage: &'static str,
    reason: Cow<'a, str>,
    event: &'a str,
}

/// Everything up to the store. A batch in which nothing changes comes back as the text it was.
pub fn run(raw: String, normalize: impl FnOnce(&str) -> Result<Normalized, Fault>) -> Result<Ends, Fault> {
    let steps = plan(&raw)?;
    let sent = steps.iter().filter(|step| matches!(step, Step::Normalize(_))).count();
    if sent == 0 {
        let count = steps.len();
        let unchanged = steps.iter().all(|step| matches!(step, Step::Keep(_)));
        return Ok(if unchanged { all_of(count, raw, true) } else { assemble(steps, &[], &[]) });
    }
    let normalized = if sent == steps.len() { normalize(&raw)? } else { normalize(&only_raw(&steps))? };
    if sent == steps.len() && normalized.rejected.is_empty() {
        return Ok(all_of(sent, normalized.events, false));
    }
    let results = split(&normalized.events).map_err(|cause| defect(&cause.to_string()))?;
    if results.len() + normalized.rejected.len() != sent {
        return Err(defect("it gave back another number of events than it got"));
    }
    let mut reasons = vec![None; sent];
    for rejection in &normalized.rejected {
        match reasons.get_mut(rejection.index as usize) {
            Some(reason @ None) => *reason = Some(rejection.reason.as_str()),
            _ => return Err(defect("it rejected an event twice, or one it did not get")),
        }
    }
    Ok(assemble(steps, &results, &reasons))
}

/// Two arrays of dead letters as one.
pub fn both(first: &str, second: &str) -> String {
    match (first, second) {
        (NO_EVENTS, only) | (only, NO_EVENTS) => only.to_owned(),
        _ => [first.strip_suffix(']').unwrap_or(first), ",", second.strip_prefix('[').unwrap_or(second)].concat(),
    }
}

fn plan(raw: &str) -> Result<Vec<Step<'_>>, Fault> {
    let events = split(raw).map_err(|cause| Fault {
        code: FaultCode::Invalid,
        detail: format!("the raw message is no batch of events: {cause}"),
        retry_after_ms: None,
    })?;
    // One look at the whole text spares a look for the extension in each event: few have it.
    let hops = memmem::find(raw.as_bytes(), HOP.as_bytes()).is_some();
    Ok(events.into_iter().map(|event| step(event, hops)).collect())
}

fn step(event: &str, hops: bool) -> Step<'_> {
    let view = match EventRef::parse(event) {
        Ok(view) => view,
        Err(cause) => return Step::Dead(Dead { stage: "engine", reason: cause.to_string().into(), event }),
    };
    if hops && hop(&view) > HOPS_MAX {
        let reason = format!("hop limit {HOPS_MAX} reached: consumers answer each other's events in a circle");
        return Step::Dead(Dead { stage: "engine", reason: reason.into(), event });
    }
    match view.event_type == RAW_TYPE {
        true => Step::Normalize(event),
        false => Step::Keep(event),
    }
}

fn only_raw(steps: &[Step<'_>]) -> String {
    let mut batch = BatchWriter::new();
    for step in steps {
        if let Step::Normalize(event) = step {
            batch.push(event);
        }
    }
    batch.finish()
}

/// A hop count that can't be read was not written by the platform, which alone may: count it as over the limit.
fn hop(event: &EventRef<'_>) -> u32 {
    event.extension(HOP).map_or(0, |hop| hop.parse().unwrap_or(u32::MAX))
}

/// `reasons` has one place for each event that was normalized: why it was rejected, or none when it is the next of `results`.
fn assemble<'a>(steps: Vec<Step<'a>>, results: &[&'a str], reasons: &[Option<&'a str>]) -> Ends {
    let mut events = BatchWriter::new();
    let mut dead = Vec::new();
    let mut kept = Runs::default();
    let mut results = results.iter();
    let mut reasons = reasons.iter();
    for step in steps {
        let before = events.len();
        match step {
            Step::Keep(event) => events.push(event),
            Step::Dead(end) => dead.push(end),
            Step::Normalize(event) => match reasons.next().copied().flatten() {
                Some(reason) => dead.push(Dead { stage: "normalize", reason: reason.into(), event }),
                None => results.next().into_iter().for_each(|event| events.push(event)),
            },
        }
        kept.push((events.len() - before) as u64);
    }
    let dead: Vec<_> = dead.iter().map(|end| (end.stage, &*end.reason, end.event)).collect();
    Ends { events: events.finish(), unchanged: false, dead: dead_json(&dead), kept }
}

fn all_of(count: usize, events: String, unchanged: bool) -> Ends {
    Ends { events, unchanged, dead: NO_EVENTS.to_owned(), kept: Runs::of(count, 1) }
}

fn defect(what: &str) -> Fault {
    Fault {
        code: FaultCode::Internal,
        detail: format!("the normalizer's answer makes no sense: {what}"),
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::eventrunner::platform::normalizer::Rejection;

    fn event(id: &str, more: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"{more}}}"#)
    }

    fn raw(id: &str) -> String {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"{RAW_TYPE}","data":1}}"#)
    }

    fn batch(events: &[String]) -> String {
        format!("[{}]", events.join(","))
    }

    fn unasked(_: &str) -> Result<Normalized, Fault> {
        panic!("the normalizer was asked about events that don't need it")
    }

    #[test]
    fn a_batch_of_cloudevents_passes_as_the_text_it_was() {
        let text = format!("[ {} ,\n{} ]", event("1", ""), event("2", r#","erhop":"1""#));
        let outcome = run(text.clone(), unasked).unwrap();
        assert_eq!((outcome.events, outcome.dead.as_str()), (text, "[]"));
        assert_eq!(outcome.kept, Runs::of(2, 1));
    }

    #[test]
    fn dead_letters_of_two_steps_are_one_array() {
        let (one, two) = (dead_json(&[("a", "r]", "[1]")]), dead_json(&[("b", "[r", "{}")]));
        assert_eq!(both(&one, NO_EVENTS), one);
        assert_eq!(both(NO_EVENTS, &two), two);
        assert_eq!(both(&one, &two), dead_json(&[("a", "r]", "[1]"), ("b", "[r", "{}")]));
    }

    #[test]
    fn an_empty_batch_has_no_events() {
        assert_eq!(run("[]".into(), unasked).unwrap().events, NO_EVENTS);
    }

    #[test]
    fn only_raw_events_are_normalized_and_come_back_in_their_places() {
        let outcome = run(batch(&[event("1", ""), raw("2"), raw("3"), event("4", ""), raw("5")]), |asked| {
            assert_eq!(asked, batch(&[raw("2"), raw("3"), raw("5")]));
            let rejected = vec![Rejection { index: 1, reason: "no type".into() }];
            Ok(Normalized { events: batch(&[event("b", ""), event("e", "")]), rejected })
        })
        .unwrap();
        assert_eq!(outcome.events, batch(&[event("1", ""), event("b", ""), event("4", ""), event("e", "")]));
        assert_eq!(outcome.dead, dead_json(&[("normalize", "no type", &raw("3"))]));
        assert_eq!(outcome.kept.to_string(), "2x1 1x0 2x1");
    }

    #[test]
    fn a_batch_that_was_raw_throughout_is_what_the_normalizer_said() {
        let said = format!("[{} ]", event("n", ""));
        let outcome = run(batch(&[raw("1")]), |_| Ok(Normalized { events: said.clone(), rejected: vec![] })).unwrap();
        assert_eq!(outcome.events, said);
    }

    #[test]
    fn when_all_are_rejected_no_event_is_left() {
        let rejected = vec![Rejection { index: 0, reason: "bad".into() }];
        let outcome = run(batch(&[raw("1")]), |_| Ok(Normalized { events: "[]".into(), rejected })).unwrap();
        assert_eq!(outcome.events, NO_EVENTS);
        assert_eq!(outcome.dead, dead_json(&[("normalize", "bad", &raw("1"))]));
    }

    #[test]
    fn a_circle_of_consumers_ends_at_the_hop_limit() {
        let last = event("1", &format!(r#","erhop":{HOPS_MAX}"#));
        let over = event("2", &format!(r#","erhop":{}"#, HOPS_MAX + 1));
        let forged = event("3", r#","erhop":"many""#);
        let outcome = run(batch(&[last.clone(), over.clone(), forged]), unasked).unwrap();
        assert_eq!(outcome.events, batch(&[last]));
        assert!(outcome.dead.contains(&format!("hop limit {HOPS_MAX} reached")), "{}", outcome.dead);
        assert!(outcome.dead.contains(&over), "{}", outcome.dead);
    }

    #[test]
    fn what_is_no_event_ends_alone() {
        let outcome = run(batch(&["{}".into(), event("1", ""), "7".into()]), unasked).unwrap();
        assert_eq!(outcome.events, batch(&[event("1", "")]));
        assert_eq!(outcome.dead.matches(r#""stage":"engine""#).count(), 2, "{}", outcome.dead);
    }

    #[test]
    fn what_is_no_batch_is_the_callers_fault() {
        assert_eq!(run("{".into(), unasked).unwrap_err().code, FaultCode::Invalid);
    }

    #[test]
    fn a_normalizer_that_loses_or_invents_events_is_a_defect() {
        let two = batch(&[raw("1"), event("2", "")]);
        for (events, rejected) in [("[]", vec![]), ("[{},{}]", vec![]), ("[]", vec![9]), ("[", vec![])] {
            let rejected = rejected.into_iter().map(|index| Rejection { index, reason: String::new() }).collect();
            let answer = run(two.clone(), |_| Ok(Normalized { events: events.into(), rejected }));
            assert_eq!(answer.unwrap_err().code, FaultCode::Internal, "{events}");
        }
    }

    #[test]
    fn a_fault_of_the_normalizer_is_the_answer() {
        let away = || Fault { code: FaultCode::Unavailable, detail: "away".into(), retry_after_ms: Some(5) };
        assert_eq!(run(batch(&[raw("1")]), |_| Err(away())).unwrap_err().retry_after_ms, Some(5));
    }
}
