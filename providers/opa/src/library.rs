//! Versions of policies and data in the bucket `ER_POLICY`, and the record that says which of them count.
//!
//! | key | value |
//! |---|---|
//! | `bundle.<revision>` | a bundle, never changed |
//! | `data.<revision>` | a JSON object that is laid over a bundle's data, never changed |
//! | `current` | [`Current`]; its history is the list of activations |

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, StorageType};
use async_nats::jetstream::{self, kv};
use bytes::Bytes;
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};
use time::format_description::well_known::Rfc3339;

use crate::Error;

pub const BUCKET: &str = "ER_POLICY";
/// NATS takes no larger message without being told to.
pub const VERSION_BYTES_MAX: usize = 700 << 10;
const CURRENT: &str = "current";
/// Activations that are remembered; as many as a bucket can.
const HISTORY: i64 = 64;

/// Which versions count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    pub bundle: String,
    /// None: the bundle's own data, with nothing over it.
    pub data: Option<String>,
    /// Who activated it.
    pub by: String,
    /// When, in RFC 3339.
    pub at: String,
}

/// The bucket.
#[derive(Debug, Clone)]
pub struct Library {
    bucket: Store,
}

// === impl Library ===

impl Library {
    /// Makes the bucket if it is not there.
    ///
    /// # Errors
    /// When JetStream can't be reached.
    pub async fn open(js: &jetstream::Context, replicas: usize) -> anyhow::Result<Self> {
        let bucket = match js.get_key_value(BUCKET).await {
            Ok(bucket) => bucket,
            Err(_) => js
                .create_key_value(kv::Config {
                    bucket: BUCKET.into(),
                    history: HISTORY,
                    storage: StorageType::File,
                    num_replicas: replicas,
                    ..kv::Config::default()
                })
                .await
                .with_context(|| format!("making the bucket {BUCKET}"))?,
        };
        Ok(Self { bucket })
    }

    /// The record of what counts, and its place in the bucket (0: there never was one). Asked of the stream's leader: a
    /// replica may lag behind.
    pub(crate) async fn current(&self) -> Result<(u64, Option<Bytes>), Error> {
        let message = self.bucket.stream.get_last_raw_message_by_subject(&self.subject(CURRENT)).await;
        match message {
            Ok(message) if message.headers.get("KV-Operation").is_none() => {
                Ok((message.sequence, Some(message.payload)))
            }
            Ok(message) => Ok((message.sequence, None)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok((0, None)),
            Err(error) => Err(Error::Away(error.into())),
        }
    }

    pub(crate) async fn bundle(&self, revision: &str) -> Result<Bytes, Error> {
        self.version("bundle", revision).await
    }

    pub(crate) async fn data(&self, revision: &str) -> Result<Value, Error> {
        let text = self.version("data", revision).await?;
        serde_json::from_slice(&text).map_err(|e| Error::Invalid(format!("data {revision} is not JSON: {e}")))
    }

    async fn version(&self, what: &'static str, revision: &str) -> Result<Bytes, Error> {
        let unknown = || Error::Unknown { what, revision: revision.to_owned() };
        if revision.is_empty() || !revision.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let entry = self.bucket.get(format!("{what}.{revision}")).await.map_err(|e| Error::Away(e.into()))?;
        entry.ok_or_else(unknown)
    }

    /// Keeps a version under its revision. One that is there already is the same.
    pub(crate) async fn keep(&self, what: &'static str, revision: &str, content: Bytes) -> Result<(), Error> {
        check_size(what, content.len())?;
        match self.bucket.create(format!("{what}.{revision}"), content).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(Error::Away(error.into())),
        }
    }

    /// Lets versions count, if nobody else changed what counts since `over` (0: nothing counted).
    pub(crate) async fn activate(
        &self,
        bundle: &str,
        data: Option<&str>,
        by: &str,
        over: u64,
    ) -> Result<(u64, Current), Error> {
        let at = rfc3339(SystemTime::now());
        let current = Current { bundle: bundle.into(), data: data.map(str::to_owned), by: by.into(), at };
        let text = serde_json::to_vec(&current).map_err(|e| Error::Away(e.into()))?;
        let place = self.bucket.update(CURRENT, text.into(), over).await.map_err(|e| match e.kind() {
            UpdateErrorKind::WrongLastRevision => Error::Conflict,
            _ => Error::Away(e.into()),
        })?;
        Ok((place, current))
    }

    /// Every version and activation, newest first.
    ///
    /// # Errors
    /// [`Error::Away`]
    pub async fn versions(&self) -> Result<Value, Error> {
        let away = |e: anyhow::Error| Error::Away(e);
        let keys: Vec<String> = match self.bucket.keys().await {
            Ok(keys) => keys.try_collect().await.map_err(|e| away(e.into()))?,
            Err(error) => return Err(away(error.into())),
        };
        let (mut bundles, mut data) = (Vec::new(), Vec::new());
        for key in keys {
            let (Some((what, revision)), Some(entry)) =
                (key.split_once('.'), self.bucket.entry(&*key).await.map_err(|e| away(e.into()))?)
            else {
                continue;
            };
            let at = entry.created.format(&Rfc3339).unwrap_or_default();
            let row = (entry.revision, json!({"revision": revision, "bytes": entry.value.len(), "at": at}));
            match what {
                "bundle" => bundles.push(row),
                "data" => data.push(row),
                _ => {}
            }
        }
        let mut activations = Vec::new();
        // A bucket without the key has an empty history, which some servers answer with an error.
        if self.current().await?.0 > 0 {
            let mut history = self.bucket.history(CURRENT).await.map_err(|e| away(e.into()))?;
            while let Some(entry) = history.try_next().await.map_err(|e| away(e.into()))? {
                if entry.operation == Operation::Put {
                    let record = serde_json::from_slice(&entry.value).unwrap_or(Value::Null);
                    activations.push((entry.revision, record));
                }
            }
        }
        Ok(json!({"bundles": newest(bundles), "data": newest(data), "activations": newest(activations)}))
    }

    fn subject(&self, key: &str) -> String {
        format!("$KV.{BUCKET}.{key}")
    }
}

pub(crate) fn check_size(what: &'static str, bytes: usize) -> Result<(), Error> {
    if bytes > VERSION_BYTES_MAX {
        return Err(Error::TooLarge { what, bytes, max: VERSION_BYTES_MAX });
    }
    Ok(())
}

pub(crate) fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    er_event::event::rfc3339_us(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn newest(mut rows: Vec<(u64, Value)>) -> Vec<Value> {
    rows.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
    rows.into_iter().map(|(_, row)| row).collect()
}
