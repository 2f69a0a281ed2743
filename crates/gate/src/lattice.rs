//! The private side: what hosts and wadm are told and asked once a request is past the gate.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::jetstream::{self, kv};
use async_nats::{Client, HeaderMap, Message, Request};
use bytes::Bytes;
use tokio::time::{sleep, Instant};
use wadm_types::api::{GetModelRequest, GetModelResponse};
use wasmcloud_control_interface::{CtlResponse, HostInventory};

use crate::question::Settings;

/// A host, or wadm, that is being started again listens within this.
const LISTENS_WITHIN: Duration = Duration::from_millis(1_500);
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Longer than any caller of ours waits.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// A little longer than whoever only looks (`er deploy`, control: 10 s): an answer in a host's place would say that it runs
/// nothing. A host that compiles answers pings and nothing else, and is looked at often.
pub const READS_WITHIN: Duration = Duration::from_secs(12);
const INVENTORY_WITHIN: Duration = Duration::from_secs(2);
/// wadm puts a link's configuration and the link at about the same time.
const CONFIG_WITHIN: Duration = Duration::from_secs(1);
pub const ROLE: &str = "eventrunner.role";

/// The subjects of one lattice.
#[derive(Debug, Clone)]
pub struct Subjects {
    pub lattice: String,
    /// Up to the lattice's name: `wasmbus.ctl`.
    pub public_control: String,
    pub private_control: String,
    /// Up to the lattice's name: `wadm.api`.
    pub public_wadm: String,
    pub private_wadm: String,
    /// What hosts ask before they start anything.
    pub policy_topic: String,
}

/// Hosts and wadm.
#[derive(Debug, Clone)]
pub struct Lattice {
    pub nats: Client,
    pub subjects: Subjects,
    js: jetstream::Context,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    #[error("nobody listens on {0}: the host, or wadm, is down")]
    Nobody(String),
    #[error("no answer on {0}: {1}")]
    Silent(String, String),
}

// === impl Subjects ===

impl Subjects {
    #[must_use]
    pub fn control(&self, prefix: &str) -> String {
        format!("{prefix}.v1.{}", self.lattice)
    }

    #[must_use]
    pub fn wadm(&self, prefix: &str) -> String {
        format!("{prefix}.{}", self.lattice)
    }

    /// # Errors
    /// Subjects by which a request could get around the gate, or come to it twice.
    pub fn check(&self) -> anyhow::Result<()> {
        for (what, public, private) in
            [("control", &self.public_control, &self.private_control), ("wadm", &self.public_wadm, &self.private_wadm)]
        {
            let below = |one: &str, other: &str| one == other || one.starts_with(&format!("{other}."));
            anyhow::ensure!(
                !below(public, private) && !below(private, public),
                "the private {what} prefix `{private}` and the public one `{public}` overlap; let them differ in a token"
            );
        }
        Ok(())
    }
}

// === impl Lattice ===

impl Lattice {
    #[must_use]
    pub fn new(nats: Client, js: jetstream::Context, subjects: Subjects) -> Self {
        Self { nats, subjects, js }
    }

    /// Hands a request over, and waits for the one answer to it. Whoever listens in a moment is waited for.
    ///
    /// # Errors
    /// [`Gone`]
    pub async fn request(
        &self,
        answer: Duration,
        subject: &str,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message, Gone> {
        let deadline = Instant::now() + LISTENS_WITHIN;
        loop {
            let mut request = Request::new().payload(payload.clone()).timeout(Some(answer));
            if let Some(headers) = &headers {
                request = request.headers(headers.clone());
            }
            match self.nats.send_request(subject.to_owned(), request).await {
                Ok(message) => return Ok(message),
                // It was delivered to nobody, so that it can be sent again.
                Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                    if Instant::now() > deadline {
                        return Err(Gone::Nobody(subject.to_owned()));
                    }
                    sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(Gone::Silent(subject.to_owned(), error.to_string())),
            }
        }
    }

    /// Hands a request over to all who listen; they answer whoever asked.
    ///
    /// # Errors
    /// When NATS is gone.
    pub async fn scatter(&self, subject: String, message: Message) -> anyhow::Result<()> {
        let Message { reply, headers, payload, .. } = message;
        match (reply, headers) {
            (Some(reply), Some(headers)) => {
                self.nats.publish_with_reply_and_headers(subject, reply, headers, payload).await?;
            }
            (Some(reply), None) => self.nats.publish_with_reply(subject, reply, payload).await?,
            (None, Some(headers)) => self.nats.publish_with_headers(subject, headers, payload).await?,
            (None, None) => self.nats.publish(subject, payload).await?,
        }
        Ok(())
    }

    /// The role of a host; none where it does not say, in time.
    pub async fn role(&self, host_id: &str) -> Option<String> {
        let subject = format!("{}.host.get.{host_id}", self.subjects.control(&self.subjects.private_control));
        let answer = self.request(INVENTORY_WITHIN, &subject, None, Bytes::new()).await.ok()?;
        let inventory: CtlResponse<HostInventory> = serde_json::from_slice(&answer.payload).ok()?;
        inventory.into_data()?.labels().get(ROLE).cloned()
    }

    /// A named configuration, as the hosts read it. One that is on its way is waited for.
    ///
    /// # Errors
    /// Why it can't be read.
    pub async fn config(&self, name: &str) -> Result<Settings, String> {
        let unread = |error: &dyn std::fmt::Display| format!("configuration {name} can't be read: {error}");
        let bucket: kv::Store = self
            .js
            .get_key_value(format!("CONFIGDATA_{}", self.subjects.lattice))
            .await
            .map_err(|error| unread(&error))?;
        let deadline = Instant::now() + CONFIG_WITHIN;
        loop {
            if let Some(text) = bucket.get(name).await.map_err(|error| unread(&error))? {
                return serde_json::from_slice(&text).map_err(|error| unread(&error));
            }
            if Instant::now() > deadline {
                return Err(format!("there is no configuration {name}; put it first"));
            }
            sleep(AGAIN_AFTER).await;
        }
    }

    /// A manifest that wadm keeps; no version is the latest.
    ///
    /// # Errors
    /// When wadm does not tell.
    pub async fn stored(&self, app: &str, version: Option<String>) -> anyhow::Result<GetModelResponse> {
        let subject = format!("{}.model.get.{app}", self.subjects.wadm(&self.subjects.private_wadm));
        let request = serde_json::to_vec(&GetModelRequest { version })?;
        let answer = self.request(ANSWERS_WITHIN, &subject, None, request.into()).await?;
        Ok(serde_json::from_slice(&answer.payload)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(private_control: &str, private_wadm: &str) -> Subjects {
        Subjects {
            lattice: "default".into(),
            public_control: "wasmbus.ctl".into(),
            private_control: private_control.into(),
            public_wadm: "wadm.api".into(),
            private_wadm: private_wadm.into(),
            policy_topic: "wasmbus.policy.default".into(),
        }
    }

    #[test]
    fn prefixes_that_overlap_are_refused() {
        subjects("wasmbus.ctl-private", "wadm.api-private").check().unwrap();
        for (control, wadm) in
            [("wasmbus.ctl", "x"), ("wasmbus.ctl.private", "x"), ("wasmbus", "x"), ("x", "wadm.api"), ("x", "wadm")]
        {
            assert!(subjects(control, wadm).check().is_err(), "{control} {wadm}");
        }
    }
}
