//! Into the store, and out of the batch what the store knew before: an event that was sent again goes its way once.

use er_event::event::{split, BatchWriter};
use er_event::Runs;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

/// Batches after they were stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored {
    /// Without the events that the store knew.
    pub batches: Vec<String>,
    /// For each event of all batches, in order: 1 if the store knew it.
    pub known: Runs,
}

/// Stores batches in order. `claims` has a number for each event of all of them.
pub fn store(
    batches: Vec<String>,
    claims: &Runs,
    mut put: impl FnMut(&Runs, &str) -> Result<Vec<u32>, Fault>,
) -> Result<Stored, Fault> {
    let mut known = Runs::default();
    let mut left = Vec::with_capacity(batches.len());
    let mut numbers = claims.iter();
    let alone = batches.len() == 1;
    for batch in batches {
        // Where there is one batch, which is nearly always, nobody need count its events.
        let count = if alone { claims.len() } else { events(&batch)?.len() };
        let claims: Runs = numbers.by_ref().take(count).collect();
        let places = put(&claims, &batch)?;
        if places.is_empty() {
            known.push_many(count, 0);
            left.push(batch);
            continue;
        }
        let mut rest = BatchWriter::with_capacity(batch.len());
        let mut places = places.into_iter().map(|place| place as usize).peekable();
        for (place, event) in events(&batch)?.into_iter().enumerate() {
            let before = places.next_if_eq(&place).is_some();
            known.push(before.into());
            if !before {
                rest.push(event);
            }
        }
        if !rest.is_empty() {
            left.push(rest.finish());
        }
    }
    Ok(Stored { batches: left, known })
}

/// For each raw event whether all that is stored of it was there before; none where that is true of none. `passed` and
/// `held`: for each event that the rules got, how many of `on` and of `dropped` are of it. `kept`: whether a raw event
/// got to the rules.
pub fn repeated(kept: &Runs, passed: &Runs, on: &Runs, held: &Runs, dropped: &Runs) -> Option<Runs> {
    if on.all(0) && dropped.all(0) {
        return None;
    }
    let (mut on, mut dropped) = (on.iter(), dropped.iter());
    let take = |of: &mut dyn Iterator<Item = u64>, count: u64| -> u64 {
        of.take(usize::try_from(count).unwrap_or(usize::MAX)).sum()
    };
    let of_rules = passed.iter().zip(held.iter()).map(|(passed, held)| {
        let known = take(&mut on, passed) + take(&mut dropped, held);
        u64::from(known > 0 && known == passed + held)
    });
    let of_rules: Runs = of_rules.collect();
    Some(spread(kept, &of_rules))
}

/// Numbers of events that got to the rules, as numbers of raw events: 0 for those that did not.
pub fn spread(kept: &Runs, of_rules: &Runs) -> Runs {
    let mut of_rules = of_rules.iter();
    kept.iter().map(|kept| if kept > 0 { of_rules.next().unwrap_or_default() } else { 0 }).collect()
}

fn events(batch: &str) -> Result<Vec<&str>, Fault> {
    split(batch).map_err(|cause| Fault {
        code: FaultCode::Internal,
        detail: format!("a step gave what is no batch: {cause}"),
        retry_after_ms: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> Runs {
        text.parse().unwrap()
    }

    fn batches(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn each_batch_is_put_with_its_claims() {
        let mut puts = Vec::new();
        let stored = store(batches(&["[1,2]", "[3]"]), &runs("1x7 2x8"), |claims, batch| {
            puts.push((claims.to_string(), batch.to_owned()));
            Ok(vec![])
        });
        assert_eq!(puts, [("1x7 1x8".to_owned(), "[1,2]".to_owned()), ("1x8".to_owned(), "[3]".to_owned())]);
        assert_eq!(stored.unwrap(), Stored { batches: batches(&["[1,2]", "[3]"]), known: runs("3x0") });
    }

    #[test]
    fn what_was_known_is_taken_out_and_an_empty_batch_with_it() {
        let stored = store(batches(&["[1, 2,3]", "[4]"]), &runs("4x7"), |_, batch| {
            Ok(if batch == "[4]" { vec![0] } else { vec![0, 2] })
        });
        assert_eq!(stored.unwrap(), Stored { batches: batches(&["[2]"]), known: runs("1x1 1x0 2x1") });
    }

    #[test]
    fn a_fault_of_the_store_is_the_answer() {
        let away = || Fault { code: FaultCode::Unavailable, detail: "away".into(), retry_after_ms: Some(5) };
        let stored = store(batches(&["[1]"]), &runs("1x7"), |_, _| Err(away()));
        assert_eq!(stored.unwrap_err().retry_after_ms, Some(5));
    }

    #[test]
    fn a_raw_event_is_a_repeat_when_all_that_came_of_it_was_known() {
        // Four raw events: one died before the rules, one passed with another made from it, one was dropped, one passed.
        let (kept, passed, held) = (runs("1x1 1x0 2x1"), runs("1x2 1x0 1x1"), runs("1x0 1x1 1x0"));
        let told =
            |on, dropped| repeated(&kept, &passed, &runs(on), &held, &runs(dropped)).map(|told| told.to_string());
        assert_eq!(told("3x0", "1x0"), None);
        assert_eq!(told("2x1 1x0", "1x0").as_deref(), Some("1x1 3x0"));
        assert_eq!(told("1x1 2x0", "1x1").as_deref(), Some("2x0 1x1 1x0"), "half of the first is new");
        assert_eq!(told("3x1", "1x1").as_deref(), Some("1x1 1x0 2x1"));
    }
}
