//! What an image holds that policies decide by: what it imports, and who signed it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use er_question::PartType;
use parking_lot::Mutex;
use provider_archive::ProviderArchive;
use wascap::jwt::{validate_token, CapabilityProvider, Component};
use wasmparser::{Encoding, Parser, Payload};

/// The largest component that hosts take (as wasmCloud's own limit), with room for a provider's archive.
const BYTES_MAX: u64 = 256 << 20;
/// Images that are remembered.
const KEPT_MAX: usize = 512;
const FILE: &str = "file://";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What a component imports, with versions, as `wasi:clocks/wall-clock@0.2.6`.
    pub imports: Vec<String>,
    /// Whose signature it bears that is good; none is unsigned.
    pub issuer: Option<String>,
}

/// What tells that a file is still the one that was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stamp {
    path: PathBuf,
    part_type: PartType,
    bytes: u64,
    modified: Option<SystemTime>,
}

/// Reads images, and remembers what was in them for as long as the files are the same.
#[derive(Debug, Clone, Default)]
pub struct Images(Arc<Mutex<HashMap<Stamp, Facts>>>);

// === impl Images ===

impl Images {
    /// What is in an image, as far as it can be looked into from here.
    ///
    /// # Errors
    /// Why that is not known, as the end of a sentence about the image.
    pub async fn facts(&self, image: &str, part_type: PartType) -> Result<Facts, String> {
        let Some(path) = image.strip_prefix(FILE) else {
            return match image.starts_with("wasmcloud+builtin://") {
                true => Ok(Facts::default()),
                false => Err("what is in it can't be read, only files can: file:///…".into()),
            };
        };
        let stamp = stamp(Path::new(path), part_type).await?;
        if let Some(facts) = self.kept(&stamp) {
            return Ok(facts);
        }
        let facts = match part_type {
            PartType::Component => {
                let bytes = tokio::fs::read(path).await.map_err(|error| format!("it can't be read: {error}"))?;
                let read = tokio::task::spawn_blocking(move || component(&bytes)).await;
                read.map_err(|error| format!("it can't be read: {error}"))??
            }
            PartType::Provider => provider(Path::new(path)).await?,
        };
        let mut kept = self.0.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(stamp, facts.clone());
        Ok(facts)
    }

    fn kept(&self, stamp: &Stamp) -> Option<Facts> {
        self.0.lock().get(stamp).cloned()
    }
}

async fn stamp(path: &Path, part_type: PartType) -> Result<Stamp, String> {
    let meta = tokio::fs::metadata(path).await.map_err(|error| format!("it can't be read: {error}"))?;
    if !meta.is_file() || meta.len() > BYTES_MAX {
        return Err(format!("it is no file of at most {} MiB", BYTES_MAX >> 20));
    }
    Ok(Stamp { path: path.to_path_buf(), part_type, bytes: meta.len(), modified: meta.modified().ok() })
}

fn component(bytes: &[u8]) -> Result<Facts, String> {
    let imports = imports(bytes)?;
    let token = wascap::wasm::extract_claims(bytes).map_err(|error| format!("its signature can't be read: {error}"))?;
    let issuer = match token {
        None => None,
        Some(token) => {
            let valid = validate_token::<Component>(&token.jwt).map_err(|error| format!("its signature: {error}"))?;
            Some(good(valid.signature_valid && !valid.expired && !valid.cannot_use_yet, token.claims.issuer)?)
        }
    };
    Ok(Facts { imports, issuer })
}

async fn provider(path: &Path) -> Result<Facts, String> {
    let archive =
        ProviderArchive::try_load_file(path).await.map_err(|error| format!("it is no provider's archive: {error}"))?;
    let issuer = match archive.claims_token() {
        None => None,
        Some(token) => {
            let valid =
                validate_token::<CapabilityProvider>(&token.jwt).map_err(|error| format!("its signature: {error}"))?;
            Some(good(valid.signature_valid && !valid.expired && !valid.cannot_use_yet, token.claims.issuer)?)
        }
    };
    Ok(Facts { imports: Vec::new(), issuer })
}

fn good(valid: bool, issuer: String) -> Result<String, String> {
    if valid {
        return Ok(issuer);
    }
    Err(format!("its signature in the name of {issuer} is not good, or not at this time"))
}

/// What the component itself imports: not the modules and components in it.
fn imports(bytes: &[u8]) -> Result<Vec<String>, String> {
    let broken = |error: wasmparser::BinaryReaderError| format!("it is no component: {error}");
    let (mut imports, mut depth) = (Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err("it is a module, not a component; build it for wasm32-wasip2".into());
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.0.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(imports)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(component (import "eventrunner:platform/emitter@0.1.0" (instance)) (component (import "inner" (instance))))`
    fn nested() -> Vec<u8> {
        let name = b"eventrunner:platform/emitter@0.1.0";
        let mut inner = vec![0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        // Types: one instance type that is empty. Imports: `inner` of it.
        inner.extend([7, 3, 1, 0x42, 0]);
        inner.extend([10, 10, 1, 0, 5]);
        inner.extend(b"inner");
        inner.extend([5, 0]);
        let mut outer = vec![0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        outer.extend([7, 3, 1, 0x42, 0]);
        let len = u8::try_from(name.len()).unwrap();
        outer.extend([10, len + 5, 1, 0, len]);
        outer.extend(name);
        outer.extend([5, 0]);
        outer.extend([4, u8::try_from(inner.len()).unwrap()]);
        outer.extend(inner);
        outer
    }

    #[test]
    fn only_the_components_own_imports_count() {
        assert_eq!(imports(&nested()).unwrap(), ["eventrunner:platform/emitter@0.1.0"]);
    }

    #[test]
    fn what_is_no_component_says_so() {
        assert!(imports(b"not wasm").unwrap_err().contains("no component"));
        assert!(imports(b"\0asm\x01\0\0\0").unwrap_err().contains("wasm32-wasip2"));
        let mut cut = nested();
        cut.truncate(20);
        assert!(imports(&cut).is_err());
    }

    #[tokio::test]
    async fn an_image_is_read_again_when_its_file_changed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, images) = (dir.path().join("c.wasm"), Images::default());
        let image = format!("file://{}", file.display());
        assert!(images.facts(&image, PartType::Component).await.unwrap_err().contains("can't be read"));
        std::fs::write(&file, nested()).unwrap();
        let facts = images.facts(&image, PartType::Component).await.unwrap();
        assert_eq!(facts, Facts { imports: vec!["eventrunner:platform/emitter@0.1.0".into()], issuer: None });
        std::fs::write(&file, b"\0asm\x01\0\0\0").unwrap();
        assert!(images.facts(&image, PartType::Component).await.is_err());
    }

    #[tokio::test]
    async fn what_is_no_file_is_not_looked_into() {
        let images = Images::default();
        assert!(images.facts("ghcr.io/x/y:1", PartType::Component).await.is_err());
        assert_eq!(images.facts("wasmcloud+builtin://http-server", PartType::Provider).await, Ok(Facts::default()));
    }
}
