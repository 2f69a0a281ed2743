//! Consumers for tests, on the shipped manifest: what is changed is names, image, tenant and the link's settings.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use er_deploy::app::{is_away, part_id};
use er_deploy::manifest;
use wadm_types::{ConfigProperty, Manifest, Properties, TraitProperty};

use crate::hostile;
use crate::platform::{need, root, Platform, DEPLOY_WITHIN};
use crate::tenant::Tenant;

/// What makes images.
const COMPONENTS: &str = "scripts/build-components";
const CONSUMERS: &str = "scripts/build-consumers";

/// The role of hosts of tenants' code that is proven.
pub const PROVEN: &str = "tenant";
/// The role of hosts of tenants' code that has proven nothing yet.
pub const PROBATION: &str = "probation";

/// Between two tries of what wadm could not do.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A consumer's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Handles everything, and reports what it saw as `test.seen`.
    Recorder,
    /// As the recorder, and misbehaves in as many ways as there are types for it.
    Hostile,
    /// What Rust makes no component of: see `tests/hostile`.
    TrapAtStart,
    ForbiddenImport,
    InvalidStrings,
    WrongTypes,
    /// The sample that is shipped.
    RustAlert,
    /// The samples in other languages, which all do the same.
    PythonThanks,
    TypescriptThanks,
    GoThanks,
}

/// A deployed consumer.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Its application in wadm.
    pub app: String,
    /// Its component in the lattice: the `eremitter` of what it emits, and the `consumer` of its dead letters.
    pub id: String,
}

// === impl Component ===

impl Component {
    /// The file of the image. What has to be made first is made in `images`.
    fn image(self, images: &Path) -> anyhow::Result<PathBuf> {
        let (file, script) = match self {
            Self::Recorder => ("build/er_test_recorder.wasm", COMPONENTS),
            Self::Hostile => ("build/er_test_hostile.wasm", COMPONENTS),
            Self::RustAlert => ("build/er_rust_alert.wasm", COMPONENTS),
            Self::PythonThanks => ("build/python-thanks.wasm", CONSUMERS),
            Self::TypescriptThanks => ("build/typescript-thanks.wasm", CONSUMERS),
            Self::GoThanks => ("build/go-thanks.wasm", CONSUMERS),
            Self::TrapAtStart | Self::ForbiddenImport | Self::InvalidStrings | Self::WrongTypes => {
                return hostile::assemble(self.name(), images)?.canonicalize().context("an image just made");
            }
        };
        let file = root().join(file);
        need(&file, script)?;
        Ok(file.canonicalize()?)
    }

    /// As it is called in its manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recorder => "recorder",
            Self::Hostile => "hostile",
            Self::TrapAtStart => "trap-at-start",
            Self::ForbiddenImport => "forbidden-import",
            Self::InvalidStrings => "invalid-strings",
            Self::WrongTypes => "wrong-types",
            Self::RustAlert => "rust-alert",
            Self::PythonThanks => "python-thanks",
            Self::TypescriptThanks => "typescript-thanks",
            Self::GoThanks => "go-thanks",
        }
    }
}

impl Platform {
    /// Deploys a consumer of a tenant, which gets the tenant's events from the oldest on. `settings` are those of the
    /// delivery link.
    ///
    /// # Errors
    /// What is not deployed in time.
    pub async fn consumer(
        &self,
        tenant: &Tenant,
        component: Component,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Consumer> {
        self.consumer_on(PROVEN, tenant, component, settings).await
    }

    /// As [`consumer`](Self::consumer), on hosts of a role: [`PROVEN`] or [`PROBATION`].
    ///
    /// # Errors
    /// What is not deployed in time.
    pub async fn consumer_on(
        &self,
        role: &str,
        tenant: &Tenant,
        component: Component,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Consumer> {
        let (consumer, manifest) = manifest_of(&self.images(), role, &tenant.id, component, settings).await?;
        once_there(|| async { self.apps().await?.deploy(&manifest, DEPLOY_WITHIN, |_| {}).await }).await?;
        Ok(consumer)
    }

    /// Takes a consumer off the lattice.
    ///
    /// # Errors
    /// What is still there in time.
    pub async fn retire(&self, consumer: &Consumer) -> anyhow::Result<()> {
        once_there(|| async { self.apps().await?.undeploy(&consumer.app, DEPLOY_WITHIN).await }).await
    }
}

/// Has wadm do something, again while it, the gate or the policy is away. What they refuse ends at once.
async fn once_there<Fut>(mut act: impl FnMut() -> Fut) -> anyhow::Result<()>
where
    Fut: Future<Output = anyhow::Result<()>>,
{
    let started = Instant::now();
    loop {
        match act().await {
            Err(error) if is_away(&error) && started.elapsed() < DEPLOY_WITHIN => {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            ended => return ended,
        }
    }
}

/// `wadm/consumer.yaml` for another tenant and component, and for hosts of a role. Images that have to be made are made in
/// `images`; `settings` are those of the delivery link.
///
/// # Errors
/// An image that is missing, with what makes it.
pub async fn manifest_of(
    images: &Path,
    role: &str,
    tenant: &str,
    component: Component,
    settings: &[(&str, &str)],
) -> anyhow::Result<(Consumer, Manifest)> {
    let image = component.image(images)?;
    let mut manifest = manifest::load(&root().join("wadm/consumer.yaml"), images, &[]).await?;
    let app = format!("{tenant}-{}", component.name());
    let consumer = Consumer { id: part_id(&app, component.name()), app };
    let mut settings = settings.to_vec();
    settings.insert(0, ("deliver", "all"));
    rewrite(&mut manifest, &consumer, tenant, component, &image, &settings)?;
    spread(&mut manifest, role);
    Ok((consumer, manifest))
}

/// Has a manifest's components run on hosts of a role, as `control` does.
fn spread(manifest: &mut Manifest, role: &str) {
    for part in &mut manifest.spec.components {
        for part_trait in part.traits.iter_mut().flatten() {
            let TraitProperty::SpreadScaler(scaler) = &mut part_trait.properties else { continue };
            for spread in &mut scaler.spread {
                spread.requirements.insert("eventrunner.role".into(), role.into());
            }
        }
    }
}

fn rewrite(
    manifest: &mut Manifest,
    consumer: &Consumer,
    tenant: &str,
    component: Component,
    image: &Path,
    settings: &[(&str, &str)],
) -> anyhow::Result<()> {
    const SAMPLE: &str = "rust-alert";
    manifest.metadata.name.clone_from(&consumer.app);
    let mut links = 0;
    for part in &mut manifest.spec.components {
        if let Properties::Component { properties } = &mut part.properties {
            ensure!(part.name == SAMPLE, "wadm/consumer.yaml has a component {}", part.name);
            part.name = component.name().into();
            properties.image = Some(format!("file://{}", image.display()));
        }
        for link in part.traits.iter_mut().flatten() {
            let TraitProperty::Link(link) = &mut link.properties else { continue };
            if link.target.name == SAMPLE {
                link.target.name = component.name().into();
                // A source has one target by each name of a link.
                link.name = Some(consumer.app.clone());
            }
            let source = link.source.iter_mut().flat_map(|source| source.config.iter_mut());
            for config in source.chain(link.target.config.iter_mut()) {
                let delivery = link.interfaces.iter().any(|interface| interface == "consumer");
                rename(config, consumer, tenant, if delivery { settings } else { &[] })?;
                links += 1;
            }
        }
    }
    ensure!(links == 2, "wadm/consumer.yaml has {links} configured links, not an emitter's and a delivery's");
    Ok(())
}

fn rename(
    config: &mut ConfigProperty,
    consumer: &Consumer,
    tenant: &str,
    settings: &[(&str, &str)],
) -> anyhow::Result<()> {
    let kind = config.name.rsplit('-').next().unwrap_or_default();
    config.name = format!("{}-{kind}", consumer.app);
    let properties = config.properties.as_mut().context("a link's config without properties")?;
    ensure!(properties.insert("tenant".into(), tenant.into()).is_some(), "{} names no tenant", config.name);
    properties.extend(settings.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())));
    Ok(())
}
