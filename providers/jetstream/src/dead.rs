//! Dead letters as they stand in `ER_DEAD`: one by one, and only a tenant's own.

use anyhow::Context as _;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{DeleteStatus, DirectGetErrorKind, Stream};
use async_nats::jetstream::Context;
use er_event::dead::DeadLetter;

use crate::payload::Payload;
use crate::streams;

/// A dead letter's text, and where it stands.
#[derive(Debug)]
pub struct Letter {
    pub seq: u64,
    /// Where the engine gave the event up: what may have claimed it in the store.
    pub claim: Option<u64>,
    text: String,
}

// === impl Letter ===

impl Letter {
    fn of(seq: u64, message: &async_nats::Message) -> anyhow::Result<Self> {
        let payload = Payload::of(message).unpack()?;
        let claim = message.headers.as_ref().and_then(|headers| headers.get(streams::CLAIM)?.as_str().parse().ok());
        Ok(Self { seq, claim, text: std::str::from_utf8(&payload)?.to_owned() })
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    pub fn read(&self) -> anyhow::Result<DeadLetter> {
        DeadLetter::parse(&self.text).with_context(|| format!("dead letter {}", self.seq))
    }

    /// The letter is a JSON object: its place goes in as the first member.
    pub fn json(&self) -> String {
        format!("{{\"seq\":{},{}", self.seq, self.text.trim().trim_start_matches('{'))
    }
}

/// The tenant's first dead letter behind `after`.
pub async fn next(stream: &Stream, tenant: &str, after: u64) -> anyhow::Result<Option<Letter>> {
    let message =
        match stream.direct_get_next_for_subject(streams::dead_subject(tenant), Some(after.saturating_add(1))).await {
            Ok(message) => message,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
    let seq = message
        .headers
        .as_ref()
        .and_then(|headers| headers.get_last(async_nats::header::NATS_SEQUENCE))
        .and_then(|value| value.as_str().parse().ok())
        .context("JetStream answered without a position")?;
    Letter::of(seq, &message.into()).map(Some)
}

/// The dead letter at `seq`, if it is the tenant's.
pub async fn one(stream: &Stream, tenant: &str, seq: u64) -> anyhow::Result<Option<Letter>> {
    if seq == 0 {
        return Ok(None);
    }
    // The first at or behind that place which is the tenant's: another's is not even read.
    Ok(next(stream, tenant, seq - 1).await?.filter(|letter| letter.seq == seq))
}

/// Takes a dead letter out of its stream; that it is not there any more is as good.
///
/// As the client itself does it, the server writes the whole block anew that it stood in, and works on nothing else meanwhile.
pub async fn remove(js: &Context, stream: &Stream, tenant: &str, seq: u64) -> anyhow::Result<bool> {
    let subject = format!("STREAM.MSG.DELETE.{}", streams::DEAD);
    let request = serde_json::json!({ "seq": seq, "no_erase": true });
    match js.request::<_, _, Response<DeleteStatus>>(subject, &request).await? {
        Response::Ok(status) => Ok(status.success),
        Response::Err { .. } if one(stream, tenant, seq).await?.is_none() => Ok(false),
        Response::Err { error } => Err(error.into()),
    }
}

/// A page as `tail.dead-letters` has it.
pub async fn page(stream: &Stream, tenant: &str, after: u64, limit: usize) -> anyhow::Result<String> {
    let mut items: Vec<String> = Vec::new();
    let (mut last, mut bytes) = (after, 0);
    let mut more = false;
    while let Some(letter) = next(stream, tenant, last).await? {
        bytes += letter.bytes();
        if items.len() == limit || (!items.is_empty() && bytes > er_event::limits::BATCH_BYTES_MAX) {
            more = true;
            break;
        }
        last = letter.seq;
        items.push(letter.json());
    }
    let next = if more { last.to_string() } else { "null".into() };
    Ok(format!("{{\"items\":[{}],\"next\":{next}}}", items.join(",")))
}
