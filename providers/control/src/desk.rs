//! Where orders are taken. An order is a change of a record; it is carried out by [`work`](crate::work) after that.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use er_consumer::{Limits, TENANT_IMPORTS};
use er_deploy::app::Apps;
use er_event::keys::valid_tenant;
use parking_lot::Mutex;
use serde_json::{json, Value};
use tokio::sync::{OnceCell, Semaphore};

use crate::images::Images;
use crate::record::{Record, State, Version};
use crate::spool::Spool;
use crate::store::{now, Store};
use crate::turns::{Trials, Turns};
use crate::{logs, names, oci, Error, Spec};

const BY_CHARS_MAX: usize = 100;
/// Trials at once: each takes a core and some hundred megabytes.
const TRIALS: usize = 1;
/// Deployments at once.
const DEPLOYMENTS: usize = 4;

#[derive(Debug, Clone)]
pub struct Options {
    /// Accepted components; hosts read from it. Made if it is not there.
    pub images_dir: PathBuf,
    /// Uploads on their way.
    pub spool_dir: PathBuf,
    /// Of the hosts that tenants' components run on.
    pub tenant_logs: Vec<PathBuf>,
    /// Consumers of one tenant.
    pub consumers_max: usize,
    /// Hosts, with their ports, that components may be pulled from.
    pub registries: Vec<String>,
    /// How long an application may take to run, or to be gone.
    pub deploy_within: Duration,
    /// How long jetstream may take to stop delivering before an update.
    pub seen_within: Duration,
    /// Between two looks whether the lattice is as the records say.
    pub reconcile: Duration,
    /// How long a version takes calls, and is not paused by strikes, before it runs beside proven ones. Zero: at once.
    pub probation: Duration,
    pub replicas: usize,
    pub limits: Limits,
    /// The lattice, where wadm is.
    pub lattice_url: String,
    pub lattice: String,
}

/// A clone is a handle to the same.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

/// What the clones share.
pub struct Inner {
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) spool: Spool,
    pub(crate) images: Images,
    pub(crate) trials: Trials,
    pub(crate) deployments: Semaphore,
    apps: OnceCell<Apps>,
    /// Of each consumer: one worker at a time.
    pub(crate) turns: Turns,
    /// What deployments under way wait for.
    progress: Mutex<HashMap<String, String>>,
}

impl std::ops::Deref for Desk {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

// === impl Inner ===

impl Inner {
    /// wadm, connected when it is first needed.
    pub(crate) async fn apps(&self) -> Result<&Apps, Error> {
        let connect = || Apps::connect(&self.options.lattice_url, &self.options.lattice);
        self.apps.get_or_try_init(connect).await.map_err(|e| Error::Away(format!("wadm can't be reached: {e:#}")))
    }

    pub(crate) fn note_progress(&self, app: &str, progress: Option<&str>) {
        let mut all = self.progress.lock();
        match progress {
            Some(text) => all.insert(app.to_owned(), text.to_owned()),
            None => all.remove(app),
        };
    }

    fn progress(&self, app: &str) -> Option<String> {
        self.progress.lock().get(app).cloned()
    }
}

// === impl Desk ===

impl Desk {
    /// # Errors
    /// When the folders can't be made.
    pub fn new(js: Context, options: Options) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner {
            store: Store::new(js, options.replicas),
            spool: Spool::new(options.spool_dir.clone(), options.limits.interpreted_bytes_max),
            images: Images::open(options.images_dir.clone())?,
            trials: Trials::new(TRIALS),
            deployments: Semaphore::new(DEPLOYMENTS),
            apps: OnceCell::new(),
            turns: Turns::default(),
            progress: Mutex::default(),
            options,
        })))
    }

    /// `{"consumers":[record…]}`
    ///
    /// # Errors
    /// When the records can't be read.
    pub async fn list(&self, tenant: &str) -> Result<Value, Error> {
        check_tenant(tenant)?;
        let mut shown = Vec::new();
        for record in self.store.records(Some(tenant)).await? {
            shown.push(self.shown(&record).await?);
        }
        Ok(json!({ "consumers": shown }))
    }

    /// The record, and what wadm says of it.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the records can't be read.
    pub async fn show(&self, tenant: &str, name: &str) -> Result<Value, Error> {
        let record = self.known(tenant, name).await?;
        let mut shown = self.shown(&record).await?;
        let app = names::app(tenant, name);
        let lattice = match self.apps().await {
            Ok(apps) => match apps.status(&app).await {
                Ok(status) => json!({
                    "status": format!("{:?}", status.info.status_type).to_lowercase(), "message": status.info.message,
                }),
                Err(error) => json!({ "status": "unknown", "message": format!("{error:#}") }),
            },
            Err(error) => json!({ "status": "unknown", "message": error.to_string() }),
        };
        if let Value::Object(shown) = &mut shown {
            shown.insert("lattice".into(), lattice);
            shown.insert("application".into(), app.into());
            shown.insert("component".into(), names::component_id(tenant, name).into());
        }
        Ok(shown)
    }

    /// As its owner sees it: whether it is paused is not in the record.
    async fn shown(&self, record: &Record) -> Result<Value, Error> {
        let mut shown = record.shown()?;
        let pause = self.store.pause(&record.tenant, &record.name).await?.filter(|pause| pause.paused);
        if let Value::Object(shown) = &mut shown {
            if let (State::Running, Some(pause)) = (record.state, &pause) {
                shown.insert("state".into(), "paused".into());
                shown.insert("message".into(), format!("paused by {}: {}", pause.by.as_str(), pause.reason).into());
            }
            if let (State::Deploying, Some(progress)) =
                (record.state, self.progress(&names::app(&record.tenant, &record.name)))
            {
                shown.insert("message".into(), format!("{}: {progress}", record.message).into());
            }
            if let Some(pause) = pause {
                shown.insert("pause".into(), serde_json::to_value(pause).unwrap_or_default());
            }
        }
        Ok(shown)
    }

    /// Begins an upload; its id.
    ///
    /// # Errors
    /// Too large, or too many of them.
    pub async fn begin(&self, tenant: &str, bytes: u64) -> Result<String, Error> {
        check_tenant(tenant)?;
        let (desk, tenant) = (self.clone(), tenant.to_owned());
        blocking(move || desk.spool.begin(&tenant, bytes)).await
    }

    /// # Errors
    /// A piece that does not fit, or of an upload that is not there.
    pub async fn piece(&self, tenant: &str, upload: &str, offset: u64, bytes: bytes::Bytes) -> Result<(), Error> {
        let (desk, tenant, upload) = (self.clone(), tenant.to_owned(), upload.to_owned());
        blocking(move || desk.spool.piece(&tenant, &upload, offset, &bytes)).await
    }

    /// Makes a consumer, or a new version of it.
    ///
    /// # Errors
    /// What is wrong with the name, the settings or the component.
    pub async fn put(
        &self,
        tenant: &str,
        name: &str,
        upload: Option<&str>,
        spec: &str,
        by: &str,
    ) -> Result<Value, Error> {
        let made = async {
            check_tenant(tenant)?;
            check_name(name)?;
            let mut spec = Spec::parse(spec)?;
            let by: String = by.chars().take(BY_CHARS_MAX).collect();
            self.check_place(tenant, name).await?;
            let digest = match (upload, &spec.image) {
                (Some(_), Some(_)) => {
                    return Err(Error::Invalid("there is an upload and an image: give one of them".into()));
                }
                (Some(upload), None) => Some(self.take(tenant, upload).await?),
                (None, Some(image)) => {
                    oci::reference(image, &self.options.registries)?;
                    None
                }
                (None, None) => {
                    let record = self.store.record(tenant, name).await?;
                    let latest = record.as_ref().and_then(Record::latest).ok_or_else(|| {
                        Error::Invalid(format!(
                            "there is no consumer `{name}` yet: upload a component, or name an image"
                        ))
                    })?;
                    spec.image.clone_from(&latest.spec.image);
                    latest.digest.clone()
                }
            };
            self.push(tenant, name, digest, &spec, &by).await
        }
        .await;
        // Whatever came of it: who tries again uploads again, and a tenant's uploads under way are counted.
        if let Some(upload) = upload {
            self.spool.drop(tenant, upload);
        }
        self.shown(&made?).await
    }

    /// Makes an older version the newest.
    ///
    /// # Errors
    /// [`Error::NotFound`] with the versions that there are.
    pub async fn roll_back(&self, tenant: &str, name: &str, version: u32, by: &str) -> Result<Value, Error> {
        let record = self.known(tenant, name).await?;
        let older = record.of(version).filter(|version| version.digest.is_some());
        let Some(older) = older else {
            let kept: Vec<_> = record.versions.iter().map(|version| version.version.to_string()).collect();
            return Err(Error::NotFound(format!(
                "version {version} of `{name}` is not kept; there are {}",
                kept.join(", ")
            )));
        };
        let by: String = by.chars().take(BY_CHARS_MAX).collect();
        let record = self.push(tenant, name, older.digest.clone(), &older.spec, &by).await?;
        self.shown(&record).await
    }

    /// Takes a consumer down and forgets it.
    ///
    /// # Errors
    /// [`Error::NotFound`], or when the records can't be written.
    pub async fn delete(&self, tenant: &str, name: &str, by: &str) -> Result<Value, Error> {
        let gone = || Error::NotFound(format!("there is no consumer `{name}`"));
        self.known(tenant, name).await?;
        let record = self
            .store
            .change(tenant, name, |record| {
                let mut record = record.ok_or_else(gone)?;
                record.state = State::Deleting;
                record.message = format!("is being taken down, as {by} said");
                Ok(record)
            })
            .await?;
        self.work_on(&record);
        self.shown(&record).await
    }

    /// `{"lines":[{"at","level","message"}…]}`
    ///
    /// # Errors
    /// [`Error::NotFound`], and [`Error::Away`] where the log is not on this machine.
    pub async fn logs(&self, tenant: &str, name: &str, limit: u32) -> Result<Value, Error> {
        self.known(tenant, name).await?;
        let (desk, id) = (self.clone(), names::component_id(tenant, name));
        let lines = blocking(move || logs::last(&desk.options.tenant_logs, &id, limit as usize)).await?;
        Ok(json!({ "lines": lines }))
    }

    async fn known(&self, tenant: &str, name: &str) -> Result<Record, Error> {
        check_tenant(tenant)?;
        check_name(name)?;
        let record = self.store.record(tenant, name).await?;
        record.ok_or_else(|| Error::NotFound(format!("there is no consumer `{name}`")))
    }

    /// Whether there may be a consumer of that name.
    async fn check_place(&self, tenant: &str, name: &str) -> Result<(), Error> {
        let tenants = self.store.tenants().await?;
        if !tenants.iter().any(|known| known == tenant) {
            return Err(Error::NotFound(format!("there is no tenant `{tenant}`")));
        }
        if names::rival(tenant, name, tenants.iter().map(String::as_str)).is_some() {
            // Not whose: who else is a tenant is nobody's business.
            return Err(Error::Invalid(format!(
                "the name `{name}` is taken: with your tenant's before it, it begins as another's; choose one that begins otherwise"
            )));
        }
        let own = self.store.records(Some(tenant)).await?;
        if own.iter().any(|record| record.name == name) {
            return Ok(());
        }
        if own.len() >= self.options.consumers_max {
            return Err(Error::Exhausted(format!(
                "a tenant has at most {} consumers: delete one first",
                self.options.consumers_max
            )));
        }
        let app = names::app(tenant, name);
        if self.apps().await?.deployed(&app).await.map_err(|e| Error::Away(format!("wadm: {e:#}")))?.is_some() {
            return Err(Error::Conflict(format!(
                "an application `{app}` runs that was deployed by hand: take it down with `wash app undeploy {app}` first"
            )));
        }
        Ok(())
    }

    /// Checks an upload and keeps it; its digest.
    async fn take(&self, tenant: &str, upload: &str) -> Result<String, Error> {
        let (desk, tenant, upload) = (self.clone(), tenant.to_owned(), upload.to_owned());
        blocking(move || {
            let component = desk.spool.read(&tenant, &upload)?;
            desk.accept(&component)
        })
        .await
    }

    /// Checks a component and keeps it.
    pub(crate) fn accept(&self, component: &[u8]) -> Result<String, Error> {
        er_consumer::check(component, &TENANT_IMPORTS, &self.options.limits)?;
        self.images.keep(component)
    }

    async fn push(
        &self,
        tenant: &str,
        name: &str,
        digest: Option<String>,
        spec: &Spec,
        by: &str,
    ) -> Result<Record, Error> {
        let conduct = self.store.conduct(tenant, name).await?;
        let record = self
            .store
            .change(tenant, name, |record| {
                let mut record = record.unwrap_or_else(|| Record::new(tenant, name));
                if record.state == State::Deleting {
                    return Err(Error::Conflict(format!("`{name}` is being taken down: try again when it is gone")));
                }
                // What it did until now counts, though it is about to be forgotten.
                record.judge(conduct, self.options.probation);
                let tried = |kept: &&Version| kept.digest.is_some() && kept.digest == digest && kept.tried;
                let before = record.versions.iter().find(tried);
                let standing = record.standing_of(digest.as_deref(), &spec.env, self.options.probation);
                record.push(Version {
                    version: 0,
                    digest: digest.clone(),
                    at: now(),
                    by: by.to_owned(),
                    spec: spec.clone(),
                    tried: before.is_some(),
                    trials_begun: 0,
                    note: before.and_then(|before| before.note.clone()),
                    standing,
                });
                Ok(record)
            })
            .await?;
        self.work_on(&record);
        Ok(record)
    }

    /// Removes components that no record names, and uploads that nobody finished.
    pub(crate) async fn sweep(&self, records: &[Record]) {
        let named: BTreeSet<String> = records
            .iter()
            .flat_map(|record| record.versions.iter().filter_map(|version| version.digest.clone()))
            .collect();
        let desk = self.clone();
        let _ = blocking(move || {
            desk.images.sweep(&named);
            desk.spool.sweep();
            Ok(())
        })
        .await;
    }
}

fn check_tenant(tenant: &str) -> Result<(), Error> {
    if valid_tenant(tenant) && tenant != er_tenant::OPERATOR {
        return Ok(());
    }
    Err(Error::Invalid(format!("`{tenant}` is no tenant that could have consumers")))
}

fn check_name(name: &str) -> Result<(), Error> {
    if names::valid(name) {
        return Ok(());
    }
    Err(Error::Invalid(
        "a consumer's name is of words of a-z and 0-9 that begin with a letter, with single hyphens between them, at most 40 \
         characters: rust-alert"
            .into(),
    ))
}

/// Files and validation hold up whatever thread they run on.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(format!("it broke off: {e}")))?
}
