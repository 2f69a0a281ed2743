//! The ways in: HTTP, and gRPC by batches or on a stream. Messages are made beforehand and only stamped, so that the load
//! costs as little as it does over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{bail, Context as _};
use bytes::{Buf as _, BufMut as _, Bytes};
use er_proto::v1::{outcome, PublishStreamResponse};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::events::Batch;
use crate::http::Connection;

/// Messages that wait for the stream to take them.
const WAITING_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Http,
    Batch,
    Stream,
}

/// One connection.
pub enum Door {
    Http(Connection),
    Batch { client: tonic::client::Grpc<Channel>, authorization: String },
    Stream { events: mpsc::Sender<Bytes>, answers: Streaming<Bytes> },
}

/// What became of a request.
pub enum Answer {
    /// The receipts, as they came.
    Taken(Bytes),
    /// Not now, but maybe after this time.
    Again(Option<Duration>),
}

// === impl Kind ===

impl Kind {
    /// A batch, in the form that this door takes.
    pub fn request(self, events: usize, index: usize, http: SocketAddr, api_key: &str) -> anyhow::Result<Batch> {
        match self {
            Self::Http => Ok(Batch::new(events, index)?.into_request(&http.to_string(), api_key)),
            Self::Batch | Self::Stream => Batch::protobuf(events, index, self == Self::Stream),
        }
    }

    pub async fn open(self, http: SocketAddr, grpc: &str, api_key: &str) -> anyhow::Result<Door> {
        if self == Self::Http {
            return Ok(Door::Http(Connection::open(http).await?));
        }
        let endpoint = Endpoint::from_shared(format!("http://{grpc}"))?.tcp_nodelay(true);
        let channel = endpoint.connect().await.with_context(|| format!("gRPC at {grpc}"))?;
        let (mut client, authorization) = (tonic::client::Grpc::new(channel), format!("Bearer {api_key}"));
        if self == Self::Batch {
            return Ok(Door::Batch { client, authorization });
        }
        let (events, waiting) = mpsc::channel(WAITING_MAX);
        let mut request = Request::new(ReceiverStream::new(waiting));
        request.metadata_mut().insert("authorization", authorization.parse()?);
        client.ready().await?;
        let path = "/eventrunner.v1.Ingest/PublishStream".parse()?;
        let answers = client.streaming(request, path, Raw).await?.into_inner();
        Ok(Door::Stream { events, answers })
    }
}

// === impl Door ===

impl Door {
    /// Sends a batch and waits for its receipts.
    pub async fn exchange(&mut self, request: &Batch) -> anyhow::Result<Answer> {
        match self {
            Self::Http(connection) => {
                let answer = connection.exchange(&request.bytes).await?;
                match answer.status {
                    202 => Ok(Answer::Taken(Bytes::copy_from_slice(answer.body))),
                    429 | 503 | 504 => Ok(Answer::Again(answer.retry_after_s.map(Duration::from_secs))),
                    status => bail!("ingest answered {status}: {}", String::from_utf8_lossy(answer.body)),
                }
            }
            Self::Batch { client, authorization } => {
                let mut message = Request::new(Bytes::copy_from_slice(&request.bytes));
                message.metadata_mut().insert("authorization", authorization.parse()?);
                client.ready().await?;
                let path = "/eventrunner.v1.Ingest/PublishBatch".parse()?;
                match client.unary(message, path, Raw).await {
                    Ok(answer) => Ok(Answer::Taken(answer.into_inner())),
                    Err(status) => again(&status),
                }
            }
            Self::Stream { events, answers } => {
                let whole = Bytes::copy_from_slice(&request.bytes);
                let mut start = 0;
                let mut receipts = Vec::new();
                let mut left = request.ends.len();
                for end in &request.ends {
                    let message = whole.slice(start..*end);
                    start = *end;
                    // The stream answers while it is sent to, and takes nothing more before it is read.
                    loop {
                        tokio::select! {
                            biased;
                            sent = events.reserve() => {
                                sent.context("the stream ended")?.send(message);
                                break;
                            }
                            answer = answers.message() => left -= read(answer?, &mut receipts)?,
                        }
                    }
                }
                while left > 0 {
                    left -= read(answers.message().await?, &mut receipts)?;
                }
                Ok(Answer::Taken(receipts.into()))
            }
        }
    }
}

/// A part of a stream's receipts: how many.
fn read(answer: Option<Bytes>, receipts: &mut Vec<u8>) -> anyhow::Result<usize> {
    let answer = PublishStreamResponse::decode(answer.context("the stream ended")?)?;
    for outcome in &answer.outcomes {
        match &outcome.outcome {
            Some(outcome::Outcome::Receipt(receipt)) => receipts.extend_from_slice(receipt.id.as_bytes()),
            other => bail!("ingest answered {other:?}"),
        }
    }
    Ok(answer.outcomes.len())
}

fn again(status: &Status) -> anyhow::Result<Answer> {
    match status.code() {
        Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded => {
            Ok(Answer::Again(status.get_error_details().retry_info().and_then(|info| info.retry_delay)))
        }
        _ => bail!("ingest answered {status:?}"),
    }
}

/// Messages as they are.
struct Raw;

// === impl Raw ===

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(bytes.copy_to_bytes(bytes.remaining())))
    }
}
