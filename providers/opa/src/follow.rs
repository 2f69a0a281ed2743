//! What counts, followed: the record of the versions that count, and the tenants.
//!
//! By asking, not by a watch: each answer is proof that nothing was missed until then, which is what the limit on stale
//! data is about.

use std::collections::BTreeMap;

use anyhow::{bail, Context as _};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{self, stream::LastRawMessageErrorKind, ErrorCode};
use er_tenant::TenantRecord;
use time::OffsetDateTime;
use tracing::warn;

use crate::data::Tenant;

/// The tenants' records, as far as they were read.
#[derive(Debug)]
pub struct Tenants {
    bucket: String,
    records: BTreeMap<String, Tenant>,
    read_to: u64,
    /// A bucket that was removed and made again counts its messages anew.
    created: Option<OffsetDateTime>,
    /// Whether the policy does not know of all that was read yet.
    pending: bool,
}

// === impl Tenants ===

impl Tenants {
    pub fn of(bucket: String) -> Self {
        Self { bucket, records: BTreeMap::new(), read_to: 0, created: None, pending: false }
    }

    pub fn records(&self) -> &BTreeMap<String, Tenant> {
        &self.records
    }

    /// Whether there are changes that were not [settled](Self::settle): those of a round that was given up, too.
    pub fn pending(&self) -> bool {
        self.pending
    }

    /// What was read is what the policy knows.
    pub fn settle(&mut self) {
        self.pending = false;
    }

    /// Reads what is new. While there is no bucket there are no tenants: it is made with the platform, which the policy
    /// must let start before.
    pub async fn read(&mut self, js: &jetstream::Context) -> anyhow::Result<()> {
        let name = format!("KV_{}", self.bucket);
        let stream = match js.get_stream(&name).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    if self.created.is_some() {
                        warn!(bucket = self.bucket, "the tenants' bucket is gone: there are no tenants");
                        *self = Self { pending: true, ..Self::of(std::mem::take(&mut self.bucket)) };
                    }
                    return Ok(());
                }
                _ => return Err(error).with_context(|| format!("the bucket {}", self.bucket)),
            },
        };
        let info = stream.cached_info();
        if self.created != Some(info.created) || info.state.last_sequence < self.read_to {
            let bucket = std::mem::take(&mut self.bucket);
            *self = Self { created: Some(info.created), pending: true, ..Self::of(bucket) };
        }
        let prefix = format!("$KV.{}.", self.bucket);
        while self.read_to < info.state.last_sequence {
            let next = stream.get_first_raw_message_by_subject(format!("{prefix}>"), self.read_to + 1).await;
            let message = match next {
                Ok(message) => message,
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                    // It says so of whatever it can't read, too: tenants that are not read would be none.
                    let last = stream.get_last_raw_message_by_subject(&format!("{prefix}>")).await;
                    match last {
                        Ok(last) if last.sequence > self.read_to => bail!("record {} can't be read", last.sequence),
                        Err(error) if error.kind() != LastRawMessageErrorKind::NoMessageFound => {
                            return Err(error).context("reading tenants")
                        }
                        Err(_) if info.state.messages > 0 => bail!("a record behind {} can't be read", self.read_to),
                        // All that stood there was removed.
                        _ => self.read_to = info.state.last_sequence,
                    }
                    break;
                }
                Err(error) => return Err(error).context("reading tenants"),
            };
            self.read_to = message.sequence;
            if let Some(id) = message.subject.strip_prefix(&prefix) {
                let gone = message.headers.get("KV-Operation").is_some();
                self.pending |= self.note(id, (!gone).then_some(&message.payload));
            }
        }
        Ok(())
    }

    fn note(&mut self, id: &str, record: Option<&[u8]>) -> bool {
        let tenant = match record.map(serde_json::from_slice::<TenantRecord>) {
            Some(Ok(record)) if record.id == id => Tenant { suspended: record.suspended },
            None => return self.records.remove(id).is_some(),
            // Who that is and whether they may is not known: nothing may be done in their name.
            Some(broken) => {
                let error = broken.err().map_or_else(|| "its id is another".into(), |e| e.to_string());
                warn!(tenant = id, error, "a tenant's record can't be read: taken as suspended");
                Tenant { suspended: true }
            }
        };
        self.records.insert(id.to_owned(), tenant) != Some(tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_cannot_be_read_is_of_a_suspended_tenant() {
        let mut tenants = Tenants::of("T".into());
        assert!(tenants.note("acme", Some(br#"{"id":"acme"}"#)));
        assert!(!tenants.note("acme", Some(br#"{"id":"acme"}"#)), "nothing changed");
        assert_eq!(tenants.records()["acme"], Tenant { suspended: false });
        for broken in [&b"{"[..], b"{}", br#"{"id":"globex"}"#, br#"{"id":"acme","suspended":"no"}"#] {
            tenants.note("acme", Some(br#"{"id":"acme"}"#));
            assert!(tenants.note("acme", Some(broken)));
            assert_eq!(tenants.records()["acme"], Tenant { suspended: true });
        }
        assert!(tenants.note("acme", None));
        assert!(tenants.records().is_empty());
    }
}
