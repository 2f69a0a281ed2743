//! `kv`: small records in JetStream key-value buckets.

use anyhow::Context as _;
use async_nats::jetstream::kv::{CreateErrorKind, Entry, Operation, Store, UpdateErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use futures::{StreamExt as _, TryStreamExt as _};
use wasmcloud_provider_sdk::Context;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::kv::{Handler, Item};
use crate::fault::{fault, unavailable};
use crate::provider::Jetstream;
use crate::streams;

const SCAN_MAX: usize = 1_000;
/// A key is part of a subject: NATS closes the connection of who sends a longer line than 4 KiB, and it is everybody's.
const KEY_BYTES_MAX: usize = 1_024;

impl Handler<Option<Context>> for Jetstream {
    async fn get(
        &self,
        cx: Option<Context>,
        bucket: String,
        key: String,
    ) -> anyhow::Result<Result<Option<Item>, Fault>> {
        Ok(async {
            let store = self.bucket(cx.as_ref(), &bucket, &key).await?;
            let entry = store.entry(&*key).await.map_err(|e| unavailable("key-value", &e))?;
            entry
                .filter(|entry| entry.operation == Operation::Put)
                .map(|entry| item(entry.key, &entry.value, entry.revision))
                .transpose()
        }
        .await)
    }

    async fn create(
        &self,
        cx: Option<Context>,
        bucket: String,
        key: String,
        value: String,
    ) -> anyhow::Result<Result<u64, Fault>> {
        Ok(async {
            let store = self.bucket(cx.as_ref(), &bucket, &key).await?;
            store.create(&*key, value.into()).await.map_err(|e| match e.kind() {
                CreateErrorKind::AlreadyExists => fault(FaultCode::Conflict, format!("`{key}` exists already")),
                CreateErrorKind::InvalidKey => fault(FaultCode::Invalid, format!("`{key}` is not a key")),
                _ => unavailable("key-value", &e),
            })
        }
        .await)
    }

    async fn put(
        &self,
        cx: Option<Context>,
        bucket: String,
        key: String,
        value: String,
        revision: Option<u64>,
    ) -> anyhow::Result<Result<u64, Fault>> {
        Ok(async {
            let store = self.bucket(cx.as_ref(), &bucket, &key).await?;
            match revision {
                None => store.put(&*key, value.into()).await.map_err(|e| unavailable("key-value", &e)),
                Some(revision) => store.update(&*key, value.into(), revision).await.map_err(|e| match e.kind() {
                    UpdateErrorKind::WrongLastRevision => fault(
                        FaultCode::Conflict,
                        format!("`{key}` is not at revision {revision} any more: read it again"),
                    ),
                    _ => unavailable("key-value", &e),
                }),
            }
        }
        .await)
    }

    async fn delete(&self, cx: Option<Context>, bucket: String, key: String) -> anyhow::Result<Result<(), Fault>> {
        Ok(async {
            let store = self.bucket(cx.as_ref(), &bucket, &key).await?;
            store.purge(&*key).await.map_err(|e| unavailable("key-value", &e))
        }
        .await)
    }

    async fn scan(
        &self,
        cx: Option<Context>,
        bucket: String,
        filter: String,
        after: Option<String>,
        limit: u32,
    ) -> anyhow::Result<Result<Vec<Item>, Fault>> {
        Ok(async {
            let store = self.bucket(cx.as_ref(), &bucket, &filter).await?;
            let limit = SCAN_MAX.min(limit as usize);
            let entries = entries(&store, &filter, after.as_deref(), limit)
                .await
                .map_err(|e| unavailable("key-value", &format!("{e:#}")))?;
            entries.into_iter().map(|entry| item(entry.key, &entry.value, entry.revision)).collect()
        }
        .await)
    }
}

/// What stands under the keys that match `filter` (NATS subject wildcards) and come after `after`, by key, at most
/// `limit`.
pub async fn entries(store: &Store, filter: &str, after: Option<&str>, limit: usize) -> anyhow::Result<Vec<Entry>> {
    let prefix = format!("$KV.{}.", store.name);
    let stream = &store.stream;
    let mut subjects = stream.info_with_subjects(format!("{prefix}{filter}")).await?;
    let mut keys = Vec::new();
    while let Some((subject, _)) = subjects.try_next().await? {
        let key = subject.strip_prefix(&prefix).filter(|key| after.is_none_or(|after| after < *key));
        keys.extend(key.map(str::to_string));
    }
    keys.sort_unstable();
    // Deleted keys leave a marker behind, so more keys than items may have to be read.
    let mut entries = futures::stream::iter(keys).map(|key| async move { store.entry(&*key).await }).buffered(16);
    let mut found = Vec::new();
    while let Some(entry) = entries.next().await {
        found.extend(entry?.filter(|entry| entry.operation == Operation::Put));
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// What stands under a key, asked of the stream's leader: a replica may be behind, and so may what is followed.
pub async fn last(store: &Store, key: &str) -> anyhow::Result<Option<StreamMessage>> {
    let subject = format!("$KV.{}.{key}", store.name);
    match store.stream.get_last_raw_message_by_subject(&subject).await {
        // Deleted keys leave a marker behind.
        Ok(message) => Ok(Some(message).filter(|message| message.headers.get("KV-Operation").is_none())),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("`{key}` of {}", store.name)),
    }
}

impl Jetstream {
    /// The bucket in which a caller may look for a key.
    async fn bucket(&self, cx: Option<&Context>, bucket: &str, key: &str) -> Result<Store, Fault> {
        self.check_link(cx, "kv").await?;
        if key.len() > KEY_BYTES_MAX {
            return Err(fault(
                FaultCode::Invalid,
                format!("a key of {} bytes, and at most {KEY_BYTES_MAX} are possible", key.len()),
            ));
        }
        if !streams::BUCKETS.contains(&bucket) {
            return Err(fault(FaultCode::Denied, format!("bucket `{bucket}` is not open to components")));
        }
        let parts = self.parts().await.map_err(|e| unavailable("JetStream can't be reached", &e))?;
        parts.bucket(bucket).map_err(|e| unavailable("key-value", &e))
    }
}

fn item(key: String, value: &[u8], revision: u64) -> Result<Item, Fault> {
    let value = String::from_utf8(value.to_vec())
        .map_err(|_| fault(FaultCode::Internal, format!("the value of `{key}` is not UTF-8")))?;
    Ok(Item { key, value, revision })
}
