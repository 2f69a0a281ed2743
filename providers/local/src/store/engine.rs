//! The LSM engine (fjall) and its three keyspaces.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{
    AbstractTree as _, CompressionType, Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode,
    Readable as _, SeqNo, Slice, Snapshot,
};

use super::error::{Error, OpenError};
use super::layout::{Found, Hash, Position, Prefix};
use super::put::{Put, Row};

const MIB: u64 = 1 << 20;
const KIB: u32 = 1 << 10;
/// Rows in memory before they go to a table.
pub const EVENTS_MEMTABLE_BYTES: u64 = 8 * MIB;
const LOOKUP_MEMTABLE_BYTES: u64 = 8 * MIB;
const DUES_MEMTABLE_BYTES: u64 = 2 * MIB;
/// Full ones of a keyspace that wait for the disk. Then writes wait too.
const SEALED_MEMTABLES_MAX: usize = 2;
/// Tables that may wait for compaction. Then writes wait too; fjall itself would halt them at 30, without an end if
/// compaction is broken.
const LEVEL0_RUNS_MAX: usize = 24;
/// What a restart after a kill has to replay at most, about.
const JOURNAL_BYTES_MAX: u64 = 128 * MIB;
const FILES_OPEN_MAX: usize = 256;
/// For flushes; see [`super::compaction`].
const WORKERS: usize = 1;

/// A full memtable, whose type fjall keeps to itself.
pub type Sealed = Arc<dyn Send + Sync>;

/// Handles to the open store; cheap to clone. The store closes when the last is dropped.
#[derive(Clone)]
pub struct Engine {
    db: Database,
    /// `tenant, time, hash` to the event's text.
    pub events: Keyspace,
    /// `hash` to where the event lies.
    pub lookup: Keyspace,
    /// When a put's events go (microseconds, unique) to what it stored, for retention.
    pub dues: Keyspace,
}

// === impl Engine ===

impl Engine {
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
        std::fs::create_dir_all(&dir).map_err(|source| OpenError::Create { dir: dir.clone(), source })?;
        let unreadable = |reason: String| OpenError::Unreadable { dir: dir.clone(), reason };
        // In a thread of its own, since fjall panics over some kinds of damage.
        let path = dir.clone();
        let opened = std::thread::Builder::new()
            .name("er-store-open".into())
            .spawn(move || Self::open_fjall(&path, cache_bytes))
            .map_err(|e| unreadable(e.to_string()))?
            .join();
        match opened {
            Ok(Ok(engine)) => Ok(engine),
            Ok(Err(fjall::Error::Locked)) => Err(OpenError::Locked { dir: dir.clone() }),
            Ok(Err(error)) => Err(unreadable(error.to_string())),
            Err(_) => Err(unreadable("opening it panicked, see the log".into())),
        }
    }

    fn open_fjall(dir: &PathBuf, cache_bytes: u64) -> fjall::Result<Self> {
        let db = Database::builder(dir)
            .cache_size(cache_bytes)
            .max_cached_files(Some(FILES_OPEN_MAX))
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .journal_compression(CompressionType::None)
            .manual_journal_persist(true)
            .worker_threads(WORKERS)
            .open()?;
        // fjall remembers these for each keyspace: they count when it is created, and never again.
        let base = || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                // Never: it would ask for it with every write, in a queue that can fill up; see `make_room`.
                .max_memtable_size(u64::MAX)
                .compaction_strategy(super::compaction::only_moves())
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
        };
        let events = db.keyspace("events", || {
            base().data_block_size_policy(BlockSizePolicy::all(16 * KIB)).filter_policy(FilterPolicy::disabled())
        })?;
        let lookup = db.keyspace("lookup", base)?;
        let dues = db.keyspace("dues", || {
            base().data_block_size_policy(BlockSizePolicy::all(16 * KIB)).filter_policy(FilterPolicy::disabled())
        })?;
        Ok(Self { db, events, lookup, dues })
    }

    pub fn keyspaces(&self) -> [&Keyspace; 3] {
        [&self.events, &self.lookup, &self.dues]
    }

    /// A batch that nothing is synced for.
    pub fn batch(&self, rows: usize) -> OwnedWriteBatch {
        OwnedWriteBatch::with_capacity(self.db.clone(), rows).durability(None)
    }

    /// Writes the rows of a put that nobody else claimed first, all or none, and gives the places of the others.
    /// Durable with the next [`Engine::sync`]. There is one writer, so nobody claims between the look and the write.
    pub fn write(&self, put: Put, due_us: u64) -> Result<Vec<u32>, Error> {
        let snapshot = self.snapshot();
        let mut batch = self.batch(2 * put.rows.len() + 1);
        let mut due = put.prefix.due(put.rows.len());
        let mut known = put.repeated;
        for Row { hash, time_us, text, claim, place } in put.rows {
            if self.find(&snapshot, &hash)?.is_some_and(|found| found.claim != claim) {
                known.push(place);
                continue;
            }
            let position = Position { time_us, hash };
            let found = Found { time_us, due_us, claim };
            batch.insert(&self.events, put.prefix.event(&position), text);
            batch.insert(&self.lookup, hash, found.bytes());
            due.extend_from_slice(&position.bytes());
        }
        known.sort_unstable();
        batch.insert(&self.dues, due_us.to_be_bytes(), due);
        batch.commit()?;
        Ok(known)
    }

    /// The first moment from `due_us` on at which nothing else is due: the key of what is.
    pub fn free_due_us(&self, mut due_us: u64) -> Result<u64, Error> {
        while self.dues.contains_key(due_us.to_be_bytes())? {
            due_us += 1;
        }
        Ok(due_us)
    }

    /// Where the event of this hash lies.
    pub fn find(&self, snapshot: &Snapshot, hash: &Hash) -> Result<Option<Found>, Error> {
        snapshot
            .get(&self.lookup, hash)?
            .map(|value| Found::read(&value).ok_or(Error::Corrupt("a look-up")))
            .transpose()
    }

    /// The event's text.
    pub fn read(&self, prefix: &Prefix, hash: Hash) -> Result<Option<Slice>, Error> {
        let snapshot = self.db.snapshot();
        let Some(Found { time_us, .. }) = self.find(&snapshot, &hash)? else {
            return Ok(None);
        };
        Ok(snapshot.get(&self.events, prefix.event(&Position { time_us, hash }))?)
    }

    pub fn snapshot(&self) -> Snapshot {
        self.db.snapshot()
    }

    /// Makes everything written so far durable.
    pub fn sync(&self) -> Result<(), Error> {
        Ok(self.db.persist(PersistMode::SyncData)?)
    }

    /// Hands full memtables to the disk, and each of them to `sealed` as well: whoever lets go of one last frees its rows,
    /// which takes as long as hundreds of puts. False when there is no room for more: ask again in a moment. An error once
    /// the engine is broken, for then nobody makes room any more.
    pub fn make_room(&self, sealed: impl Fn(Sealed)) -> Result<bool, Error> {
        let memtables = [EVENTS_MEMTABLE_BYTES, LOOKUP_MEMTABLE_BYTES, DUES_MEMTABLE_BYTES];
        for (keyspace, memtable_bytes) in self.keyspaces().into_iter().zip(memtables) {
            let memtable = keyspace.tree.active_memtable();
            if memtable.size() < memtable_bytes {
                continue;
            }
            if keyspace.sealed_memtable_count() >= SEALED_MEMTABLES_MAX
                || keyspace.tree.l0_run_count() >= LEVEL0_RUNS_MAX
            {
                self.db.persist(PersistMode::Buffer)?;
                return Ok(false);
            }
            sealed(memtable);
            keyspace.rotate_memtable()?;
        }
        Ok(true)
    }

    /// What compaction must keep for reads under way.
    pub fn oldest_read(&self) -> SeqNo {
        self.db.supervisor.snapshot_tracker.get_seqno_safe_to_gc()
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.db.disk_space().unwrap_or_default()
    }
}

pub fn read_due_key(key: &[u8]) -> Result<u64, Error> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| Error::Corrupt("a due's key"))
}
