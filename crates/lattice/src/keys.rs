//! Key files: made on first use, readable by their owner only, kept so that identities last.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nkeys::{KeyPair, KeyPairType};

pub fn load_or_create(path: &Path, kind: KeyPairType) -> anyhow::Result<KeyPair> {
    match fs::read_to_string(path) {
        Ok(seed) => {
            let key =
                KeyPair::from_seed(seed.trim()).with_context(|| format!("{} holds no key seed", path.display()))?;
            anyhow::ensure!(key.key_pair_type() == kind, "{} holds a key of another kind", path.display());
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, kind),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

fn create(path: &Path, kind: KeyPairType) -> anyhow::Result<KeyPair> {
    let key = KeyPair::new(kind);
    let seed = key.seed().context("can't encode a new key")?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(dir).with_context(|| format!("can't create {}", dir.display()))?;
    write(dir, path, &seed).with_context(|| format!("can't write {}", path.display()))?;
    Ok(key)
}

/// Whole or not at all, and durable: a file that is there and empty is a key that nobody can use, nor make anew.
fn write(dir: &Path, path: &Path, seed: &str) -> io::Result<()> {
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    writeln!(file, "{seed}")?;
    file.sync_all()?;
    // A link and not another name: never over a key that somebody else made meanwhile, and has in use.
    let linked = fs::hard_link(&part, path);
    fs::remove_file(&part)?;
    linked?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_private_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/host.nk");
        let first = load_or_create(&path, KeyPairType::Server).unwrap();
        let second = load_or_create(&path, KeyPairType::Server).unwrap();
        assert_eq!(first.public_key(), second.public_key());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_is_never_written_over_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("host.nk");
        let key = load_or_create(&path, KeyPairType::Server).unwrap();
        let error = write(dir.path(), &path, "another").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(load_or_create(&path, KeyPairType::Server).unwrap().public_key(), key.public_key());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.nk");
        load_or_create(&path, KeyPairType::Account).unwrap();
        assert!(load_or_create(&path, KeyPairType::Server).is_err());
    }
}
