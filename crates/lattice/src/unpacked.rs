//! What a host unpacks goes to disk soon, one file after the other.
//!
//! wasmCloud writes the executables of its providers (140 MiB for the platform's) and never syncs them. So the kernel writes
//! them half a minute later, all at once, and whoever syncs on the machine meanwhile waits: all events for 70 to 80 ms.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::fs;

/// A small part of the 30 s that Linux waits before it writes (`vm.dirty_expire_centisecs`).
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Where `wasmcloud_core::par` unpacks, in the directory for temporary files.
const CACHE: &str = "wasmcloudcache";

/// When a file that is on disk was written last.
#[derive(Default)]
struct Synced(HashMap<PathBuf, SystemTime>);

/// Syncs what the host with this id unpacks, for ever.
pub async fn sync(host_id: &str) -> Infallible {
    let dir = std::env::temp_dir().join(CACHE).join(host_id);
    let mut synced = Synced::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = synced.look(&dir).await {
            tracing::debug!(%error, dir = %dir.display(), "what was unpacked may not be on disk");
        }
    }
}

// === impl Synced ===

impl Synced {
    /// Syncs what is new in the directory or was written since. Gives how many files these are.
    async fn look(&mut self, dir: &Path) -> io::Result<usize> {
        let mut entries = match fs::read_dir(dir).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut count = 0;
        while let Some(entry) = entries.next_entry().await? {
            let path = entry.path();
            let written = entry.metadata().await?.modified()?;
            if self.0.get(&path) != Some(&written) {
                fs::File::open(&path).await?.sync_data().await?;
                self.0.insert(path, written);
                count += 1;
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_file_is_synced_once_after_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("cache");
        let mut synced = Synced::default();
        assert_eq!(synced.look(&cache).await.unwrap(), 0);
        std::fs::create_dir(&cache).unwrap();
        for name in ["one", "two"] {
            std::fs::write(cache.join(name), name).unwrap();
        }
        assert_eq!(synced.look(&cache).await.unwrap(), 2);
        assert_eq!(synced.look(&cache).await.unwrap(), 0);
        let later = SystemTime::now() + Duration::from_secs(1);
        std::fs::File::options().write(true).open(cache.join("two")).unwrap().set_modified(later).unwrap();
        assert_eq!(synced.look(&cache).await.unwrap(), 1);
    }
}
