//! A bucket's records in memory, followed as they change: what is looked up for every batch.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Operation, Store};
use futures::StreamExt as _;
use parking_lot::RwLock;
use tokio::sync::{oneshot, watch};
use tracing::{error, warn};

use crate::kv::entries;

const REOPEN_WAIT: Duration = Duration::from_millis(250);

/// What a record says of whom.
pub trait Record: Clone + Send + Sync + 'static {
    /// Which keys are followed.
    const FILTER: &'static str;
    /// Whom the record is of; none for a key that is not ours.
    fn owner(key: &str) -> Option<&str>;
    fn parse(owner: &str, value: &[u8]) -> anyhow::Result<Self>;
}

/// A clone is a handle to the same.
#[derive(Debug)]
pub struct Followed<R>(Arc<Inner<R>>);

#[derive(Debug)]
struct Inner<R> {
    /// With the revision of their keys; none is there, and can't be read.
    records: RwLock<HashMap<String, (u64, Option<R>)>>,
    changed: watch::Sender<()>,
}

// === impl Followed ===

impl<R> Clone for Followed<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Record> Followed<R> {
    pub fn of(&self, owner: &str) -> Option<R> {
        self.at(owner).map(|(_, record)| record)
    }

    /// The record with the revision of its key.
    pub fn at(&self, owner: &str) -> Option<(u64, R)> {
        let records = self.0.records.read();
        records.get(owner).and_then(|(revision, record)| Some((*revision, record.clone()?)))
    }

    /// Whether there is a record, and nobody can say what it says.
    pub fn unreadable(&self, owner: &str) -> bool {
        let records = self.0.records.read();
        records.get(owner).is_some_and(|(_, record)| record.is_none())
    }

    /// Every record with whom it is of.
    pub fn all(&self) -> Vec<(String, R)> {
        let records = self.0.records.read();
        records.iter().filter_map(|(owner, (_, record))| Some((owner.clone(), record.clone()?))).collect()
    }

    /// Told whenever any of the records changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Reads the bucket once, and waits until that worked: nothing may be decided by a record that was not read yet.
    /// Goes on following in a task of its own, for as long as the process runs.
    pub async fn follow(bucket: Store) -> Self {
        let (ready, read) = oneshot::channel();
        let all = Self::empty();
        let followed = all.clone();
        tokio::spawn(async move {
            let mut ready = Some(ready);
            loop {
                if let Err(error) = followed.watch(&bucket, &mut ready).await {
                    warn!(bucket = bucket.name, error = format!("{error:#}"), "can't be followed, trying again");
                }
                tokio::time::sleep(REOPEN_WAIT).await;
            }
        });
        // The task holds the other end until it was used.
        let _ = read.await;
        all
    }

    async fn watch(&self, bucket: &Store, ready: &mut Option<oneshot::Sender<()>>) -> anyhow::Result<()> {
        // Before the bucket is read: what changes meanwhile is in the watch.
        let mut changes = bucket.watch(R::FILTER).await?;
        self.note_all(&entries(bucket, R::FILTER, None, usize::MAX).await?);
        if let Some(ready) = ready.take() {
            let _ = ready.send(());
        }
        while let Some(entry) = changes.next().await {
            self.note(&entry?);
        }
        anyhow::bail!("the watch ended")
    }

    /// All that is there. What is not was deleted while nobody watched.
    fn note_all(&self, entries: &[Entry]) {
        for entry in entries {
            self.note(entry);
        }
        let there: HashSet<&str> = entries.iter().filter_map(|entry| R::owner(&entry.key)).collect();
        let mut records = self.0.records.write();
        records.retain(|owner, _| there.contains(owner.as_str()));
        drop(records);
        self.0.changed.send_replace(());
    }

    fn note(&self, entry: &Entry) {
        let Some(owner) = R::owner(&entry.key) else {
            return;
        };
        let record = match entry.operation {
            Operation::Put => Some(R::parse(owner, &entry.value).map_err(|cause| {
                let Entry { bucket, key, revision, .. } = entry;
                error!(
                    bucket,
                    key,
                    revision,
                    error = format!("{cause:#}"),
                    "a record can't be read, and whose it is waits"
                );
            })),
            Operation::Delete | Operation::Purge => None,
        };
        let mut records = self.0.records.write();
        // What was read may be newer than what the watch still has to tell.
        if records.get(owner).is_none_or(|(revision, _)| *revision < entry.revision) {
            match record {
                None => drop(records.remove(owner)),
                Some(record) => drop(records.insert(owner.to_owned(), (entry.revision, record.ok()))),
            }
        }
        drop(records);
        self.0.changed.send_replace(());
    }

    fn empty() -> Self {
        Self(Arc::new(Inner { records: RwLock::default(), changed: watch::Sender::new(()) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Text(String);

    impl Record for Text {
        const FILTER: &'static str = "*";

        fn owner(key: &str) -> Option<&str> {
            Some(key)
        }

        fn parse(_: &str, value: &[u8]) -> anyhow::Result<Self> {
            Ok(Self(std::str::from_utf8(value)?.to_owned()))
        }
    }

    fn entry(key: &str, revision: u64, operation: Operation, value: &'static [u8]) -> Entry {
        Entry {
            bucket: "b".into(),
            key: key.into(),
            value: bytes::Bytes::from_static(value),
            revision,
            delta: 0,
            created: time::OffsetDateTime::UNIX_EPOCH,
            operation,
            seen_current: false,
        }
    }

    #[test]
    fn a_record_that_cannot_be_read_is_nobody_elses_trouble() {
        let followed = Followed::<Text>::empty();
        followed.note_all(&[entry("a", 1, Operation::Put, b"\xff"), entry("b", 2, Operation::Put, b"x")]);
        assert!(followed.unreadable("a") && !followed.unreadable("b") && !followed.unreadable("c"));
        assert_eq!((followed.of("a"), followed.of("b")), (None, Some(Text("x".into()))));
        followed.note(&entry("b", 3, Operation::Put, b"\xff"));
        assert!(followed.unreadable("b"), "what it said before does not count any more");
        followed.note(&entry("a", 4, Operation::Put, b"y"));
        assert_eq!(followed.at("a"), Some((4, Text("y".into()))));
    }

    #[test]
    fn what_was_deleted_while_nobody_watched_is_gone_when_it_is_read_again() {
        let followed = Followed::<Text>::empty();
        let there = [entry("a", 1, Operation::Put, b"x"), entry("b", 2, Operation::Put, b"y")];
        followed.note_all(&there);
        followed.note_all(&there[1..]);
        assert_eq!(followed.all(), [("b".to_owned(), Text("y".into()))]);
    }

    #[test]
    fn a_deletion_that_is_older_than_what_was_read_deletes_nothing() {
        let followed = Followed::<Text>::empty();
        followed.note(&entry("a", 6, Operation::Put, b"x"));
        followed.note(&entry("a", 5, Operation::Purge, b""));
        assert_eq!(followed.of("a"), Some(Text("x".into())));
        followed.note(&entry("a", 7, Operation::Purge, b""));
        assert_eq!(followed.of("a"), None);
    }
}
