//! Key files: made on first use, readable by their owner only, kept so that identities last.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use nkeys::{KeyPair, KeyPairType};

pub fn load_or_create(path: &Path, kind: KeyPairType) -> anyhow::Result<KeyPair> {
    match std::fs::read_to_string(path) {
        Ok(seed) => {
            let key =
                KeyPair::from_seed(seed.trim()).with_context(|| format!("{} holds no key seed", path.display()))?;
            anyhow::ensure!(key.key_pair_type() == kind, "{} holds a key of another kind", path.display());
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path, kind),
        Err(error) => Err(error).with_context(|| format!("can't read {}", path.display())),
    }
}

fn create(path: &Path, kind: KeyPairType) -> anyhow::Result<KeyPair> {
    let key = KeyPair::new(kind);
    let seed = key.seed().context("can't encode a new key")?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("can't create {}", parent.display()))?;
    }
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{seed}"))
        .with_context(|| format!("can't write {}", path.display()))?;
    Ok(key)
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
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.nk");
        load_or_create(&path, KeyPairType::Account).unwrap();
        assert!(load_or_create(&path, KeyPairType::Server).is_err());
    }
}
