//! A bundle as `opa build --target wasm` makes it: a tar.gz of `policy.wasm`, `data.json` and `.manifest`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, Limits};

const REVISION_CHARS: usize = 12;
/// What an archive may have beside its files.
const HEADERS_BYTES_MAX: usize = 1 << 20;

/// What a bundle holds. Whether it can be used is not known before it is compiled.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub(crate) wasm: Vec<u8>,
    pub data: Value,
    /// The entry point that answers, as `.manifest` names it.
    pub entrypoint: String,
    /// A hash of the policy and the data: two bundles with one revision are the same.
    pub revision: Arc<str>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    wasm: Vec<WasmModule>,
}

#[derive(Deserialize)]
struct WasmModule {
    entrypoint: String,
    module: String,
}

// === impl Bundle ===

impl Bundle {
    /// # Errors
    /// [`Error::Bundle`] and [`Error::TooLarge`]
    pub fn read(packed: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut files = unpack(packed, limits.bundle_bytes_max)?;
        let file = |name: &str| Error::Bundle(format!("it has no {name}"));
        let manifest: Manifest = files
            .get(".manifest")
            .ok_or_else(|| file(".manifest"))
            .and_then(|text| serde_json::from_slice(text).map_err(|e| Error::Bundle(format!(".manifest: {e}"))))?;
        let Some([module]) = manifest.wasm.first_chunk::<1>().filter(|_| manifest.wasm.len() == 1) else {
            return Err(Error::Bundle(format!("it has {} entry points, and one is needed", manifest.wasm.len())));
        };
        let data = match files.get("data.json") {
            Some(text) => serde_json::from_slice(text).map_err(|e| Error::Bundle(format!("data.json: {e}")))?,
            None => Value::Object(serde_json::Map::new()),
        };
        if !data.is_object() {
            return Err(Error::Bundle("data.json is not an object".into()));
        }
        let path = module.module.trim_start_matches('/');
        let wasm = files.remove(path).ok_or_else(|| file(path))?;
        let mut hash = Sha256::new();
        for part in [module.entrypoint.as_bytes(), &wasm, data.to_string().as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Ok(Self { wasm, data, entrypoint: module.entrypoint.clone(), revision: short(hash) })
    }
}

fn unpack(packed: &[u8], bytes_max: usize) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let broken = |e: std::io::Error| Error::Bundle(e.to_string());
    let mut archive = tar::Archive::new(GzDecoder::new(packed).take((bytes_max + HEADERS_BYTES_MAX) as u64));
    let mut files = BTreeMap::new();
    let mut left = bytes_max;
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.to_string_lossy().trim_start_matches('/').to_owned();
        if entry.size() > left as u64 {
            return Err(Error::TooLarge { what: "content", max: bytes_max });
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        left -= content.len();
        files.insert(path, content);
    }
    Ok(files)
}

/// The first digits of a hash, enough to tell the versions of one platform apart.
pub(crate) fn short(hash: Sha256) -> Arc<str> {
    let mut digits = String::new();
    for byte in hash.finalize() {
        digits.push_str(&format!("{byte:02x}"));
    }
    digits.truncate(REVISION_CHARS);
    digits.into()
}
