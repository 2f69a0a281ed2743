//! Consumers for tests, on the shipped manifest: what is changed is names, image, tenant and the link's settings.

use anyhow::{ensure, Context as _};
use er_deploy::manifest;
use wadm_types::{ConfigProperty, Manifest, Properties, TraitProperty};

use crate::platform::{need, root, Platform, DEPLOY_WITHIN};
use crate::tenant::Tenant;

/// A consumer's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Handles everything, and reports what it saw as `test.seen`.
    Recorder,
    /// As the recorder, and breaks in as many ways as there are types for it.
    Hostile,
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
    /// The image as the manifest names it, relative to the manifest.
    fn image(self) -> &'static str {
        match self {
            Self::Recorder => "build/er_test_recorder.wasm",
            Self::Hostile => "build/er_test_hostile.wasm",
            Self::RustAlert => "build/er_rust_alert.wasm",
            Self::PythonThanks => "build/python-thanks.wasm",
            Self::TypescriptThanks => "build/typescript-thanks.wasm",
            Self::GoThanks => "build/go-thanks.wasm",
        }
    }

    /// As it is called in its manifest.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Recorder => "recorder",
            Self::Hostile => "hostile",
            Self::RustAlert => "rust-alert",
            Self::PythonThanks => "python-thanks",
            Self::TypescriptThanks => "typescript-thanks",
            Self::GoThanks => "go-thanks",
        }
    }

    /// What makes the image.
    fn script(self) -> &'static str {
        match self {
            Self::Recorder | Self::Hostile | Self::RustAlert => "scripts/build-components",
            Self::PythonThanks | Self::TypescriptThanks | Self::GoThanks => "scripts/build-consumers",
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
        need(&root().join(component.image()), component.script())?;
        let mut manifest = manifest::load(&root().join("wadm/consumer.yaml"), &self.images(), &[]).await?;
        let app = format!("{}-{}", tenant.id, component.name());
        let consumer = Consumer {
            // wadm makes the id of both.
            id: [&app, component.name()].map(|name| name.replace('-', "_")).join("-"),
            app,
        };
        let mut settings = settings.to_vec();
        settings.insert(0, ("deliver", "all"));
        rewrite(&mut manifest, &consumer, &tenant.id, component, &settings)?;
        self.apps().await?.deploy(&manifest, DEPLOY_WITHIN, |_| {}).await?;
        Ok(consumer)
    }

    /// Takes a consumer off the lattice.
    ///
    /// # Errors
    /// What is still there in time.
    pub async fn retire(&self, consumer: &Consumer) -> anyhow::Result<()> {
        self.apps().await?.undeploy(&consumer.app, DEPLOY_WITHIN).await
    }
}

fn rewrite(
    manifest: &mut Manifest,
    consumer: &Consumer,
    tenant: &str,
    component: Component,
    settings: &[(&str, &str)],
) -> anyhow::Result<()> {
    const SAMPLE: &str = "rust-alert";
    manifest.metadata.name.clone_from(&consumer.app);
    let mut links = 0;
    for part in &mut manifest.spec.components {
        if let Properties::Component { properties } = &mut part.properties {
            ensure!(part.name == SAMPLE, "wadm/consumer.yaml has a component {}", part.name);
            part.name = component.name().into();
            properties.image = Some(format!("file://{}", root().join(component.image()).canonicalize()?.display()));
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
