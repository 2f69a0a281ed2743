//! What is inserted at once.

use std::collections::btree_map::Entry;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use er_metering::{Meter, Record, Time};
use sha2::{Digest as _, Sha256};

use crate::engine::Statement;
use crate::error::Error;

/// Where each meter stands in `tenant_usage`, in the order of [`Meter::ALL`].
pub const COLUMNS: [(Meter, &str); Meter::COUNT] = [
    (Meter::EventsIn, "events_in"),
    (Meter::EventsOut, "events_out"),
    (Meter::BytesIn, "network_ingress"),
    (Meter::BytesOut, "network_egress"),
    (Meter::RuleEvaluations, "rule_evaluations"),
    (Meter::Deliveries, "deliveries"),
    (Meter::ConsumerUs, "cpu_usage"),
    (Meter::MemoryMibUs, "memory_usage"),
];
/// `DateTime` counts seconds in 32 bits.
const MINUTE_MAX_S: u32 = u32::MAX / 60 * 60;
/// A guess at a row in RowBinary, to begin with.
const ROW_BYTES: usize = 112;

/// A record as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    key: Key,
    used: [u64; Meter::COUNT],
}

/// As the table is ordered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    tenant: String,
    minute_s: u32,
    id: String,
}

/// Rows without repetitions, in the table's order: the same rows are the same bytes, whoever brought them in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block(BTreeMap<Key, [u64; Meter::COUNT]>);

// === impl Row ===

impl Row {
    /// Reads the lines of a call.
    pub fn parse_lines(text: &str) -> Result<Vec<Self>, Error> {
        let records = Record::parse_lines(text).map_err(|error| Error::Invalid(error.to_string()))?;
        records.into_iter().map(Self::new).collect()
    }

    fn new(record: Record) -> Result<Self, Error> {
        let minute_s = seconds(record.minute).filter(|minute| *minute <= MINUTE_MAX_S).ok_or_else(|| {
            let (id, minute) = (&record.id, record.minute);
            Error::Invalid(format!(
                "record {id}: its minute is {minute}, and the analytics know times before 2106-02-07"
            ))
        })?;
        let used = COLUMNS.map(|(meter, _)| record.used.get(meter));
        Ok(Self { key: Key { tenant: record.tenant, minute_s, id: record.id }, used })
    }
}

/// As `DateTime` counts; none beyond what it can.
pub fn seconds(time: Time) -> Option<u32> {
    u32::try_from(time.us() / 1_000_000).ok()
}

// === impl Block ===

impl Block {
    /// Of two rows of one key the smaller counts, column by column, as in the table.
    pub fn add(&mut self, row: Row) {
        match self.0.entry(row.key) {
            Entry::Vacant(entry) => {
                entry.insert(row.used);
            }
            Entry::Occupied(mut entry) => {
                for (one, other) in entry.get_mut().iter_mut().zip(row.used) {
                    *one = (*one).min(other);
                }
            }
        }
    }

    pub fn rows(&self) -> usize {
        self.0.len()
    }

    /// The insert, which is known again by its token: a hash of what it says.
    pub fn insert(&self) -> Statement {
        let rows = self.row_binary();
        let token = Sha256::digest(&rows).iter().fold(String::new(), |mut token, byte| {
            let _ = write!(token, "{byte:02x}");
            token
        });
        let columns = COLUMNS.map(|(_, column)| column).join(", ");
        // Everything that makes the answer mean «on the disk», and the token one for all blocks that become of it, is
        // said here: a server's defaults are its own (async_insert is on in some).
        let sql = format!(
            "INSERT INTO tenant_usage (tenant_id, timestamp, id, {columns}) SETTINGS async_insert = 0, \
             insert_deduplicate = 1, insert_deduplication_token = '{token}', \
             deduplicate_blocks_in_dependent_materialized_views = 1"
        );
        Statement { rows: Some(rows), ..Statement::new(sql) }
    }

    fn row_binary(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.rows() * ROW_BYTES);
        for (key, used) in &self.0 {
            string(&mut bytes, &key.tenant);
            bytes.put_u32_le(key.minute_s);
            string(&mut bytes, &key.id);
            used.iter().for_each(|quantity| bytes.put_u64_le(*quantity));
        }
        bytes.freeze()
    }
}

impl FromIterator<Row> for Block {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        let mut block = Self::default();
        rows.into_iter().for_each(|row| block.add(row));
        block
    }
}

/// A length in LEB128, then the bytes.
fn string(bytes: &mut BytesMut, text: &str) {
    let mut length = text.len();
    while length >= 0x80 {
        bytes.put_u8((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.put_u8(length as u8);
    bytes.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, used: &str) -> String {
        format!(r#"{{"id":"{id}","tenant":"acme","minute":"2026-04-01T09:00:00Z","used":{{{used}}}}}"#)
    }

    fn block(lines: &[String]) -> Block {
        Row::parse_lines(&lines.join("\n")).unwrap().into_iter().collect()
    }

    #[test]
    fn columns_are_in_the_order_of_meters() {
        assert_eq!(COLUMNS.map(|(meter, _)| meter), Meter::ALL);
    }

    #[test]
    fn the_same_records_are_the_same_insert() {
        let (a, b) = (line("a", r#""events_in":7,"bytes_in":300"#), line("b", r#""deliveries":1"#));
        let one = block(&[a.clone(), b.clone()]).insert();
        let other = block(&[b.clone(), a.clone(), b]).insert();
        assert_eq!((&one.sql, &one.rows), (&other.sql, &other.rows));
        assert_ne!(one.sql, block(&[a]).insert().sql, "the token tells them apart");
    }

    #[test]
    fn of_two_records_of_a_key_the_smaller_counts_by_column() {
        let both = [line("a", r#""events_in":7,"bytes_in":300"#), line("a", r#""events_in":9,"bytes_in":200"#)];
        assert_eq!(block(&both), block(&[line("a", r#""events_in":7,"bytes_in":200"#)]));
    }

    #[test]
    fn a_row_is_laid_out_as_the_engine_reads_it() {
        let rows = block(&[line(&"x".repeat(200), r#""events_in":258"#)]).insert().rows.unwrap();
        assert_eq!(&rows[..5], b"\x04acme");
        assert_eq!(u32::from_le_bytes(rows[5..9].try_into().unwrap()), 1_775_034_000);
        assert_eq!(&rows[9..11], [0xc8, 0x01]);
        assert_eq!(rows.len(), 11 + 200 + 64);
        assert_eq!(&rows[211..219], 258u64.to_le_bytes());
    }

    #[test]
    fn a_minute_beyond_the_tables_reach_is_refused() {
        let of =
            |minute: &str| Row::parse_lines(&line("a", r#""events_in":1"#).replace("2026-04-01T09:00:00Z", minute));
        assert!(of("2106-02-07T06:28:00Z").is_ok());
        assert!(of("2106-02-07T06:29:00Z").unwrap_err().to_string().contains("2106"));
    }
}
