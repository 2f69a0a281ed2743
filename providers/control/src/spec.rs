//! What an owner sets on a consumer. Ranges are those of the delivery link (`providers/jetstream/src/settings.rs`): what
//! is wrong is refused here, where its owner hears of it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Error;

const SPEC_BYTES_MAX: usize = 32 << 10;
const LIST_MAX: usize = 100;
const ENV_MAX: usize = 100;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// An OCI reference, in place of an upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Types wanted, `*` ending a beginning; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "words")]
    pub types: Vec<String>,
    /// Sources wanted, `*` ending a beginning; empty is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "words")]
    pub sources: Vec<String>,
    /// Sub-streams wanted, as rules route events to them; empty is every event.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "words")]
    pub routes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub batch_events_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub attempts_max: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub backoff_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "number")]
    pub timeout_ms: Option<u64>,
    /// `all`: from the oldest event that is kept; `new`: from the next. Counts only when a consumer is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<String>,
    /// What `wasi:config` tells the component.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

// === impl Spec ===

impl Spec {
    /// # Errors
    /// [`Error::Invalid`] with the setting and what it may be.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > SPEC_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "the settings have {} bytes, and at most {SPEC_BYTES_MAX}",
                text.len()
            )));
        }
        // serde would take an array for the fields in order.
        if !text.trim_start().starts_with('{') {
            return Err(Error::Invalid("the settings are a JSON object".into()));
        }
        let spec: Self =
            serde_json::from_str(text).map_err(|e| Error::Invalid(format!("the settings can't be read: {e}")))?;
        spec.check()?;
        Ok(spec)
    }

    fn check(&self) -> Result<(), Error> {
        let numbers: [(&str, Option<u64>, RangeInclusive<u64>); 4] = [
            ("batch_events_max", self.batch_events_max, 1..=er_event::limits::BATCH_EVENTS_MAX as u64),
            ("attempts_max", self.attempts_max, 1..=20),
            ("backoff_ms", self.backoff_ms, 10..=60_000),
            ("timeout_ms", self.timeout_ms, 100..=60_000),
        ];
        for (name, value, range) in numbers {
            if value.is_some_and(|value| !range.contains(&value)) {
                let (from, to) = (range.start(), range.end());
                return Err(Error::Invalid(format!("`{name}` must be from {from} to {to}")));
            }
        }
        for (name, list) in self.lists() {
            let odd =
                |word: &String| word.is_empty() || word.contains([',', ' ']) || word.chars().any(char::is_control);
            if list.len() > LIST_MAX || list.iter().any(odd) {
                return Err(Error::Invalid(format!(
                    "`{name}` holds at most {LIST_MAX} words without blanks and commas"
                )));
            }
        }
        if self.deliver.as_deref().is_some_and(|deliver| !["all", "new"].contains(&deliver)) {
            return Err(Error::Invalid("`deliver` must be `all` or `new`".into()));
        }
        if self.env.len() > ENV_MAX || self.env.keys().any(|key| key.is_empty() || key.chars().any(char::is_control)) {
            return Err(Error::Invalid(format!("`env` holds at most {ENV_MAX} values, each under a name")));
        }
        Ok(())
    }

    fn lists(&self) -> [(&'static str, &Vec<String>); 3] {
        [("types", &self.types), ("sources", &self.sources), ("routes", &self.routes)]
    }

    /// The settings of the delivery link, as far as they are set.
    pub fn delivery(&self) -> BTreeMap<&'static str, String> {
        let mut settings = BTreeMap::new();
        let numbers = [
            ("batch_events_max", self.batch_events_max),
            ("attempts_max", self.attempts_max),
            ("backoff_ms", self.backoff_ms),
            ("timeout_ms", self.timeout_ms),
        ];
        settings.extend(numbers.into_iter().filter_map(|(name, value)| Some((name, value?.to_string()))));
        settings.extend(
            self.lists().into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| (name, list.join(","))),
        );
        settings.extend(self.deliver.clone().map(|deliver| ("deliver", deliver)));
        settings
    }
}

/// A query parameter is a text where JSON has a number.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u64),
        Text(String),
    }
    match Option::<Either>::deserialize(from)? {
        None => Ok(None),
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Text(text)) => {
            text.parse().map(Some).map_err(|_| serde::de::Error::custom(format!("`{text}` is not a whole number")))
        }
    }
}

/// A list, or its words in one text with commas between them.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Option::<Either>::deserialize(from)? {
        None => Vec::new(),
        Some(Either::List(list)) => list,
        Some(Either::Text(text)) => {
            text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_string).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_from_json_and_from_a_query_alike() {
        let json =
            Spec::parse(r#"{"types":["order.*"],"sources":["/shop/*","/web"],"batch_events_max":8,"env":{"A":"b"}}"#)
                .unwrap();
        let query =
            Spec::parse(r#"{"types":"order.*","sources":"/shop/*,/web","batch_events_max":"8","env":{"A":"b"}}"#)
                .unwrap();
        assert_eq!(json, query);
        assert_eq!(json.delivery()["types"], "order.*");
        assert_eq!(json.delivery()["sources"], "/shop/*,/web");
        assert_eq!(json.delivery()["batch_events_max"], "8");
        assert_eq!(Spec::parse(&serde_json::to_string(&json).unwrap()), Ok(json));
    }

    #[test]
    fn limits_are_held_on_both_sides() {
        for (spec, good) in [
            ("{}", true),
            (r#"{"batch_events_max":1024}"#, true),
            (r#"{"batch_events_max":1025}"#, false),
            (r#"{"batch_events_max":0}"#, false),
            (r#"{"attempts_max":20}"#, true),
            (r#"{"attempts_max":21}"#, false),
            (r#"{"backoff_ms":9}"#, false),
            (r#"{"timeout_ms":60001}"#, false),
            (r#"{"timeout_ms":"soon"}"#, false),
            (r#"{"deliver":"all"}"#, true),
            (r#"{"deliver":"some"}"#, false),
            (r#"{"types":["a b"]}"#, false),
            (r#"{"sources":["/a,b"]}"#, false),
            (r#"{"env":{"":"x"}}"#, false),
            (r#"{"tenant":"other"}"#, false),
            (r#"{"memory_mib":4000}"#, false),
            ("[]", false),
        ] {
            assert_eq!(Spec::parse(spec).is_ok(), good, "{spec}");
        }
        let long = format!(r#"{{"env":{{"A":"{}"}}}}"#, "x".repeat(SPEC_BYTES_MAX));
        assert!(matches!(Spec::parse(&long), Err(Error::Invalid(_))));
    }
}
