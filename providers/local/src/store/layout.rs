//! How events lie in the engine: keys and values as bytes.
//!
//! The key of an event begins with the tenant's length and name, so no range of one tenant can reach into another's.
//! Numbers are big-endian, so that the order of bytes is the order of time.

use sha2::{Digest as _, Sha256};

/// The first 128 bits of SHA-256 over tenant, source and id. Nobody can make an event that collides with another
/// one, and what a read finds is compared with what was asked for all the same. As a key it is short enough (20 bytes)
/// to lie inside the engine's nodes instead of behind a pointer.
pub type Hash = [u8; 16];

const TIME: usize = 8;
const HASH: usize = 16;
/// A tenant's entry in a due: event time and hash.
const ENTRY: usize = TIME + HASH;

/// A tenant as the start of its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Vec<u8>);

/// Where an event lies: its time and what tells it from others of that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub time_us: i64,
    pub hash: Hash,
}

/// What the look-up row of an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub time_us: i64,
    /// When it goes, which also tells which put stored it last.
    pub due_us: u64,
    /// What brought it first.
    pub claim: u64,
}

/// Signed time so that bytes sort as numbers do.
fn ordered(time_us: i64) -> [u8; TIME] {
    (time_us.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn from_ordered(bytes: [u8; TIME]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)).cast_signed()
}

// === impl Prefix ===

impl Prefix {
    /// None for what can't be a tenant's name.
    pub fn new(tenant: &str) -> Option<Self> {
        if !er_event::keys::valid_tenant(tenant) {
            return None;
        }
        let mut prefix = vec![u8::try_from(tenant.len()).ok()?];
        prefix.extend_from_slice(tenant.as_bytes());
        Some(Self(prefix))
    }

    /// `tenant, time, hash`: the row that holds the event's text.
    pub fn event(&self, position: &Position) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.0.len() + ENTRY);
        key.extend_from_slice(&self.0);
        key.extend_from_slice(&position.bytes());
        key
    }

    /// Below every event of this time or later, above every earlier one.
    pub fn floor(&self, time_us: i64) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.0.len() + ENTRY);
        key.extend_from_slice(&self.0);
        key.extend_from_slice(&ordered(time_us));
        key
    }

    /// Above every event of the tenant, below those of the next.
    pub fn end(&self) -> Vec<u8> {
        let mut key = self.0.clone();
        key.resize(self.0.len() + ENTRY + 1, 0xff);
        key
    }

    /// What finds an event by its source and id.
    pub fn hash(&self, source: &str, id: &str) -> Hash {
        let digest = Sha256::new()
            .chain_update(&self.0)
            .chain_update((source.len() as u64).to_be_bytes())
            .chain_update(source)
            .chain_update(id)
            .finalize();
        let mut hash = [0; HASH];
        hash.copy_from_slice(&digest[..HASH]);
        hash
    }

    /// The position in a key that [`Prefix::event`] made.
    pub fn position(&self, key: &[u8]) -> Option<Position> {
        Position::read(key.strip_prefix(self.0.as_slice())?)
    }

    /// The value of a due: the tenant, then an entry for each event stored.
    pub fn due(&self, events: usize) -> Vec<u8> {
        let mut value = Vec::with_capacity(self.0.len() + events * ENTRY);
        value.extend_from_slice(&self.0);
        value
    }
}

// === impl Position ===

impl Position {
    pub fn bytes(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..TIME].copy_from_slice(&ordered(self.time_us));
        bytes[TIME..].copy_from_slice(&self.hash);
        bytes
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (time, hash) = bytes.split_first_chunk::<TIME>()?;
        Some(Self { time_us: from_ordered(*time), hash: hash.try_into().ok()? })
    }
}

// === impl Found ===

impl Found {
    pub fn bytes(&self) -> [u8; 3 * TIME] {
        let mut bytes = [0; 3 * TIME];
        bytes[..TIME].copy_from_slice(&ordered(self.time_us));
        bytes[TIME..2 * TIME].copy_from_slice(&self.due_us.to_be_bytes());
        bytes[2 * TIME..].copy_from_slice(&self.claim.to_be_bytes());
        bytes
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (time, rest) = bytes.split_first_chunk::<TIME>()?;
        let (due, claim) = rest.split_first_chunk::<TIME>()?;
        Some(Self {
            time_us: from_ordered(*time),
            due_us: u64::from_be_bytes(*due),
            claim: u64::from_be_bytes(claim.try_into().ok()?),
        })
    }
}

/// What [`Prefix::due`] began and entries filled.
pub fn read_due(value: &[u8]) -> Option<(Prefix, impl Iterator<Item = Position> + '_)> {
    let len = usize::from(*value.first()?) + 1;
    let (prefix, entries) = value.split_at_checked(len)?;
    let entries = entries.chunks_exact(ENTRY);
    if !entries.remainder().is_empty() {
        return None;
    }
    Some((Prefix(prefix.to_vec()), entries.filter_map(Position::read)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_tenant_then_time() {
        let (a, ab) = (Prefix::new("a").unwrap(), Prefix::new("a-b").unwrap());
        let at = |time_us| Position { time_us, hash: [7; 16] };
        let keys = [
            a.event(&at(i64::MIN)),
            a.event(&at(-1)),
            a.floor(0),
            a.event(&at(0)),
            a.event(&at(i64::MAX)),
            a.end(),
            ab.event(&at(i64::MIN)),
        ];
        assert!(keys.is_sorted());
        assert_eq!(a.position(&keys[1]), Some(at(-1)));
        assert_eq!(ab.position(&keys[1]), None);
    }

    #[test]
    fn borders_between_tenant_source_and_id_count() {
        let hash = |tenant, source, id| Prefix::new(tenant).unwrap().hash(source, id);
        let all = [
            hash("a", "a", "bc"),
            hash("a", "ab", "c"),
            hash("aa", "b", "c"),
            hash("a", "a\0", "b"),
            hash("a", "a", "\0b"),
        ];
        assert!((1..all.len()).all(|n| !all[..n].contains(&all[n])));
    }

    #[test]
    fn dues_read_back_and_cut_ones_are_refused() {
        let prefix = Prefix::new("acme").unwrap();
        let at = Position { time_us: -5, hash: [9; 16] };
        let mut value = prefix.due(1);
        value.extend_from_slice(&at.bytes());
        let (read, entries) = read_due(&value).unwrap();
        assert_eq!((read, entries.collect::<Vec<_>>()), (prefix, vec![at]));
        assert!(read_due(&value[..value.len() - 1]).is_none());
        assert!(read_due(&[]).is_none());
    }
}
