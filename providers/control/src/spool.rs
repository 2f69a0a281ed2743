//! Uploads on their way: a file each, which grows piece by piece. What is not finished within an hour is dropped.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use er_event::keys::valid_tenant;
use er_tenant::consumers::PIECE_BYTES_MAX;
use uuid::Uuid;

use crate::Error;

const UNFINISHED_MAX: usize = 4;
const KEPT: Duration = Duration::from_secs(3_600);

pub struct Spool {
    dir: PathBuf,
    bytes_max: u64,
}

// === impl Spool ===

impl Spool {
    pub fn new(dir: PathBuf, bytes_max: u64) -> Self {
        Self { dir, bytes_max }
    }

    /// The id tells how many bytes will come.
    pub fn begin(&self, tenant: &str, bytes: u64) -> Result<String, Error> {
        if bytes == 0 || bytes > self.bytes_max {
            let max_mib = self.bytes_max >> 20;
            return Err(Error::Invalid(format!(
                "a component has from 1 byte to {max_mib} MiB, and this one has {bytes} bytes"
            )));
        }
        let dir = self.of(tenant)?;
        fs::create_dir_all(&dir).map_err(|e| Error::disk("the folder for uploads", &e))?;
        if self.unfinished(&dir) >= UNFINISHED_MAX {
            return Err(Error::Exhausted(format!(
                "{UNFINISHED_MAX} uploads are on their way already: finish one, or wait"
            )));
        }
        let id = format!("{}-{bytes}", Uuid::now_v7().simple());
        File::create_new(dir.join(&id)).map_err(|e| Error::disk("an upload's file", &e))?;
        Ok(id)
    }

    /// Pieces come in order; one that is there already is written again.
    pub fn piece(&self, tenant: &str, id: &str, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let (path, whole) = self.find(tenant, id)?;
        if bytes.len() > PIECE_BYTES_MAX {
            return Err(Error::Invalid(format!("a piece has at most {PIECE_BYTES_MAX} bytes")));
        }
        let file = File::options().write(true).open(&path).map_err(|_| Self::unknown(id))?;
        let there = file.metadata().map_err(|e| Error::disk("an upload's file", &e))?.len();
        if offset > there {
            return Err(Error::Conflict(format!("the next piece begins at {there}, not at {offset}")));
        }
        if offset.saturating_add(bytes.len() as u64) > whole {
            return Err(Error::Invalid(format!("the piece ends after the {whole} bytes that were announced")));
        }
        file.write_all_at(bytes, offset).map_err(|e| Error::disk("writing a piece", &e))
    }

    /// What was uploaded, whole.
    pub fn read(&self, tenant: &str, id: &str) -> Result<Vec<u8>, Error> {
        let (path, whole) = self.find(tenant, id)?;
        let bytes = fs::read(path).map_err(|_| Self::unknown(id))?;
        if bytes.len() as u64 != whole {
            return Err(Error::Invalid(format!("only {} of {whole} bytes of the upload came", bytes.len())));
        }
        Ok(bytes)
    }

    pub fn drop(&self, tenant: &str, id: &str) {
        if let Ok((path, _)) = self.find(tenant, id) {
            // What stays is dropped within the hour.
            let _ = fs::remove_file(path);
        }
    }

    fn unknown(id: &str) -> Error {
        Error::NotFound(format!("there is no upload `{id}`, or no more: begin again"))
    }

    fn of(&self, tenant: &str) -> Result<PathBuf, Error> {
        if valid_tenant(tenant) {
            Ok(self.dir.join(tenant))
        } else {
            Err(Error::Invalid("not a tenant".into()))
        }
    }

    fn find(&self, tenant: &str, id: &str) -> Result<(PathBuf, u64), Error> {
        let parts =
            id.split_once('-').filter(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit()));
        let bytes: Option<u64> =
            parts.and_then(|(_, bytes)| bytes.parse().ok()).filter(|bytes| *bytes <= self.bytes_max);
        match bytes {
            // Nothing of it can lead out of the folder.
            Some(bytes) if !id.contains('/') => Ok((self.of(tenant)?.join(id), bytes)),
            _ => Err(Self::unknown(id)),
        }
    }

    /// Drops what was not finished within the hour, of all tenants: one that does not come back drops nothing itself.
    pub fn sweep(&self) {
        for tenant in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            self.unfinished(&tenant.path());
        }
    }

    /// How many uploads of a tenant are on their way. Those that are too old are dropped.
    fn unfinished(&self, dir: &Path) -> usize {
        let mut left = 0;
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > KEPT) {
                let _ = fs::remove_file(entry.path());
            } else {
                left += 1;
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn pieces_make_the_whole_and_one_that_comes_again_does_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().into(), 10);
        let id = spool.begin("acme", 6).unwrap();
        spool.piece("acme", &id, 0, b"abc").unwrap();
        assert!(matches!(spool.read("acme", &id), Err(Error::Invalid(_))), "half of it");
        assert!(matches!(spool.piece("acme", &id, 4, b"x"), Err(Error::Conflict(_))), "a hole");
        spool.piece("acme", &id, 3, b"def").unwrap();
        spool.piece("acme", &id, 0, b"abc").unwrap();
        assert_eq!(spool.read("acme", &id).unwrap(), b"abcdef");
        assert!(matches!(spool.piece("acme", &id, 3, b"defg"), Err(Error::Invalid(_))), "too much");
        assert!(matches!(spool.read("globex", &id), Err(Error::NotFound(_))), "another tenant's");
        spool.drop("acme", &id);
        assert!(matches!(spool.read("acme", &id), Err(Error::NotFound(_))));
    }

    #[test]
    fn sizes_numbers_and_names_are_limited() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().into(), 10);
        assert!(spool.begin("acme", 0).is_err() && spool.begin("acme", 11).is_err());
        for _ in 0..UNFINISHED_MAX {
            spool.begin("acme", 10).unwrap();
        }
        assert!(matches!(spool.begin("acme", 10), Err(Error::Exhausted(_))));
        assert!(spool.begin("globex", 10).is_ok());
        for id in ["", "-1", "a", "a-x", "../b-1", "a-1/../../x", "a-999"] {
            assert!(matches!(spool.read("acme", id), Err(Error::NotFound(_))), "{id}");
        }
        assert!(spool.begin("../acme", 1).is_err());
        let id = spool.begin("initech", 10).unwrap();
        assert!(spool.piece("initech", &id, 0, &vec![0; PIECE_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn what_nobody_finished_within_the_hour_is_dropped_whosever_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::new(dir.path().join("uploads"), 10);
        // Before there was any.
        spool.sweep();
        let [old, new, others] = ["acme", "acme", "globex"].map(|tenant| spool.begin(tenant, 1).unwrap());
        for (tenant, id) in [("acme", &old), ("globex", &others)] {
            let (path, _) = spool.find(tenant, id).unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - KEPT * 2).unwrap();
        }
        spool.sweep();
        let is_there = |tenant: &str, id: &str| spool.piece(tenant, id, 0, b"x").is_ok();
        assert!(!is_there("acme", &old) && !is_there("globex", &others));
        assert!(is_there("acme", &new));
    }
}
