//! Usage records: what one step used for one tenant in one batch.

use er_event::keys::valid_tenant;
use serde::{Deserialize, Serialize};

use crate::limits::{BATCH_ID_BYTES_MAX, RECORD_BYTES_MAX, RECORD_QUANTITY_MAX};
use crate::{Error, Meter, Quantities, Result, Time, Window};

/// One line of JSON. A tenant's records with the same batch id are one record, however often it comes. So the id names
/// the piece of work that is counted, and nothing that is new each time: the step and the batch's stream sequence, and
/// where every attempt counts (deliveries), the number of the attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The batch id.
    pub id: String,
    pub tenant: String,
    /// The minute in which the platform took the batch in hand: where it counts, whenever it arrives.
    pub minute: Time,
    pub used: Quantities,
}

// === impl Record ===

impl Record {
    /// A record of the minute that `time` is in.
    pub fn new(tenant: &str, id: &str, time: Time, used: Quantities) -> Result<Self> {
        let record = Record { id: id.into(), tenant: tenant.into(), minute: Window::Minute.start(time), used };
        record.checked().map_err(|what| Error::Record { line: 1, what })
    }

    /// Without the line's end.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::Record { line: 1, what: error.to_string() })
    }

    /// Reads lines; empty ones say nothing. One bad line spoils all: a batch is taken whole or not at all.
    pub fn parse_lines(text: &str) -> Result<Vec<Record>> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(place, line)| {
                let fault = |what| Error::Record { line: place.saturating_add(1), what };
                if line.len() > RECORD_BYTES_MAX {
                    return Err(fault(format!("a record is at most {RECORD_BYTES_MAX} bytes")));
                }
                let record: Record = serde_json::from_str(line).map_err(|error| fault(error.to_string()))?;
                record.checked().map_err(fault)
            })
            .collect()
    }

    /// For analytics, a row for each meter. (tenant, id, meter) is the row's key: written twice it is one row.
    pub fn rows(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        self.used.iter()
    }

    fn checked(self) -> Result<Self, String> {
        if self.id.is_empty() || self.id.len() > BATCH_ID_BYTES_MAX || self.id.chars().any(char::is_control) {
            return Err(format!("id: 1 to {BATCH_ID_BYTES_MAX} bytes, no control characters"));
        }
        if !valid_tenant(&self.tenant) {
            return Err(format!("tenant: {:?} is no tenant's id", self.tenant));
        }
        if !Window::Minute.begins_at(self.minute) {
            return Err(format!("minute: no minute begins at {}", self.minute));
        }
        if self.used.is_zero() {
            return Err("used: nothing; leave the record out".into());
        }
        if let Some((meter, quantity)) = self.used.iter().find(|(_, quantity)| *quantity > RECORD_QUANTITY_MAX) {
            return Err(format!("used.{meter}: {quantity} in one batch; at most {RECORD_QUANTITY_MAX}"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        r#"{"id":"ingest.7","tenant":"acme","minute":"2024-02-29T23:59:00Z","used":{"events_in":3,"bytes_in":1800}}"#;

    #[test]
    fn a_record_is_a_line_that_reads_back() {
        let used = Quantities::of(Meter::EventsIn, 3).unwrap().with(Meter::BytesIn, 1800).unwrap();
        let record = Record::new("acme", "ingest.7", Time::parse("2024-02-29T23:59:59.5Z").unwrap(), used).unwrap();
        assert_eq!(record.to_line().unwrap(), LINE);
        assert_eq!(Record::parse_lines(&format!("{LINE}\n\n{LINE}\n")).unwrap(), [record.clone(), record]);
    }

    #[test]
    fn a_bad_line_is_named_and_spoils_the_batch() {
        for (from, to, says) in [
            ("ingest.7", "", "id: 1 to 256"),
            ("ingest.7", "a\\nb", "control"),
            ("acme", "A", "tenant"),
            ("23:59:00Z", "23:59:01Z", "no minute begins"),
            (r#"{"events_in":3,"bytes_in":1800}"#, "{}", "used: nothing"),
            ("events_in", "events", "unknown variant"),
            (r#""used""#, r#""uses":1,"used""#, "unknown field"),
        ] {
            let error = Record::parse_lines(&format!("{LINE}\n{}", LINE.replace(from, to))).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(says), "{error}");
        }
        let most = |quantity: u64| Record::parse_lines(&LINE.replace("1800", &quantity.to_string()));
        assert!(most(RECORD_QUANTITY_MAX).is_ok());
        assert!(most(RECORD_QUANTITY_MAX + 1).unwrap_err().to_string().contains("used.bytes_in"));
        let id = |bytes: usize| Record::parse_lines(&LINE.replace("ingest.7", &"x".repeat(bytes)));
        assert!(id(BATCH_ID_BYTES_MAX).is_ok() && id(BATCH_ID_BYTES_MAX + 1).is_err());
        assert!(id(RECORD_BYTES_MAX).unwrap_err().to_string().contains("2048 bytes"));
    }
}
