//! What is refused, with which code, and what the details say.

use std::time::Duration;

use anyhow::{ensure, Context as _};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use er_proto::cloudevents::{CloudEvent, CloudEventBatch};
use er_proto::v1::ingest_client::IngestClient;
use er_proto::v1::PublishResponse;
use er_proto::{Attr, Data};
use er_testkit::{until, Part, Platform};
use hyper_util::client::legacy::{connect::HttpConnector, Client};
use hyper_util::rt::TokioExecutor;
use prost_types::Timestamp;
use serde_json::json;
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::{by, channel, client, event, field, refused, with};
use crate::support::{alone, shared, stored};

const RESUMED_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn who_shows_no_good_key_is_refused_and_so_is_who_may_not_publish() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("grpc-keys").await?;
        let mut ingest = client(&platform).await?;
        let one = || event("/s", "1", "1");
        refused(ingest.publish(one()).await, Code::Unauthenticated, "UNAUTHORIZED")?;
        let forged =
            ["{\"alg\":\"none\"}", "{\"exp\":9999999999}", "x"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let unknown = er_event::keys::format(&tenant.id, &[7; 32]);
        for key in ["nonsense", &forged, &unknown] {
            refused(ingest.publish(by(key, one())?).await, Code::Unauthenticated, "UNAUTHORIZED")?;
            let batch = CloudEventBatch { events: vec![one()] };
            refused(ingest.publish_batch(by(key, batch)?).await, Code::Unauthenticated, "UNAUTHORIZED")?;
            let stream = by(key, futures::stream::iter([one()]))?;
            refused(ingest.publish_stream(stream).await, Code::Unauthenticated, "UNAUTHORIZED")?;
        }
        let viewer = tenant.key("viewer").await?;
        refused(ingest.publish(by(viewer.client.key(), one())?).await, Code::PermissionDenied, "FORBIDDEN")?;
        // The other place for a key.
        let mut request = Request::new(one());
        request.metadata_mut().insert("x-api-key", tenant.client.key().parse()?);
        ingest.publish(request).await?;
        stored(&tenant, "/s", "1").await?;
        Ok(())
    })
}

#[test]
fn a_batch_is_taken_whole_or_not_at_all_and_the_mistake_is_named() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("grpc-bad").await?;
        let mut ingest = client(&platform).await?;
        let good = || event("/bad", "good", "1");
        let changed = |change: fn(&mut CloudEvent)| {
            let mut event = good();
            change(&mut event);
            event
        };
        let late = Attr::CeTimestamp(Timestamp { seconds: i64::MAX, nanos: 0 });
        let cases = [
            (changed(|event| event.id.clear()), "INVALID_EVENT", "id"),
            (changed(|event| event.spec_version = "0.3".into()), "INVALID_EVENT", "spec_version"),
            (changed(|event| event.source = "a b".into()), "INVALID_EVENT", "source"),
            (changed(|event| event.data = Some(Data::TextData("{".into()))), "UNKNOWN_CONTENT_TYPE", "data"),
            (with(good(), "Bad-Name", Attr::CeInteger(1)), "INVALID_EVENT", "attributes[\"Bad-Name\"]"),
            (with(good(), "time", late), "INVALID_EVENT", "attributes[\"time\"]"),
            (with(good(), "time", Attr::CeString("soon".into())), "INVALID_EVENT", "attributes[\"time\"]"),
            (with(good(), "id", Attr::CeString("2".into())), "INVALID_EVENT", "id"),
            (event("/bad", "large", &format!("\"{}\"", "x".repeat(256 * 1024))), "EVENT_TOO_LARGE", ""),
        ];
        for (bad, reason, wanted) in cases {
            let alone = ingest.publish(by(tenant.client.key(), bad.clone())?).await;
            let details = refused(alone, Code::InvalidArgument, reason)?;
            ensure!(field(&details) == wanted, "{wanted}: {details:?}");
            let batch = CloudEventBatch { events: vec![good(), good(), bad] };
            let batch = ingest.publish_batch(by(tenant.client.key(), batch)?).await;
            let details = refused(batch, Code::InvalidArgument, reason)?;
            let place = if wanted.is_empty() { "events[2]".into() } else { format!("events[2].{wanted}") };
            ensure!(field(&details) == place, "{place}: {details:?}");
        }
        let many = CloudEventBatch { events: vec![good(); 1025] };
        let many = ingest.publish_batch(by(tenant.client.key(), many)?).await;
        ensure!(field(&refused(many, Code::InvalidArgument, "TOO_MANY_EVENTS")?) == "events");
        let long = event("/bad", "long", &format!("\"{}\"", "x".repeat(1 << 20)));
        refused(ingest.publish(by(tenant.client.key(), long)?).await, Code::InvalidArgument, "TOO_LARGE")?;
        // Of the same source, so it comes after the others.
        ingest.publish(by(tenant.client.key(), event("/bad", "last", "1"))?).await?;
        stored(&tenant, "/bad", "last").await?;
        let all = tenant.events("").await?;
        ensure!(all.len() == 1, "of refused batches these are stored: {all:?}");
        Ok(())
    })
}

#[test]
fn what_is_no_event_at_all_is_the_senders_mistake() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("grpc-noise").await?;
        let mut raw = tonic::client::Grpc::new(channel(&platform).await?);
        // A message of other fields: `1: 7`, where `id` is a string.
        for (method, code) in [("Publish", Code::InvalidArgument), ("Delete", Code::Unimplemented)] {
            raw.ready().await?;
            let path = format!("/eventrunner.v1.Ingest/{method}").parse()?;
            let codec = ProstCodec::<Number, PublishResponse>::default();
            let said = raw.unary(by(tenant.client.key(), Number { value: 7 })?, path, codec).await;
            ensure!(said.as_ref().is_err_and(|status| status.code() == code), "{method}: {said:?}");
        }
        let mut ingest = client(&platform).await?;
        let mut request = by(tenant.client.key(), event("/s", "1", "1"))?;
        request.metadata_mut().insert("grpc-timeout", "soon".parse()?);
        let details = refused(ingest.publish(request).await, Code::InvalidArgument, "HEADER_INVALID")?;
        ensure!(field(&details).is_empty(), "{details:?}");
        Ok(())
    })
}

/// What is no event.
#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(int64, tag = "1")]
    value: i64,
}

#[test]
fn a_used_up_quota_says_when_to_come_again() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("grpc-quota").await?;
        tenant.patch(&json!({ "quota": { "events_per_s": 1, "burst": 4 } })).await?;
        let mut ingest = client(&platform).await?;
        let batch = CloudEventBatch { events: (0..30).map(|n| event("/s", &n.to_string(), "1")).collect() };
        ingest.publish_batch(by(tenant.client.key(), batch)?).await?;
        let over = ingest.publish(by(tenant.client.key(), event("/s", "over", "1"))?).await;
        let details = refused(over, Code::ResourceExhausted, "RATE_LIMITED")?;
        let delay = details.retry_info().and_then(|info| info.retry_delay).context("no delay")?;
        // A debt of 26 events and the next one, at one a second, less what was earned meanwhile.
        ensure!(delay > Duration::ZERO && delay <= Duration::from_secs(28), "{delay:?}");
        Ok(())
    })
}

/// A client that does not look at the clock itself, as tonic's own would.
type Patient = IngestClient<Client<HttpConnector, Body>>;

fn patient(platform: &Platform) -> anyhow::Result<Patient> {
    let transport = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    Ok(IngestClient::with_origin(transport, format!("http://{}", platform.grpc_addr).parse()?))
}

/// Publishes with so much time.
async fn within(
    ingest: &mut Patient,
    key: &str,
    event: CloudEvent,
    time: Duration,
) -> anyhow::Result<Result<(), Status>> {
    let mut request = by(key, event)?;
    request.metadata_mut().insert("grpc-timeout", format!("{}m", time.as_millis()).parse()?);
    Ok(ingest.publish(request).await.map(|_| ()))
}

#[test]
fn a_deadline_ends_a_call_that_takes_longer_and_nothing_else() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("grpc-deadline").await?;
        let (mut ingest, key) = (patient(&platform)?, tenant.client.key());
        within(&mut ingest, key, event("/s", "before", "1"), Duration::from_secs(30)).await??;
        let paused = platform.pause(Part::Jetstream).await?;
        let late = within(&mut ingest, key, event("/s", "late", "1"), Duration::from_millis(300)).await?;
        // And not because the platform itself gave up, which takes it longer.
        ensure!(late.as_ref().is_err_and(|status| status.message().contains("the call's deadline passed")), "{late:?}");
        refused(late, Code::DeadlineExceeded, "TIMEOUT")?;
        let mut stream = by(key, futures::stream::iter([event("/s", "late-too", "1")]))?;
        stream.metadata_mut().insert("grpc-timeout", "300m".parse()?);
        // Its time may be over before there is a stream.
        let ended = match ingest.publish_stream(stream).await {
            Ok(answers) => answers.into_inner().message().await,
            Err(status) => Err(status),
        };
        refused(ended, Code::DeadlineExceeded, "TIMEOUT")?;
        paused.resume();
        until("an event to be taken again", RESUMED_WITHIN, || {
            let mut ingest = ingest.clone();
            async move { Ok(within(&mut ingest, key, event("/s", "after", "1"), Duration::from_secs(10)).await?.ok()) }
        })
        .await?;
        stored(&tenant, "/s", "after").await?;
        Ok(())
    })
}
