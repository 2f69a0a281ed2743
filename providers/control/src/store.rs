//! The bucket `ER_CONSUMERS`: records, which are ours, and beside each whether it is paused, which is shared with the API
//! and with jetstream. Every change is made of what was read, and made anew if somebody was faster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{self, CreateErrorKind, Operation, UpdateErrorKind};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{DeleteStatus, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use er_tenant::consumers::{
    delivery_names, durable, record_path, retry_subject, seen_path, state_path, By, Seen, State,
    CONSUMERS_BUCKET as BUCKET, EVENTS_STREAM, RETRY_STREAM,
};
use futures::TryStreamExt as _;
use time::format_description::well_known::Rfc3339;
use time::OffsetDateTime;
use tokio::sync::OnceCell;

use crate::record::Record;
use crate::standing::Conduct;
use crate::Error;

/// As jetstream makes the others.
const HISTORY: i64 = 5;
/// Somebody else is faster so many times in a row only if something is wrong.
const TRIES_MAX: usize = 20;
const POLL: Duration = Duration::from_millis(100);

pub struct Store {
    js: Context,
    replicas: usize,
    bucket: OnceCell<kv::Store>,
}

// === impl Store ===

impl Store {
    pub fn new(js: Context, replicas: usize) -> Self {
        Self { js, replicas, bucket: OnceCell::new() }
    }

    async fn bucket(&self) -> Result<&kv::Store, Error> {
        let open = || async {
            if let Ok(bucket) = self.js.get_key_value(BUCKET).await {
                return Ok(bucket);
            }
            let config = kv::Config {
                bucket: BUCKET.into(),
                history: HISTORY,
                storage: StorageType::File,
                num_replicas: self.replicas,
                ..kv::Config::default()
            };
            self.js.create_key_value(config).await.map_err(Error::bucket)
        };
        self.bucket.get_or_try_init(open).await
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<Option<(T, u64)>, Error> {
        let entry = self.bucket().await?.entry(key).await?;
        let Some(entry) = entry.filter(|entry| entry.operation == Operation::Put) else { return Ok(None) };
        let value = serde_json::from_slice(&entry.value)
            .map_err(|e| Error::Internal(format!("`{key}` of {BUCKET} can't be read: {e}")))?;
        Ok(Some((value, entry.revision)))
    }

    /// Whether it was written: not when it has changed since `revision`.
    async fn write<T: serde::Serialize>(&self, key: &str, value: &T, revision: Option<u64>) -> Result<bool, Error> {
        let text = serde_json::to_vec(value).map_err(|e| Error::Internal(e.to_string()))?;
        let bucket = self.bucket().await?;
        match revision {
            None => match bucket.create(key, text.into()).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(Error::bucket(error)),
            },
            Some(revision) => match bucket.update(key, text.into(), revision).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
                Err(error) => Err(Error::bucket(error)),
            },
        }
    }

    pub async fn record(&self, tenant: &str, name: &str) -> Result<Option<Record>, Error> {
        Ok(self.read(&record_path(tenant, name)).await?.map(|(record, _)| record))
    }

    /// Makes a record of the one that is there, or of none, and writes it.
    pub async fn change(
        &self,
        tenant: &str,
        name: &str,
        make: impl Fn(Option<Record>) -> Result<Record, Error>,
    ) -> Result<Record, Error> {
        let key = record_path(tenant, name);
        for _ in 0..TRIES_MAX {
            let (record, revision) = match self.read(&key).await? {
                Some((record, revision)) => (Some(record), Some(revision)),
                None => (None, None),
            };
            let record = make(record)?;
            if self.write(&key, &record, revision).await? {
                return Ok(record);
            }
        }
        Err(Error::Conflict(format!("`{name}` is changed by others all the time; try again")))
    }

    /// Every record, of one tenant or of all, by key.
    pub async fn records(&self, tenant: Option<&str>) -> Result<Vec<Record>, Error> {
        let filter = format!("{}.*.record", tenant.unwrap_or("*"));
        let keys = keys(self.bucket().await?, &filter).await.map_err(Error::bucket)?;
        let mut records = Vec::new();
        for key in keys {
            records.extend(self.read::<Record>(&key).await?.map(|(record, _)| record));
        }
        Ok(records)
    }

    /// Takes a consumer's place in the streams away, and what waited there for another attempt: another consumer of that name
    /// begins as a new one. The events themselves stay.
    pub async fn vacate(&self, tenant: &str, name: &str) -> Result<(), Error> {
        let away = |e: &dyn std::fmt::Display| Error::Away(format!("the place of `{name}` can't be taken away: {e}"));
        let [fresh, again] = delivery_names(&durable(tenant, name));
        for (stream, place) in [(EVENTS_STREAM, fresh), (RETRY_STREAM, again)] {
            let delete = format!("CONSUMER.DELETE.{stream}.{place}");
            match self
                .js
                .request::<_, _, Response<DeleteStatus>>(delete, &serde_json::json!({}))
                .await
                .map_err(|e| away(&e))?
            {
                Response::Ok(_) => {}
                // One that never was given anything has none.
                Response::Err { error } if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => {}
                Response::Err { error } => return Err(away(&error)),
            }
        }
        let retries = self.js.get_stream(RETRY_STREAM).await.map_err(|e| away(&e))?;
        retries.purge().filter(retry_subject(tenant, name)).await.map_err(|e| away(&e))?;
        Ok(())
    }

    pub async fn forget(&self, tenant: &str, name: &str) -> Result<(), Error> {
        let bucket = self.bucket().await?;
        // The record last: what is left half done is found by it.
        for key in [state_path(tenant, name), seen_path(tenant, name), record_path(tenant, name)] {
            bucket.purge(key).await.map_err(Error::bucket)?;
        }
        Ok(())
    }

    pub async fn pause(&self, tenant: &str, name: &str) -> Result<Option<State>, Error> {
        Ok(self.read(&state_path(tenant, name)).await?.map(|(pause, _)| pause))
    }

    /// Whether a consumer is held, else whether it takes calls.
    pub async fn conduct(&self, tenant: &str, name: &str) -> Result<Conduct, Error> {
        let state: Option<(State, u64)> = self.read(&state_path(tenant, name)).await?;
        let revision = match state {
            Some((state, _)) if state.paused && state.strikes > 0 && state.by != By::Update => {
                return Ok(Conduct::Held(By::Strikes))
            }
            Some((state, _)) if state.paused => return Ok(Conduct::Held(state.by)),
            Some((state, _)) if state.strikes > 0 => return Ok(Conduct::Resumed),
            Some((_, revision)) => revision,
            None => 0,
        };
        let seen: Option<(Seen, u64)> = self.read(&seen_path(tenant, name)).await?;
        let seen = seen.filter(|(seen, _)| seen.revision == revision);
        Ok(Conduct::Takes(seen.and_then(|(seen, _)| seen.took_s).map(Duration::from_secs)))
    }

    /// Sees to it that the consumer is given nothing, and returns the revision that says so. An owner's pause stays one;
    /// where it is for a `move` of what runs, one for strikes does, too.
    pub async fn hold(&self, tenant: &str, name: &str, reason: &str, moves: bool) -> Result<u64, Error> {
        let key = state_path(tenant, name);
        for _ in 0..TRIES_MAX {
            let there: Option<(State, u64)> = self.read(&key).await?;
            if let Some((pause, revision)) = &there {
                if pause.paused && (moves || pause.by != By::Strikes) {
                    return Ok(*revision);
                }
            }
            // That strikes had paused it is known for as long as the update may come to nothing.
            let strikes = there.as_ref().map_or(0, |(pause, _)| if pause.paused { pause.strikes } else { 0 });
            let pause = State { paused: true, by: By::Update, reason: reason.into(), at: now(), strikes };
            self.write(&key, &pause, there.map(|(_, revision)| revision)).await?;
        }
        Err(Error::Conflict(format!("whether `{name}` is paused is changed by others all the time")))
    }

    /// Lets it have events again, unless its owner has paused it. Strikes are forgotten: another version has its own.
    pub async fn release(&self, tenant: &str, name: &str) -> Result<(), Error> {
        let held = |pause: &State| pause.strikes > 0 || pause.paused && pause.by != By::Owner;
        self.turn(tenant, name, |pause| held(&pause).then(|| freed(pause))).await
    }

    /// Forgets strikes that it was resumed after.
    pub async fn forgive(&self, tenant: &str, name: &str) -> Result<(), Error> {
        self.turn(tenant, name, |pause| (!pause.paused && pause.strikes > 0).then(|| freed(pause))).await
    }

    /// It is as it was before an update that came to nothing: it has events again if only that held it.
    pub async fn end_update(&self, tenant: &str, name: &str) -> Result<(), Error> {
        self.turn(tenant, name, |pause| (pause.paused && pause.by == By::Update).then(|| restored(pause))).await
    }

    /// Writes what a state becomes. Nothing is removed: so what somebody else says meanwhile is not lost.
    async fn turn(&self, tenant: &str, name: &str, turn: impl Fn(State) -> Option<State>) -> Result<(), Error> {
        let key = state_path(tenant, name);
        for _ in 0..TRIES_MAX {
            let Some((pause, revision)) = self.read::<State>(&key).await? else { return Ok(()) };
            let Some(pause) = turn(pause) else { return Ok(()) };
            if self.write(&key, &pause, Some(revision)).await? {
                return Ok(());
            }
        }
        Err(Error::Conflict(format!("whether `{name}` is paused is changed by others all the time")))
    }

    /// Waits until jetstream has finished what it was at, and gives the consumer nothing more. Whether it did in time.
    pub async fn seen(&self, tenant: &str, name: &str, revision: u64, deadline: Duration) -> Result<bool, Error> {
        let key = seen_path(tenant, name);
        let started = Instant::now();
        loop {
            let seen: Option<(Seen, u64)> = self.read(&key).await?;
            if seen.is_some_and(|(seen, _)| seen.paused && seen.revision >= revision) {
                return Ok(true);
            }
            if started.elapsed() > deadline {
                return Ok(false);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ids of the tenants that there are.
    pub async fn tenants(&self) -> Result<Vec<String>, Error> {
        let bucket = er_tenant::TENANTS_BUCKET;
        let away = |e: &dyn std::fmt::Display| Error::Away(format!("the tenants can't be read: {e}"));
        let store = self.js.get_key_value(bucket).await.map_err(|e| away(&e))?;
        store.keys().await.map_err(|e| away(&e))?.try_collect().await.map_err(|e| away(&e))
    }
}

fn freed(pause: State) -> State {
    match pause.by {
        By::Owner if pause.paused => State { strikes: 0, ..pause },
        _ => State { paused: false, by: By::Update, reason: String::new(), at: now(), strikes: 0 },
    }
}

/// Of one that an update held.
fn restored(pause: State) -> State {
    if pause.strikes == 0 {
        return freed(pause);
    }
    let reason = format!(
        "paused after {} calls in a row that failed as a whole, and the version that was put in since does not run. Events \
         wait, none is lost. Put in a version that is mended, or resume it to try again",
        pause.strikes
    );
    State { paused: true, by: By::Strikes, reason, at: now(), strikes: pause.strikes }
}

/// A bucket's keys that match a filter, in order. Removed ones may be among them.
pub(crate) async fn keys(bucket: &kv::Store, filter: &str) -> anyhow::Result<BTreeSet<String>> {
    let prefix = format!("$KV.{}.", bucket.name);
    let mut subjects = bucket.stream.info_with_subjects(format!("{prefix}{filter}")).await?;
    let mut keys = BTreeSet::new();
    while let Some((subject, _)) = subjects.try_next().await? {
        keys.extend(subject.strip_prefix(&prefix).map(str::to_owned));
    }
    Ok(keys)
}

pub fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(strikes: u32) -> State {
        State { paused: true, by: By::Update, reason: "version 2 is being deployed".into(), at: now(), strikes }
    }

    #[test]
    fn after_an_update_that_came_to_nothing_strikes_hold_as_before() {
        let back = restored(held(5));
        assert!(back.paused && back.by == By::Strikes && back.strikes == 5, "{back:?}");
        assert!(back.reason.contains("5 calls in a row") && back.reason.contains("resume"), "{}", back.reason);
        assert!(back.reason.chars().count() <= er_tenant::consumers::REASON_CHARS_MAX);
        assert!(!restored(held(0)).paused);
        // One that came to something has its own.
        assert!(!freed(held(5)).paused);
        assert_eq!(freed(held(5)).strikes, 0);
    }
}
