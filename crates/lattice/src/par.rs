//! `par`: packs a provider's binary into a signed archive, with keys that stay the same.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use nkeys::KeyPairType;
use provider_archive::ProviderArchive;

use crate::keys;

const VENDOR: &str = "eventrunner";

#[derive(clap::Args)]
pub struct ParArgs {
    /// Provider name, e.g. er-provider-ingest
    #[arg(long)]
    name: String,

    /// The provider's executable
    #[arg(long)]
    binary: PathBuf,

    /// Archive to write; its name must end in .par.gz
    #[arg(long)]
    out: PathBuf,

    /// Version in the archive's claims
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    par_version: String,

    /// Directory for the signing keys [default: $ER_CACHE/keys, ~/.cache/eventrunner/keys]
    #[arg(long)]
    keys: Option<PathBuf>,
}

pub fn run(args: &ParArgs) -> anyhow::Result<ExitCode> {
    let file_name = args
        .out
        .file_name()
        .and_then(|name| name.to_str())
        .filter(|name| name.ends_with(".par.gz"))
        .context("--out must name a file that ends in .par.gz")?;
    if is_current(&args.binary, &args.out)? {
        return Ok(ExitCode::SUCCESS);
    }
    let keys_dir = args.keys.clone().map_or_else(default_keys_dir, Ok)?;
    let issuer = keys::load_or_create(&keys_dir.join("account.nk"), KeyPairType::Account)?;
    let subject_path = keys_dir.join(format!("provider-{}.nk", args.name));
    let subject = keys::load_or_create(&subject_path, KeyPairType::Service)?;
    let binary = std::fs::read(&args.binary).with_context(|| format!("can't read {}", args.binary.display()))?;

    let mut archive = ProviderArchive::new(&args.name, VENDOR, None, Some(args.par_version.clone()));
    archive.add_library(&native_target(), &binary).map_err(anyhow::Error::from_boxed)?;
    if let Some(parent) = args.out.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("can't create {}", parent.display()))?;
    }
    // Written beside and moved into place: a host that reads it sees the old or the new one whole.
    let unfinished = args.out.with_file_name(format!(".new-{file_name}"));
    tokio::runtime::Builder::new_current_thread()
        .build()
        .context("can't start the runtime")?
        .block_on(archive.write(&unfinished, &issuer, &subject, true))
        .map_err(anyhow::Error::from_boxed)
        .with_context(|| format!("can't write {}", unfinished.display()))?;
    std::fs::rename(&unfinished, &args.out).with_context(|| format!("can't write {}", args.out.display()))?;
    println!("{} ({})", args.out.display(), subject.public_key());
    Ok(ExitCode::SUCCESS)
}

fn native_target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

fn default_keys_dir() -> anyhow::Result<PathBuf> {
    let cache = match std::env::var_os("ER_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => {
            Path::new(&std::env::var_os("HOME").context("HOME is not set; pass --keys")?).join(".cache/eventrunner")
        }
    };
    Ok(cache.join("keys"))
}

fn is_current(binary: &Path, archive: &Path) -> anyhow::Result<bool> {
    let built = modified(binary)?;
    Ok(archive.exists() && modified(archive)? >= built)
}

fn modified(path: &Path) -> anyhow::Result<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).with_context(|| format!("can't read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(dir: &Path) -> ParArgs {
        ParArgs {
            name: "er-provider-test".into(),
            binary: dir.join("binary"),
            out: dir.join("build/er-provider-test.par.gz"),
            par_version: "0.1.0".into(),
            keys: Some(dir.join("keys")),
        }
    }

    async fn claims(path: &Path) -> (String, String) {
        let archive = ProviderArchive::try_load_file(path).await.unwrap();
        let claims = archive.claims().unwrap();
        assert_eq!(archive.target_bytes(&native_target()).unwrap(), b"program");
        (claims.issuer, claims.subject)
    }

    #[tokio::test]
    async fn a_rebuilt_archive_keeps_its_identity() {
        let dir = tempfile::tempdir().unwrap();
        let args = args(dir.path());
        std::fs::write(&args.binary, "program").unwrap();
        let build = || {
            let args = self::args(dir.path());
            std::thread::spawn(move || run(&args).unwrap()).join().unwrap()
        };
        build();
        let first = claims(&args.out).await;
        std::fs::remove_file(&args.out).unwrap();
        build();
        assert_eq!(claims(&args.out).await, first);
    }

    #[test]
    fn an_archive_newer_than_its_binary_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let args = args(dir.path());
        std::fs::create_dir(dir.path().join("build")).unwrap();
        std::fs::write(&args.binary, "program").unwrap();
        std::fs::write(&args.out, "already there").unwrap();
        run(&args).unwrap();
        assert_eq!(std::fs::read(&args.out).unwrap(), b"already there");
    }

    #[test]
    fn a_missing_binary_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = format!("{:#}", run(&args(dir.path())).unwrap_err());
        assert!(error.contains("binary"), "{error}");
    }
}
