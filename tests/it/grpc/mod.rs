//! The second door: gRPC, with a client of ours, with those of others, and with what must be refused.

mod drain;
mod methods;
mod refusals;
mod streams;

use anyhow::{ensure, Context as _};
use er_proto::cloudevents::cloud_event::CloudEventAttributeValue;
use er_proto::cloudevents::CloudEvent;
use er_proto::v1::ingest_client::IngestClient;
use er_proto::v1::{outcome::Outcome, PublishStreamResponse};
use er_proto::{Attr, Data};
use er_testkit::Platform;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

async fn channel(platform: &Platform) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", platform.grpc_addr))?;
    endpoint.connect().await.with_context(|| format!("gRPC at {}", platform.grpc_addr))
}

pub async fn client(platform: &Platform) -> anyhow::Result<IngestClient<Channel>> {
    Ok(IngestClient::new(channel(platform).await?))
}

/// A message in the name of a key.
pub fn by<T>(key: &str, message: T) -> anyhow::Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {key}").parse()?);
    Ok(request)
}

/// An event whose data is JSON text.
pub fn event(source: &str, id: &str, data: &str) -> CloudEvent {
    CloudEvent {
        id: id.into(),
        source: source.into(),
        spec_version: "1.0".into(),
        r#type: "test.grpc".into(),
        data: Some(Data::TextData(data.into())),
        ..CloudEvent::default()
    }
}

fn with(mut event: CloudEvent, name: &str, attr: Attr) -> CloudEvent {
    event.attributes.insert(name.into(), CloudEventAttributeValue { attr: Some(attr) });
    event
}

/// Holds a call to have ended with this code, for this reason, with the details that the code calls for.
fn refused<T>(result: Result<T, Status>, code: Code, reason: &str) -> anyhow::Result<ErrorDetails> {
    let Err(status) = result else { anyhow::bail!("it was taken, and should have been {code:?}") };
    let details = status.get_error_details();
    let info = details.error_info().with_context(|| format!("no ErrorInfo: {status:?}"))?;
    ensure!(status.code() == code && info.reason == reason, "expected {code:?} and {reason}: {status:?}");
    ensure!(info.domain == "eventrunner" && info.metadata.contains_key("type"), "{status:?}");
    ensure!(!status.message().is_empty(), "no words: {status:?}");
    ensure!(details.bad_request().is_some() == (code == Code::InvalidArgument), "{status:?}");
    let retryable =
        matches!(code, Code::ResourceExhausted | Code::Unavailable | Code::DeadlineExceeded | Code::Internal);
    ensure!(details.retry_info().is_some() == retryable, "{status:?}");
    Ok(details)
}

/// The field that a refusal names.
fn field(details: &ErrorDetails) -> &str {
    details.bad_request().and_then(|bad| bad.field_violations.first()).map_or("", |violation| &violation.field)
}

/// An answer's receipts and refusals, each by the place of its event in the stream.
fn outcomes(answer: PublishStreamResponse) -> anyhow::Result<Vec<(u64, Result<String, er_proto::v1::Refusal>)>> {
    let places = answer.first..;
    places
        .zip(answer.outcomes)
        .map(|(place, outcome)| match outcome.outcome.context("an outcome without one")? {
            Outcome::Receipt(receipt) => Ok((place, Ok(receipt.id))),
            Outcome::Refusal(refusal) => Ok((place, Err(refusal))),
        })
        .collect()
}
