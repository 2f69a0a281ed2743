//! Who was refused: a line in the log each, and no more of them than a log can bear.

use std::time::{Duration, Instant};

use er_event::{keys, Problem};
use parking_lot::Mutex;
use tracing::warn;

/// Lines of one [`WINDOW`]; further refusals are counted, and the count is told with the next line.
const LINES_MAX: u32 = 100;
const WINDOW: Duration = Duration::from_secs(1);

/// How many lines were written, and how many were not.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    since: Option<Instant>,
    lines: u32,
    untold: u64,
}

// === impl Refusals ===

impl Refusals {
    /// Notes a refusal of `what` for want of a right (401, 403); others are the sender's own affair.
    pub fn note(&self, what: &str, api_key: Option<&str>, problem: &Problem) {
        if !matches!(problem.status, 401 | 403) {
            return;
        }
        if let Some(untold) = self.room(Instant::now()) {
            if untold > 0 {
                warn!(untold, "refusals that are not in this log");
            }
            warn!("refused: {what} {}: {}", caller(api_key), problem.detail);
        }
    }

    /// Whether there is room for a line, and how many before it found none.
    fn room(&self, now: Instant) -> Option<u64> {
        let mut written = self.0.lock();
        if written.since.is_none_or(|since| now.saturating_duration_since(since) >= WINDOW) {
            written.since = Some(now);
            written.lines = 0;
        }
        if written.lines >= LINES_MAX {
            written.untold += 1;
            return None;
        }
        written.lines += 1;
        Some(std::mem::take(&mut written.untold))
    }
}

/// Who called, as far as that is known: never the key itself. What can't be one of our keys is not repeated.
fn caller(api_key: Option<&str>) -> String {
    match api_key.map(|key| (key, keys::parse(key))) {
        None => "without a key".into(),
        Some((_, None)) => "with what is no key".into(),
        Some((key, Some((tenant, _)))) => format!("by key {} of {tenant}", er_tenant::key_id(&keys::hash(key))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_named_without_the_key() {
        let key = keys::format("acme", &[7; 32]);
        let said = caller(Some(&key));
        let id = keys::hash(&key);
        assert_eq!(said, format!("by key {} of acme", &id[..12]));
        assert!(!said.contains(&key[8..]));
        assert_eq!(caller(None), "without a key");
        assert_eq!(caller(Some("er_acme_\nrefused: by key 1 of 2")), "with what is no key");
    }

    #[test]
    fn a_flood_of_refusals_is_counted_not_written() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let written = (0..LINES_MAX + 7).filter(|_| refusals.room(start).is_some()).count();
        assert_eq!(written, LINES_MAX as usize);
        assert_eq!(refusals.room(start + WINDOW), Some(7));
        assert_eq!(refusals.room(start + WINDOW), Some(0));
    }
}
