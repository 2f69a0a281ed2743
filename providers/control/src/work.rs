//! What is done about a record until the lattice is as it says: a component tried, an application deployed, updated or
//! taken down. Each step begins and ends with the record, so that a successor goes on where this process was.

use er_consumer::Setup;
use er_deploy::app::{is_away, refusal};
use er_tenant::consumers::By;
use metrics::{counter, gauge, histogram};
use tracing::{info, warn};

use crate::desk::{blocking, Desk};
use crate::record::{Record, State, Version};
use crate::standing::{Conduct, Standing};
use crate::{manifest, names, oci, Error};

/// Of a version whose file is gone from the folder for components.
const LOST: &str = "its component is not kept any more: upload it again";

/// What is left to the next round: the step could not be made now.
struct Later(Error);

impl From<Error> for Later {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

// === impl Desk ===

impl Desk {
    /// Compares the lattice with the records again and again.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.reconcile().await {
                warn!(%error, "the records can't be compared with the lattice; trying again");
            }
            tokio::time::sleep(self.options.reconcile).await;
        }
    }

    async fn reconcile(&self) -> Result<(), Error> {
        let records = self.store.records(None).await?;
        for state in [State::Checking, State::Refused, State::Deploying, State::Running, State::Failed, State::Deleting]
        {
            let count = records.iter().filter(|record| record.state == state).count();
            let name = serde_json::to_value(state).unwrap_or_default();
            gauge!("eventrunner_control_consumers", "state" => name.as_str().unwrap_or_default().to_owned())
                .set(count as f64);
        }
        for record in &records {
            if let Err(error) = self.look_after(record).await {
                let app = names::app(&record.tenant, &record.name);
                warn!(app, %error, "can't be compared with the lattice; trying again");
            }
        }
        self.sweep(&records).await;
        Ok(())
    }

    async fn look_after(&self, record: &Record) -> Result<(), Error> {
        if record.state == State::Failed && self.look_again(record).await? {
            return Ok(());
        }
        if !record.is_settled() {
            self.work_on(record);
            return Ok(());
        }
        let (tenant, name) = (record.tenant.as_str(), record.name.as_str());
        let app = names::app(tenant, name);
        // Somebody is at it.
        let Ok(turn) = self.turns.of(&app).try_lock_owned() else { return Ok(()) };
        let conduct = self.store.conduct(tenant, name).await?;
        let Some(record) = self.judged(tenant, name, conduct).await? else { return Ok(()) };
        if conduct == Conduct::Resumed {
            // It is in the record by now, and counts once.
            self.store.forgive(tenant, name).await?;
        }
        let Some(version) = record.deployed.and_then(|version| record.of(version)).cloned() else { return Ok(()) };
        let wanted = manifest::version_of(&version);
        let away = |e| Error::Away(format!("wadm: {e:#}"));
        let apps = self.apps().await?;
        let found = apps.deployed(&app).await.map_err(away)?;
        let held = conduct == Conduct::Held(By::Update);
        let lost = !self.images.has(version.digest.as_deref().unwrap_or_default());
        if lost || found.as_ref() == Some(&wanted) {
            // A host that has a lost one runs it on.
            let up = (held || lost) && found.is_some() && apps.is_up(&app).await.map_err(away)?;
            if held && up {
                // An update, or a move, that was not done in time left it held until it is up again.
                self.store.end_update(tenant, name).await?;
            }
            if lost && !up {
                self.lose(&record, version.version).await?;
            }
            return Ok(());
        }
        info!(app, wanted, ?found, "not what its record says: deploying it");
        let desk = self.clone();
        tokio::spawn(async move {
            let _turn = turn;
            if let Err(error) = desk.bring(&record, &version).await {
                warn!(app, error = format!("{error:#}"), "could not be brought where it belongs");
            }
        });
        Ok(())
    }

    /// Has the record say that what it says runs does not, and can't be brought anywhere.
    async fn lose(&self, record: &Record, number: u32) -> Result<(), Error> {
        let message = format!("version {number} does not run: {LOST}");
        if record.state == State::Failed && record.message == message {
            return Ok(());
        }
        warn!(app = names::app(&record.tenant, &record.name), message);
        let newest = record.version;
        self.changed(record, |record| record.settle(newest, State::Failed, message.clone())).await?;
        Ok(())
    }

    /// A settled record, with what conduct makes of its standing. None: it is not settled any more.
    async fn judged(&self, tenant: &str, name: &str, conduct: Conduct) -> Result<Option<Record>, Error> {
        let probation = self.options.probation;
        let Some(mut record) = self.store.record(tenant, name).await?.filter(Record::is_settled) else {
            return Ok(None);
        };
        if record.judge(conduct, probation) {
            let judge = |record: &mut Record| {
                record.judge(conduct, probation);
            };
            record = self.changed(&record, judge).await?;
        }
        Ok(Some(record).filter(Record::is_settled))
    }

    /// Does what there is to do about a record, in a task of its own.
    pub(crate) fn work_on(&self, record: &Record) {
        let (desk, tenant, name) = (self.clone(), record.tenant.clone(), record.name.clone());
        tokio::spawn(async move {
            let app = names::app(&tenant, &name);
            let turn = desk.turns.of(&app);
            let _turn = turn.lock().await;
            loop {
                let step = match desk.store.record(&tenant, &name).await {
                    Ok(Some(record)) if !record.is_settled() => desk.step(&record).await,
                    Ok(_) => break,
                    Err(error) => Err(Later(error)),
                };
                if let Err(Later(error)) = step {
                    warn!(app, %error, "left to the next round");
                    break;
                }
            }
            desk.note_progress(&app, None);
        });
    }

    async fn step(&self, record: &Record) -> Result<(), Later> {
        match (record.state, record.of(record.version)) {
            (State::Deleting, _) => self.remove(record).await,
            (State::Checking, Some(version)) => self.check(record, version).await,
            (State::Deploying, Some(version)) => self.deploy(record, version).await,
            _ => Err(Later(Error::Internal("a record without its newest version".into()))),
        }
    }

    // --- checking ---

    async fn check(&self, record: &Record, version: &Version) -> Result<(), Later> {
        let number = version.version;
        match self.tried(record, version).await {
            Ok((digest, note)) => {
                counter!("eventrunner_control_checks_total", "outcome" => "passed").increment(1);
                self.change(record, |record| {
                    record.trial_ended(number);
                    if let Some(version) = record.of_mut(number) {
                        (version.digest, version.note, version.tried) = (Some(digest.clone()), note.clone(), true);
                    }
                    record.settle(number, State::Deploying, format!("version {number} is being deployed"));
                })
                .await
            }
            Err(Error::Away(reason)) => Err(Later(Error::Away(reason))),
            Err(error) => {
                counter!("eventrunner_control_checks_total", "outcome" => "refused").increment(1);
                let mut message = format!("version {number} is refused: {error}");
                if let Some(running) = record.deployed {
                    message.push_str(&format!("; version {running} still runs"));
                }
                self.change(record, |record| {
                    record.trial_ended(number);
                    record.settle(number, State::Refused, message.clone());
                })
                .await
            }
        }
    }

    /// The digest of a version that passed, and what its trial is worth telling.
    async fn tried(&self, record: &Record, version: &Version) -> Result<(String, Option<String>), Error> {
        let digest = match &version.digest {
            Some(digest) => digest.clone(),
            None => {
                let image = version.spec.image.as_deref().unwrap_or_default();
                let reference = oci::reference(image, &self.options.registries)?;
                let component = oci::pull(&reference, self.options.limits.interpreted_bytes_max).await?;
                let desk = self.clone();
                blocking(move || desk.accept(&component)).await?
            }
        };
        if version.tried && self.images.has(&digest) {
            return Ok((digest, version.note.clone()));
        }
        version.check_trials()?;
        let place = self.trials.place(&record.tenant).await?;
        // Before it begins: one that takes this process down is counted by its successor.
        let begun = self.changed(record, |record| record.trial_begins(version.version)).await;
        begun.map_err(|e| Error::Away(e.to_string()))?;
        let (desk, kept) = (self.clone(), digest.clone());
        // A type that it waits for, where one is named in full.
        let event_type = version.spec.types.iter().find(|name| !name.ends_with('*')).cloned();
        let setup = Setup { event_type, settings: version.spec.env.clone() };
        let trial = blocking(move || {
            let _place = place;
            let started = std::time::Instant::now();
            let component = desk.images.read(&kept)?;
            let trial = er_consumer::trial(&component, &setup, &desk.options.limits);
            histogram!("eventrunner_control_check_seconds").record(started.elapsed().as_secs_f64());
            Ok(trial?)
        })
        .await?;
        Ok((digest, trial.sample.map(|said| format!("in its trial it did not handle a sample event: {said}"))))
    }

    // --- deploying ---

    async fn deploy(&self, record: &Record, version: &Version) -> Result<(), Later> {
        let number = version.version;
        let outcome = self.bring(record, version).await;
        let (state, message) = match &outcome {
            Ok(()) => {
                let mut message = format!("version {number} runs");
                if let Some(note) = &version.note {
                    message.push_str(&format!("; {note}"));
                }
                (State::Running, message)
            }
            Err(error) => match refusal(error) {
                Some(reason) => (State::Refused, format!("version {number} is refused: {reason}")),
                None => match error.downcast_ref::<Error>() {
                    Some(Error::Away(reason)) => return Err(Later(Error::Away(reason.clone()))),
                    _ if is_away(error) => return Err(Later(Error::Away(format!("wadm: {error:#}")))),
                    _ => (State::Failed, format!("version {number} could not be deployed: {error:#}")),
                },
            },
        };
        let outcome = outcome.is_ok();
        counter!("eventrunner_control_deployments_total", "outcome" => if outcome { "done" } else { "failed" })
            .increment(1);
        let mut message = message;
        if !outcome {
            if let Some(before) =
                record.deployed.filter(|before| *before != number).and_then(|before| record.of(before))
            {
                message.push_str(&match self.bring(record, before).await {
                    Ok(()) => format!("; version {} runs again", before.version),
                    Err(error) => format!("; and version {} did not come back: {error:#}", before.version),
                });
            }
        }
        self.change(record, |record| {
            if outcome {
                record.deployed = Some(number);
            }
            record.settle(number, state, message.clone());
        })
        .await
    }

    /// What was not up in time, or any more, is left to wadm, which does not give up: whether it runs by now.
    async fn look_again(&self, record: &Record) -> Result<bool, Error> {
        let Some(version) = record.of(record.version) else { return Ok(false) };
        let app = names::app(&record.tenant, &record.name);
        let away = |e| Error::Away(format!("wadm: {e:#}"));
        let apps = self.apps().await?;
        if apps.deployed(&app).await.map_err(away)? != Some(manifest::version_of(version))
            || !apps.is_up(&app).await.map_err(away)?
        {
            return Ok(false);
        }
        let number = version.version;
        let message = if record.deployed == Some(number) {
            // It was taken for lost. Who paused it, and why, stays true.
            self.store.end_update(&record.tenant, &record.name).await?;
            format!("version {number} runs again")
        } else {
            self.store.release(&record.tenant, &record.name).await?;
            format!("version {number} runs; it came up after its deadline")
        };
        let run = |record: &mut Record| {
            if record.version == number && record.state == State::Failed {
                record.deployed = Some(number);
                record.settle(number, State::Running, message.clone());
            }
        };
        self.changed(record, run).await?;
        info!(app, message);
        Ok(true)
    }

    /// Deploys a version in place of whichever runs, or of itself on other hosts. What does run is given nothing
    /// meanwhile, and what it was at is finished before: no call is cut off, so that none is made twice.
    async fn bring(&self, record: &Record, version: &Version) -> anyhow::Result<()> {
        let (tenant, name) = (record.tenant.as_str(), record.name.as_str());
        let app = names::app(tenant, name);
        let digest = version.digest.as_deref().unwrap_or_default();
        if !self.images.has(digest) {
            anyhow::bail!(LOST);
        }
        let manifest = manifest::of(tenant, name, version, &self.images.path(digest))?;
        let _permit = self.deployments.acquire().await?;
        let apps = self.apps().await?;
        let running = apps.deployed(&app).await.map_err(|e| Error::Away(format!("wadm: {e:#}")))?;
        let wanted = manifest::version_of(version);
        // What runs, or ran, as it is: who paused it, and why, stays true.
        let same = record.deployed == Some(version.version);
        let moves = running.as_deref().is_some_and(|running| manifest::is_elsewhere(version, running));
        if moves {
            let role = version.standing.role();
            info!(app, wanted, role, "moving to other hosts");
            let away = |e| Error::Away(format!("the hosts: {e:#}"));
            if !apps.has_host(manifest::ROLE, role).await.map_err(away)? {
                anyhow::bail!("no host has the label {}={role}: start one", manifest::ROLE);
            }
        }
        let replaces = running.as_ref().is_some_and(|running| *running != wanted);
        if replaces {
            self.note_progress(&app, Some("waiting for the last call to end"));
            let doing = if moves { "is moved to other hosts" } else { "is being deployed" };
            let reason = format!("version {} {doing}", version.version);
            let revision = self.store.hold(tenant, name, &reason, same).await?;
            if moves
                && version.standing == Standing::Proven
                && self.store.conduct(tenant, name).await? == Conduct::Held(By::Strikes)
            {
                anyhow::bail!("it was paused by strikes meanwhile");
            }
            if !self.store.seen(tenant, name, revision, self.options.seen_within).await? {
                let waited_s = self.options.seen_within.as_secs();
                warn!(app, waited_s, "jetstream did not say that it stopped delivering; it may be away");
            }
        }
        let deadline = self.options.deploy_within;
        let deployed = apps.deploy(&manifest, deadline, |progress| self.note_progress(&app, Some(progress))).await;
        self.note_progress(&app, None);
        if deployed.is_ok() {
            // What is not needed any more; what stays is only clutter.
            if let Err(error) = apps.prune(&app, &wanted).await {
                warn!(app, error = format!("{error:#}"), "old versions stay in wadm");
            }
            if moves {
                counter!("eventrunner_control_moves_total", "role" => version.standing.role()).increment(1);
            }
            info!(app, wanted, "deployed");
        }
        // Also what was refused, or is left to the next round, and so runs as before.
        let unchanged = deployed.is_err() && apps.deployed(&app).await.is_ok_and(|now| now == running);
        let as_before = unchanged && (same || replaces);
        if same && deployed.is_ok() || as_before {
            self.store.end_update(tenant, name).await?;
        } else if deployed.is_ok() {
            self.store.release(tenant, name).await?;
        }
        deployed
    }

    // --- deleting ---

    async fn remove(&self, record: &Record) -> Result<(), Later> {
        let app = names::app(&record.tenant, &record.name);
        if names::owns_app(record, &self.store.records(None).await?) {
            let apps = self.apps().await?;
            // Also where it is not deployed any more: a predecessor may have been stopped before all of it was gone.
            if apps.knows(&app).await.map_err(|e| Error::Away(format!("wadm: {e:#}")))? {
                self.quiesce(record).await;
            }
            let removed = apps.remove(&app, self.options.deploy_within).await;
            removed.map_err(|e| Error::Away(format!("{app} can't be taken down: {e:#}")))?;
        }
        self.store.vacate(&record.tenant, &record.name).await?;
        self.store.forget(&record.tenant, &record.name).await?;
        info!(app, "taken down and forgotten");
        Ok(())
    }

    /// The call that a consumer is at ends before it is taken down: what that one fails at would be written after its place is
    /// gone. Where that can't be had, it goes all the same.
    async fn quiesce(&self, record: &Record) {
        let Record { tenant, name, .. } = record;
        let held = async {
            let revision = self.store.hold(tenant, name, "it is being deleted", true).await?;
            self.store.seen(tenant, name, revision, self.options.seen_within).await
        };
        match held.await {
            Ok(true) => {}
            Ok(false) => warn!(tenant, name, "deleted, and jetstream did not say that it stopped delivering"),
            Err(error) => warn!(tenant, name, %error, "deleted without being held before"),
        }
    }

    async fn change(&self, record: &Record, change: impl Fn(&mut Record)) -> Result<(), Later> {
        self.changed(record, change).await?;
        Ok(())
    }

    /// A record after a change, which is made of what it is by then.
    async fn changed(&self, record: &Record, change: impl Fn(&mut Record)) -> Result<Record, Error> {
        let gone = || Error::NotFound("the record is gone".into());
        let changed = |record: Option<Record>| {
            let mut record = record.ok_or_else(gone)?;
            change(&mut record);
            Ok(record)
        };
        self.store.change(&record.tenant, &record.name, changed).await
    }
}
