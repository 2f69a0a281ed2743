//! Where decisions are asked for: the policy that counts, as far as it is known that it still does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream;
use er_policy::{Answer, Bundle, Compiled, Evaluator, Failure, Limits, Ready};
use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use serde_json::{json, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tracing::{info, warn};

use crate::data::{assembled, Names, Tenant};
use crate::follow::Tenants;
use crate::library::{check_size, Current, Library};
use crate::log::{Allowed, DecisionLog, Writer};
use crate::Error;

const REVISION_CHARS: usize = 12;
const BY_CHARS_MAX: usize = 100;

#[derive(Debug, Clone)]
pub struct Options {
    /// The bundle that counts for as long as none was activated.
    pub bundle: PathBuf,
    /// The bucket of the tenants' records; none: tenants are what published data says.
    pub tenants_bucket: Option<String>,
    /// Between two questions whether anything changed.
    pub poll: Duration,
    /// Nothing is allowed any more when what changed can't be asked for that long.
    pub stale_after: Duration,
    pub log_allowed: Allowed,
    pub replicas: usize,
    pub limits: Limits,
}

/// A clone is a handle to the same.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    evaluator: Evaluator,
    started: Instant,
    /// Milliseconds since the start when it was last known that nothing was missed, plus one; 0: never.
    fresh_ms: AtomicU64,
    log: DecisionLog,
    js: OnceCell<(jetstream::Context, Library)>,
    told: Mutex<Told>,
    /// Of the data that the evaluator decides by.
    names: Mutex<Arc<Names>>,
    /// One change at a time.
    followed: tokio::sync::Mutex<Followed>,
}

/// What people are told of the state.
#[derive(Debug, Default)]
struct Told {
    current: Option<Current>,
    /// Its place in the library; 0: nothing was ever activated.
    activation: u64,
    refused: Option<String>,
    /// Why the last round of questions had no answer.
    away: Option<String>,
}

#[derive(Debug)]
struct Followed {
    tenants: Option<Tenants>,
    /// Place of the record that was acted upon, whatever came of it.
    seen: Option<u64>,
    active: Option<Version>,
}

/// What can be decided by from now on.
struct Made {
    ready: Ready,
    names: Names,
}

/// A policy and the data published over it, before the tenants.
#[derive(Clone)]
struct Version {
    compiled: Compiled,
    own: Value,
    published: Option<Value>,
}

// === impl Followed ===

impl Followed {
    fn records(&self) -> &BTreeMap<String, Tenant> {
        static NONE: BTreeMap<String, Tenant> = BTreeMap::new();
        self.tenants.as_ref().map_or(&NONE, Tenants::records)
    }
}

// === impl Desk ===

impl Desk {
    /// Denies everything until it [follows](Desk::follow). The writer of the decision log is the caller's to run.
    #[must_use]
    pub fn new(options: Options) -> (Self, Writer) {
        let (log, writer) = DecisionLog::new(options.log_allowed);
        let tenants = options.tenants_bucket.clone().map(Tenants::of);
        let desk = Self(Arc::new(Inner {
            options,
            evaluator: Evaluator::default(),
            started: Instant::now(),
            fresh_ms: AtomicU64::new(0),
            log,
            js: OnceCell::new(),
            told: Mutex::default(),
            names: Mutex::default(),
            followed: tokio::sync::Mutex::new(Followed { tenants, seen: None, active: None }),
        }));
        (desk, writer)
    }

    /// Decides at once: from memory, or by the policy, whose time is bounded. `caller` is for the log.
    #[must_use]
    pub fn decide(&self, caller: &str, question: &str) -> Answer {
        let inner = &self.0;
        let started = Instant::now();
        let answer = match self.age() {
            Some(age) if age > inner.options.stale_after => inner.evaluator.failed(
                Failure::Stale,
                &format!("what changed in the last {} s is not known, JetStream can't be reached", age.as_secs()),
            ),
            // Never: then nothing is loaded either, and the evaluator says so.
            _ => inner.evaluator.decide(question),
        };
        let allow = if answer.decision.allow { "true" } else { "false" };
        if answer.cached {
            counter!("eventrunner_policy_decisions_total", "allow" => allow, "cached" => "true").increment(1);
        } else {
            counter!("eventrunner_policy_decisions_total", "allow" => allow, "cached" => "false").increment(1);
            histogram!("eventrunner_policy_decision_seconds").record(started.elapsed().as_secs_f64());
        }
        if let Some(failure) = answer.decision.failure {
            counter!("eventrunner_policy_failures_total", "failure" => failure.as_str()).increment(1);
        }
        inner.log.note(caller, question, &answer);
        answer
    }

    /// Who there is.
    #[must_use]
    pub fn names(&self) -> Arc<Names> {
        Arc::clone(&self.0.names.lock())
    }

    /// Waits until the decisions that were made are in the log.
    pub async fn drain(&self, at_most: Duration) {
        self.0.log.drain(at_most).await;
    }

    /// Since when it is not known whether anything changed; none: it never was.
    fn age(&self) -> Option<Duration> {
        let fresh = self.0.fresh_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.0.started.elapsed().saturating_sub(Duration::from_millis(fresh)))
    }

    fn is_fresh(&self) -> bool {
        self.age().is_some_and(|age| age <= self.0.options.stale_after)
    }

    /// Whether it can allow anything, and what is to be said of it.
    #[must_use]
    pub fn health(&self) -> (bool, String) {
        let told = self.0.told.lock();
        let revision = self.0.evaluator.revision();
        let loaded = !revision.is_empty();
        let mut says = if loaded { format!("decides by {revision}") } else { "no policy is loaded".to_owned() };
        if let Some(away) = &told.away {
            says.push_str(&format!("; what counts can't be asked: {away}"));
        }
        if let Some(refused) = &told.refused {
            says.push_str(&format!("; refused: {refused}"));
        }
        let healthy = loaded && self.is_fresh();
        if !healthy {
            says.push_str("; everything is denied");
        }
        (healthy, says)
    }

    /// As `policies.state` has it.
    #[must_use]
    pub fn state(&self) -> Value {
        let told = self.0.told.lock();
        json!({
            "revision": &*self.0.evaluator.revision(),
            "activation": told.activation,
            "current": told.current,
            "refused": told.refused,
            "fresh": self.is_fresh(),
        })
    }

    // === following ===

    /// Asks again and again what counts, for as long as it is polled.
    pub async fn follow(&self, js: jetstream::Context) {
        let mut ticks = tokio::time::interval(self.0.options.poll);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Each question has a deadline of its own. What else takes time is compiling, which must come to its end.
            let away = self.ask(&js).await.err().map(|error| format!("{error:#}"));
            let mut told = self.0.told.lock();
            if away.is_some() && told.away != away {
                warn!(error = away, "what counts can't be asked, trying again");
            } else if away.is_none() && told.away.is_some() {
                info!("what counts can be asked again");
            }
            told.away = away;
            gauge!("eventrunner_policy_revision_refused").set(if told.refused.is_some() { 1.0 } else { 0.0 });
            drop(told);
            gauge!("eventrunner_policy_fresh").set(if self.is_fresh() { 1.0 } else { 0.0 });
        }
    }

    /// Asks now what counts, for whoever can't wait for the next poll: what was just denied may be allowed by what just
    /// changed. While JetStream was never reached there is nothing to ask, and at the end of `at_most` it is left to
    /// [`Desk::follow`].
    pub async fn refresh(&self, at_most: Duration) {
        if let Some((js, _)) = self.0.js.get() {
            // What is away is told by whoever follows.
            let _ = tokio::time::timeout(at_most, self.ask(js)).await;
        }
    }

    async fn ask(&self, js: &jetstream::Context) -> anyhow::Result<()> {
        let asked = self.round(js).await?;
        // As of the question, not of the answer; two may be under way at once.
        let at = asked.saturating_duration_since(self.0.started).as_millis();
        self.0.fresh_ms.fetch_max(u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1), Ordering::Relaxed);
        Ok(())
    }

    async fn library(&self, js: &jetstream::Context) -> anyhow::Result<&Library> {
        let opened = self.0.js.get_or_try_init(|| async {
            let library = Library::open(js, self.0.options.replicas).await?;
            anyhow::Ok((js.clone(), library))
        });
        opened.await.map(|(_, library)| library)
    }

    /// Gives since when what it found counts.
    async fn round(&self, js: &jetstream::Context) -> anyhow::Result<Instant> {
        let library = self.library(js).await?;
        let mut followed = self.0.followed.lock().await;
        // Who had it before may have been compiling.
        let asked = Instant::now();
        if let Some(tenants) = &mut followed.tenants {
            tenants.read(js).await?;
        }
        let (place, record) = library.current().await?;
        if followed.seen != Some(place) {
            match self.load(library, record.as_deref()).await {
                Ok((version, current)) => {
                    let made = self.make(&version, followed.records()).await;
                    return self.take(&mut followed, place, version, current, made).map(|()| asked);
                }
                Err(Error::Away(error)) => return Err(error),
                Err(refused) => self.refuse(&mut followed, place, &refused.to_string()),
            }
        }
        if followed.tenants.as_ref().is_some_and(Tenants::pending) {
            if let Some(active) = followed.active.clone() {
                // A policy that can't take the tenants as they are now must not go on with those that were.
                let made =
                    self.make(&active, followed.records()).await.context("the policy does not take the tenants")?;
                self.activated(made);
            }
        }
        if let Some(tenants) = &mut followed.tenants {
            tenants.settle();
        }
        Ok(asked)
    }

    fn take(
        &self,
        followed: &mut Followed,
        place: u64,
        version: Version,
        current: Option<Current>,
        made: Result<Made, Error>,
    ) -> anyhow::Result<()> {
        match made {
            Ok(made) => {
                info!(revision = &**made.ready.revision(), ?current, "decides from now on");
                self.activated(made);
                followed.seen = Some(place);
                followed.active = Some(version);
                if let Some(tenants) = &mut followed.tenants {
                    tenants.settle();
                }
                let mut told = self.0.told.lock();
                told.current = current;
                told.activation = place;
                told.refused = None;
                counter!("eventrunner_policy_replacements_total").increment(1);
                Ok(())
            }
            Err(refused) => {
                self.refuse(followed, place, &refused.to_string());
                Ok(())
            }
        }
    }

    fn activated(&self, made: Made) {
        self.0.evaluator.activate(made.ready);
        *self.0.names.lock() = Arc::new(made.names);
    }

    /// What counted before goes on doing so.
    fn refuse(&self, followed: &mut Followed, place: u64, reason: &str) {
        let mut told = self.0.told.lock();
        if told.refused.as_deref() != Some(reason) {
            warn!(reason, revision = &*self.0.evaluator.revision(), "refused a policy, the one before it stays");
            counter!("eventrunner_policy_refusals_total").increment(1);
        }
        told.refused = Some(reason.to_owned());
        // The bundle's file may be there later.
        followed.seen = Some(place).filter(|place| *place > 0);
    }

    async fn load(&self, library: &Library, record: Option<&[u8]>) -> Result<(Version, Option<Current>), Error> {
        let Some(record) = record else {
            let path = &self.0.options.bundle;
            let packed = tokio::fs::read(path).await.map_err(|e| {
                Error::Invalid(format!(
                    "the bundle {} can't be read: {e}; make it with scripts/build-policies, or activate one",
                    path.display()
                ))
            })?;
            return Ok((self.version(packed, None).await?, None));
        };
        let current: Current = serde_json::from_slice(record)
            .map_err(|e| Error::Invalid(format!("the record of what counts can't be read: {e}; activate again")))?;
        let version = self.fetch(library, &current.bundle, current.data.as_deref()).await?;
        Ok((version, Some(current)))
    }

    async fn fetch(&self, library: &Library, bundle: &str, data: Option<&str>) -> Result<Version, Error> {
        let packed = library.bundle(bundle).await?;
        let published = match data {
            Some(revision) => Some(library.data(revision).await?),
            None => None,
        };
        let version = self.version(packed.into(), published).await?;
        if **version.compiled.revision() != *bundle {
            return Err(Error::Invalid(format!(
                "the bundle kept as {bundle} is {}; publish it again",
                version.compiled.revision()
            )));
        }
        Ok(version)
    }

    async fn version(&self, packed: Vec<u8>, published: Option<Value>) -> Result<Version, Error> {
        let limits = self.0.options.limits;
        apart(move || {
            let bundle = Bundle::read(&packed, &limits)?;
            Ok(Version { compiled: Compiled::new(&bundle, limits)?, own: bundle.data, published })
        })
        .await
    }

    async fn make(&self, version: &Version, tenants: &BTreeMap<String, Tenant>) -> Result<Made, Error> {
        let data = assembled(&version.own, version.published.as_ref(), tenants);
        let names = Names::of(&data);
        let compiled = version.compiled.clone();
        apart(move || Ok(Made { ready: compiled.with_data(data)?, names })).await
    }

    // === changing ===

    fn opened(&self) -> Result<&Library, Error> {
        let opened = self.0.js.get().map(|(_, library)| library);
        opened.ok_or_else(|| Error::Away(anyhow::anyhow!("it was not reached since the start")))
    }

    /// The version that counts, and the tenants. Who only tries something out keeps nobody from following meanwhile.
    async fn now(&self) -> (Option<Version>, BTreeMap<String, Tenant>) {
        let followed = self.0.followed.lock().await;
        (followed.active.clone(), followed.records().clone())
    }

    /// As `policies.versions` has it.
    ///
    /// # Errors
    /// [`Error::Away`]
    pub async fn versions(&self) -> Result<Value, Error> {
        self.opened()?.versions().await
    }

    /// Keeps a bundle that loads and passes its self-test, and returns its revision.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn publish_bundle(&self, packed: Vec<u8>) -> Result<String, Error> {
        check_size("bundle", packed.len())?;
        let library = self.opened()?;
        let (active, tenants) = self.now().await;
        let version = self.version(packed.clone(), active.and_then(|active| active.published)).await?;
        self.make(&version, &tenants).await?;
        let revision = version.compiled.revision().to_string();
        library.keep("bundle", &revision, packed.into()).await?;
        info!(revision, "a bundle was published");
        Ok(revision)
    }

    /// Keeps data that the policy which counts takes and passes its self-test with, and returns its revision.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn publish_data(&self, text: &str) -> Result<String, Error> {
        check_size("data", text.len())?;
        let data: Value =
            serde_json::from_str(text).map_err(|e| Error::Invalid(format!("the data is not JSON: {e}")))?;
        if !data.is_object() {
            return Err(Error::Invalid("the data is not an object".into()));
        }
        let library = self.opened()?;
        let (active, tenants) = self.now().await;
        if let Some(active) = active {
            self.make(&Version { published: Some(data.clone()), ..active }, &tenants).await?;
        }
        let text = data.to_string();
        let mut revision: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
        revision.truncate(REVISION_CHARS);
        library.keep("data", &revision, text.into()).await?;
        info!(revision, "data was published");
        Ok(revision)
    }

    /// Lets versions count that were published, older ones too, if they load and pass the self-test.
    ///
    /// # Errors
    /// What is wrong with them, or [`Error::Conflict`].
    pub async fn activate(
        &self,
        bundle: &str,
        data: Option<&str>,
        by: &str,
        over: Option<u64>,
    ) -> Result<Value, Error> {
        if by.is_empty() || by.chars().count() > BY_CHARS_MAX {
            return Err(Error::Invalid(format!("say by whom, in 1 to {BY_CHARS_MAX} characters")));
        }
        let library = self.opened()?;
        let mut followed = self.0.followed.lock().await;
        if let (Some(tenants), Some((js, _))) = (&mut followed.tenants, self.0.js.get()) {
            // Just after a start not all of them were read.
            tenants.read(js).await.map_err(Error::Away)?;
        }
        let (last, _) = library.current().await?;
        if over.is_some_and(|over| over != last) {
            return Err(Error::Conflict);
        }
        let version = self.fetch(library, bundle, data).await?;
        let made = self.make(&version, followed.records()).await?;
        let (place, current) = library.activate(bundle, data, by, last).await?;
        self.take(&mut followed, place, version, Some(current), Ok(made)).map_err(Error::Away)?;
        Ok(self.state())
    }
}

/// Off the threads that answer: compiling takes half a second.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Error::Invalid(format!("the policy could not be made ready: {error}"))),
    }
}

impl std::fmt::Debug for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Version").field("bundle", self.compiled.revision()).finish_non_exhaustive()
    }
}
