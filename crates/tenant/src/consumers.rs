//! Whether a consumer is fed, and where what is known of it rests.

use serde::{Deserialize, Serialize};

/// Bucket of all that is known of tenants' consumers, under `<tenant>.<consumer>.<what>`.
pub const CONSUMERS_BUCKET: &str = "ER_CONSUMERS";
/// Bucket of replays, under `<tenant>.<id>`.
pub const REPLAYS_BUCKET: &str = "ER_REPLAYS";
/// Every consumer's state, as a filter over [`CONSUMERS_BUCKET`].
pub const EVERY_STATE: &str = "*.*.state";
pub const NAME_CHARS_MAX: usize = 40;
/// Of one piece of a component that is uploaded.
pub const PIECE_BYTES_MAX: usize = 512 << 10;
/// What people write in a reason.
pub const REASON_CHARS_MAX: usize = 500;

/// Normalized events of all tenants, a subject each.
pub const EVENTS_STREAM: &str = "ER_EVENTS";
/// Events that a consumer did not handle, waiting for their next attempt.
pub const RETRY_STREAM: &str = "ER_RETRY";

const STATE: &str = ".state";

/// Who holds a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "HeldBy"))]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Its tenant.
    Owner,
    /// The platform, while it puts in another version.
    Update,
    /// Its own failures.
    Strikes,
}

// === impl By ===

impl By {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Update => "update",
            Self::Strikes => "strikes",
        }
    }
}

/// Whether a consumer gets events; no record: it does. What is not delivered waits in the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ConsumerHold"))]
pub struct State {
    pub paused: bool,
    pub by: By,
    /// A sentence for its owner.
    #[serde(default)]
    pub reason: String,
    /// Since when, RFC 3339.
    #[serde(default)]
    pub at: String,
    /// Calls that failed in a row, where it was paused for them.
    #[serde(default)]
    pub strikes: u32,
}

/// What whoever delivers has acted upon, written when delivery begins and once the batch it was at is finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of the state's key.
    pub revision: u64,
    pub paused: bool,
    /// Seconds from the first call that was taken since, to the last that is told of (the longer it goes on, the fewer
    /// are); none was: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_s: Option<u64>,
}

/// Where a consumer's state rests.
pub fn state_path(tenant: &str, consumer: &str) -> String {
    format!("{}{STATE}", owner(tenant, consumer))
}

/// Where it rests what was acted upon.
pub fn seen_path(tenant: &str, consumer: &str) -> String {
    format!("{}.seen", owner(tenant, consumer))
}

/// Where control's record of it rests.
pub fn record_path(tenant: &str, consumer: &str) -> String {
    format!("{}.record", owner(tenant, consumer))
}

/// A tenant's consumer, as one word.
pub fn owner(tenant: &str, consumer: &str) -> String {
    format!("{tenant}.{consumer}")
}

/// A consumer's place in the streams, as one word: JetStream takes no dots in it.
pub fn durable(tenant: &str, consumer: &str) -> String {
    format!("{tenant}={consumer}")
}

/// What JetStream calls the delivery of fresh events to a consumer, and that of what is tried again.
pub fn delivery_names(durable: &str) -> [String; 2] {
    [format!("consumer-{durable}"), format!("retry-{durable}")]
}

/// Where events wait for a consumer's next attempt.
pub fn retry_subject(tenant: &str, consumer: &str) -> String {
    format!("er.retry.{tenant}.{consumer}")
}

/// Whose state rests there.
pub fn owner_of_state(key: &str) -> Option<&str> {
    key.strip_suffix(STATE)
}

/// Whether a consumer may be called so: words of `[a-z0-9]` after a letter, joined by single `-`.
pub fn valid_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()))
}

/// Whether a consumer's place may be asked for under this name: also the ids of components that were deployed by hand.
pub fn valid_place(name: &str) -> bool {
    (1..=200).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_and_is_as_others_write_it() {
        let text = r#"{"paused":true,"by":"strikes","reason":"r","at":"2026-01-01T00:00:00Z","strikes":5}"#;
        let state: State = serde_json::from_str(text).unwrap();
        assert_eq!((state.by, state.strikes), (By::Strikes, 5));
        assert_eq!(serde_json::to_string(&state).unwrap(), text);
        let short: State = serde_json::from_str(r#"{"paused":false,"by":"owner"}"#).unwrap();
        assert!(!short.paused && short.reason.is_empty());
    }

    #[test]
    fn a_key_names_its_owner() {
        assert_eq!(owner_of_state(&state_path("acme", "alert")), Some("acme.alert"));
        assert_eq!(owner_of_state(&seen_path("acme", "alert")), None);
    }

    #[test]
    fn names_are_words_joined_by_single_dashes() {
        for (name, good) in
            [("a", true), ("a-1", true), ("", false), ("1a", false), ("a--b", false), ("a-", false), ("A", false)]
        {
            assert_eq!(valid_name(name), good, "{name}");
        }
        assert!(valid_name(&"a".repeat(40)) && !valid_name(&"a".repeat(41)));
        assert!(valid_place("acme_alert-alert") && !valid_place("a.b") && !valid_place("") && !valid_place("a*"));
    }
}
