//! Batches: the JSON array of events that crosses a link.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::EventRef;
use crate::json::{string, Elements, Members};
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use crate::Reject;

/// The text of each element of a batch, uninterpreted. An error says where the array is broken.
pub fn split(batch: &str) -> Result<Vec<&str>, Reject> {
    let mut elements = elements(batch)?;
    let events = elements.by_ref().collect();
    whole(&elements)?;
    Ok(events)
}

/// Each event of a batch, seen through its text. One pass: an event's end is found by reading it.
pub fn parse_batch(batch: &str) -> Result<Vec<EventRef<'_>>, Reject> {
    let mut elements = elements(batch)?;
    let mut events = Vec::new();
    while let Some(start) = elements.start() {
        let broken = |what| Reject::Batch { offset: start, what };
        let mut members = Members::open(batch, start).ok_or(broken("an element that is no object"))?;
        let event = EventRef::read(&mut members)?;
        let end = members.end().ok_or(broken("broken JSON"))?;
        let Some(raw) = elements.past(end) else { break };
        events.push(EventRef { raw, ..event });
    }
    whole(&elements)?;
    Ok(events)
}

/// The types of a batch's events, each once. One pass, in which nothing but the type is looked at.
pub fn types(batch: &str) -> Result<BTreeSet<Cow<'_, str>>, Reject> {
    let mut elements = elements(batch)?;
    let mut types = BTreeSet::new();
    // As it stands in the text: most events of a batch have the type of the one before.
    let mut last = "";
    while let Some(start) = elements.start() {
        let broken = |what| Reject::Batch { offset: start, what };
        let mut members = Members::open(batch, start).ok_or(broken("an element that is no object"))?;
        let mut found = None;
        for member in members.by_ref() {
            if member.key == "type" {
                found = Some(member.value);
            }
        }
        let end = members.end().ok_or(broken("broken JSON"))?;
        let found = found.ok_or(broken("an event without `type`"))?;
        if found != last {
            types.insert(string(found).ok_or(broken("an event whose `type` is no text"))?);
            last = found;
        }
        if elements.past(end).is_none() {
            break;
        }
    }
    whole(&elements)?;
    Ok(types)
}

pub(crate) fn elements(batch: &str) -> Result<Elements<'_>, Reject> {
    Elements::of(batch).ok_or(Reject::Batch { offset: 0, what: "it is no JSON array" })
}

pub(crate) fn whole(elements: &Elements<'_>) -> Result<(), Reject> {
    if elements.whole() {
        Ok(())
    } else {
        Err(Reject::Batch { offset: elements.at(), what: "broken JSON" })
    }
}

/// Builds a batch.
#[derive(Debug, Clone)]
pub struct BatchWriter {
    text: String,
    events: usize,
}

impl BatchWriter {
    pub fn new() -> Self {
        BatchWriter { text: String::from("["), events: 0 }
    }

    /// For about so many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes + 2);
        text.push('[');
        BatchWriter { text, events: 0 }
    }

    /// Adds one event's text as it is.
    pub fn push(&mut self, raw: &str) {
        if self.events > 0 {
            self.text.push(',');
        }
        self.text.push_str(raw);
        self.events += 1;
    }

    /// Events so far.
    pub fn len(&self) -> usize {
        self.events
    }

    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Bytes of the batch, if it were finished now.
    pub fn bytes(&self) -> usize {
        self.text.len() + 1
    }

    /// Whether one more event of so many bytes keeps to the limits of a batch. An empty batch takes any event, or an
    /// event over the limit could go nowhere.
    pub fn fits(&self, extra_bytes: usize) -> bool {
        self.events == 0
            || (self.events < BATCH_EVENTS_MAX
                && self.bytes() + usize::from(self.events > 0) + extra_bytes <= BATCH_BYTES_MAX)
    }

    /// The array's text.
    pub fn finish(mut self) -> String {
        self.text.push(']');
        self.text
    }
}

impl Default for BatchWriter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_splits_again() {
        let mut batch = BatchWriter::new();
        assert_eq!((batch.bytes(), batch.clone().finish().as_str()), (2, "[]"));
        for raw in ["{\"a\":\"],[\"}", "{}", "{\"b\":[1,2]}"] {
            batch.push(raw);
        }
        let bytes = batch.bytes();
        let text = batch.finish();
        assert_eq!(text.len(), bytes);
        assert_eq!(split(&text).unwrap(), ["{\"a\":\"],[\"}", "{}", "{\"b\":[1,2]}"]);
        assert_eq!(split(" [ ] ").unwrap(), Vec::<&str>::new());
    }

    #[test]
    fn both_limits_are_held_on_both_sides() {
        let mut batch = BatchWriter::new();
        for _ in 1..BATCH_EVENTS_MAX {
            batch.push("{}");
        }
        assert!(batch.fits(2));
        batch.push("{}");
        assert!(!batch.fits(2));

        let mut batch = BatchWriter::new();
        assert!(batch.fits(BATCH_BYTES_MAX * 2));
        batch.push("{}");
        let left = BATCH_BYTES_MAX - batch.bytes() - 1;
        assert!(batch.fits(left) && !batch.fits(left + 1));
        batch.push(&"x".repeat(left));
        assert_eq!(batch.finish().len(), BATCH_BYTES_MAX);
    }

    #[test]
    fn types_are_those_of_the_events_and_of_nothing_inside() {
        let batch = r#"[{"id":"1","type":"b","data":{"type":"x"}}, {"data":["type"],"type" : "a"},{"type":"\u0061"},
            {"type":"b"}]"#;
        assert_eq!(types(batch).unwrap().into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(types("[]").unwrap().is_empty());
        for text in ["[{}]", r#"[{"type":1}]"#, r#"[{"type":"a"}"#, r#"[{"type":"a"},3]"#, r#"[{"data":{"type":"a"}}]"#]
        {
            assert!(types(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_broken_batch_is_refused() {
        for text in ["", "{}", "[{}", "[{}}", "[{} {}]", "[{}],"] {
            assert!(split(text).is_err(), "{text}");
        }
        assert!(parse_batch("[{}]").is_err());
    }
}
