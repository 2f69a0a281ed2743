//! Components that were accepted, under names that follow from their content: hosts keep what they loaded from a path.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::Error;

/// So long what nobody names stays: its record may be about to be written.
const UNNAMED_KEPT: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone)]
pub struct Images {
    dir: PathBuf,
}

// === impl Images ===

impl Images {
    /// # Errors
    /// When the folder can't be made.
    pub fn open(dir: PathBuf) -> Result<Self, Error> {
        let disk = |e| Error::disk("the folder for components", &e);
        fs::create_dir_all(&dir).map_err(disk)?;
        Ok(Self { dir: dir.canonicalize().map_err(disk)? })
    }

    pub fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}.wasm"))
    }

    pub fn has(&self, digest: &str) -> bool {
        self.path(digest).exists()
    }

    /// Returns the digest.
    pub fn keep(&self, component: &[u8]) -> Result<String, Error> {
        let mut digest = String::new();
        for byte in Sha256::digest(component) {
            digest.push_str(&format!("{byte:02x}"));
        }
        let path = self.path(&digest);
        // What is there may be half of it, since a machine that lost its power.
        let kept = if fs::read(&path).is_ok_and(|kept| kept == component) {
            // As new: nobody may name it yet.
            File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()))
        } else {
            self.write(&path, component)
        };
        kept.map_err(|e| Error::disk("keeping a component", &e))?;
        Ok(digest)
    }

    /// Whole or not at all, since a host may look while it is written, and durable: who uploaded it is told that it is kept.
    fn write(&self, path: &Path, component: &[u8]) -> io::Result<()> {
        let part = self.dir.join(format!("{}.part", uuid::Uuid::now_v7().simple()));
        let mut file = File::create(&part)?;
        file.write_all(component)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        File::open(&self.dir)?.sync_all()
    }

    pub fn read(&self, digest: &str) -> Result<Vec<u8>, Error> {
        fs::read(self.path(digest)).map_err(|e| Error::disk("a component that was kept", &e))
    }

    /// Removes what no record names.
    pub fn sweep(&self, named: &BTreeSet<String>) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let digest = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            if !named.contains(digest) && age.is_some_and(|age| age > UNNAMED_KEPT) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_twice_is_there_once_and_stays_while_it_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let images = Images::open(dir.path().join("deep/er")).unwrap();
        let digest = images.keep(b"component").unwrap();
        assert_eq!(images.keep(b"component").unwrap(), digest);
        assert_eq!(images.read(&digest).unwrap(), b"component");
        assert!(images.path(&digest).is_absolute());
        images.sweep(&BTreeSet::new());
        assert!(images.has(&digest));
        let hours_ago = SystemTime::now() - UNNAMED_KEPT * 2;
        File::options().write(true).open(images.path(&digest)).unwrap().set_modified(hours_ago).unwrap();
        images.sweep(&BTreeSet::from([digest.clone()]));
        assert!(images.has(&digest));
        images.keep(b"component").unwrap();
        images.sweep(&BTreeSet::new());
        assert!(images.has(&digest));
        fs::write(images.path(&digest), b"comp").unwrap();
        images.keep(b"component").unwrap();
        assert_eq!(images.read(&digest).unwrap(), b"component");
        File::options().write(true).open(images.path(&digest)).unwrap().set_modified(hours_ago).unwrap();
        images.sweep(&BTreeSet::new());
        assert!(!images.has(&digest));
    }
}
