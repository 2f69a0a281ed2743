//! A wadm manifest made ready for one machine: absolute images, changed settings, a version of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context as _};
use sha2::{Digest as _, Sha256};
use wadm_client::loader::ManifestLoader as _;
use wadm_types::{ConfigProperty, Manifest, Properties, TraitProperty};

const FILE: &str = "file://";

/// A setting to be changed: `config-name.key=value`, the name being that of a `config` entry of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    pub config: String,
    pub key: String,
    pub value: String,
}

// === impl Set ===

impl std::str::FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('=').and_then(|(path, value)| Some((path.split_once('.')?, value)));
        match parts {
            Some(((config, key), value)) if !config.is_empty() && !key.is_empty() => {
                Ok(Self { config: config.into(), key: key.into(), value: value.into() })
            }
            _ => Err(format!("`{text}` is not config-name.key=value")),
        }
    }
}

/// A manifest as it stands.
///
/// # Errors
/// A file that is missing, or is none.
pub async fn read(path: &Path) -> anyhow::Result<Manifest> {
    path.load_manifest().await.with_context(|| format!("the manifest {}", path.display()))
}

/// Loads a manifest, makes its images absolute, applies `sets`, and gives it a version that follows from its
/// content. Images are copied to `images` under a name that follows from their content too: a host keeps
/// what it loaded from a path, so that a rebuilt file under its old name would not be loaded.
///
/// # Errors
/// A missing file, an unknown setting: each named.
pub async fn load(path: &Path, images: &Path, sets: &[Set]) -> anyhow::Result<Manifest> {
    let mut manifest = read(path).await?;
    let base = path.parent().unwrap_or_else(|| Path::new("."));
    for set in sets {
        if !apply(&mut manifest, set) {
            bail!(
                "{}: no config `{}` to set `{}` in; there are: {}",
                path.display(),
                set.config,
                set.key,
                config_names(&mut manifest).join(", ")
            );
        }
    }
    for component in &mut manifest.spec.components {
        let image = match &mut component.properties {
            Properties::Component { properties } => properties.image.as_mut(),
            Properties::Capability { properties } => properties.image.as_mut(),
        };
        if let Some(image) = image {
            if let Some(file) = image.strip_prefix(FILE) {
                let kept =
                    keep(&base.join(file), images).with_context(|| format!("the image of `{}`", component.name))?;
                *image = format!("{FILE}{}", kept.display());
            }
        }
    }
    let digest = hex(&Sha256::digest(serde_json::to_vec(&manifest)?));
    let version = manifest.metadata.annotations.entry("version".into()).or_insert_with(|| "v0".into());
    version.push('-');
    version.push_str(&digest[..10]);
    Ok(manifest)
}

fn keep(file: &Path, images: &Path) -> anyhow::Result<PathBuf> {
    let bytes = fs::read(file).with_context(|| format!("{} is missing; `make build` makes it", file.display()))?;
    let name = file.file_name().and_then(|name| name.to_str()).context("no file name")?;
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    let digest = hex(&Sha256::digest(&bytes));
    fs::create_dir_all(images).with_context(|| format!("making {}", images.display()))?;
    let kept = images.canonicalize()?.join(format!("{stem}-{}.{ending}", &digest[..12]));
    // What is there may be half of it, since a machine that lost its power.
    if !fs::read(&kept).is_ok_and(|kept| kept == bytes) {
        // Whole or not at all: a host may look while it is written.
        let part = kept.with_extension("part");
        let written = File::create(&part).and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()));
        written.with_context(|| format!("writing {}", part.display()))?;
        fs::rename(&part, &kept)?;
    }
    Ok(kept)
}

fn apply(manifest: &mut Manifest, set: &Set) -> bool {
    let mut found = false;
    for config in configs(manifest) {
        if config.name == set.config {
            config.properties.get_or_insert_with(Default::default).insert(set.key.clone(), set.value.clone());
            found = true;
        }
    }
    found
}

fn config_names(manifest: &mut Manifest) -> Vec<String> {
    configs(manifest).into_iter().map(|config| config.name.clone()).collect()
}

fn configs(manifest: &mut Manifest) -> Vec<&mut ConfigProperty> {
    let mut all: Vec<&mut ConfigProperty> = Vec::new();
    for component in &mut manifest.spec.components {
        match &mut component.properties {
            Properties::Component { properties } => all.extend(properties.config.iter_mut()),
            Properties::Capability { properties } => all.extend(properties.config.iter_mut()),
        }
        for part in component.traits.iter_mut().flatten() {
            if let TraitProperty::Link(link) = &mut part.properties {
                all.extend(link.source.iter_mut().flat_map(|source| source.config.iter_mut()));
                all.extend(link.target.config.iter_mut());
            }
        }
    }
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: { name: a, annotations: { version: v1 } }
spec:
  components:
    - name: p
      type: capability
      properties:
        image: file://img.par.gz
        config: [{ name: settings, properties: { addr: old, other: kept } }]
";

    fn write(dir: &Path) -> PathBuf {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("img.par.gz"), "bytes").unwrap();
        let path = dir.join("app.yaml");
        fs::write(&path, MANIFEST).unwrap();
        path
    }

    #[tokio::test]
    async fn settings_images_and_version_follow_the_content() {
        let dir = std::env::temp_dir().join(format!("er-manifest-{}", std::process::id()));
        let path = write(&dir);
        let images = dir.join("images");
        let plain = load(&path, &images, &[]).await.unwrap();
        let set: Set = "settings.addr=new=er".parse().unwrap();
        let changed = load(&path, &images, &[set]).await.unwrap();
        assert_ne!(plain.metadata.annotations["version"], changed.metadata.annotations["version"]);
        let Properties::Capability { properties } = &changed.spec.components[0].properties else {
            panic!("a capability");
        };
        let settings = properties.config[0].properties.as_ref().unwrap();
        assert_eq!((settings["addr"].as_str(), settings["other"].as_str()), ("new=er", "kept"));
        let image = properties.image.as_ref().unwrap().strip_prefix(FILE).unwrap();
        assert!(Path::new(image).is_absolute() && image.ends_with(".par.gz"));
        assert_eq!(fs::read_to_string(image).unwrap(), "bytes");
        fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn an_image_of_which_half_is_kept_is_written_again() {
        let dir = std::env::temp_dir().join(format!("er-manifest-half-{}", std::process::id()));
        let (path, images) = (write(&dir), dir.join("images"));
        let kept = keep(&dir.join("img.par.gz"), &images).unwrap();
        fs::write(&kept, "by").unwrap();
        load(&path, &images, &[]).await.unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "bytes");
        assert_eq!(fs::read_dir(&images).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_dir_all(dir).unwrap();
    }

    #[tokio::test]
    async fn an_unknown_setting_is_named_with_what_there_is() {
        let dir = std::env::temp_dir().join(format!("er-manifest-unknown-{}", std::process::id()));
        let path = write(&dir);
        let set: Set = "setings.addr=x".parse().unwrap();
        let error = load(&path, &dir, &[set]).await.unwrap_err().to_string();
        assert!(error.contains("no config `setings`") && error.contains("settings"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }
}
