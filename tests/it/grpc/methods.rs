//! What is published over gRPC is stored as it was meant, whoever's library sent it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{ensure, Context as _};
use er_proto::cloudevents::CloudEventBatch;
use er_proto::{Attr, Data};
use er_testkit::platform::{cache, need, on_path};
use er_testkit::{until, Tenant};
use prost_types::{Any, FileDescriptorProto, Timestamp};
use serde_json::{json, Value};
use tonic::codec::CompressionEncoding;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::HealthCheckRequest;
use tonic_reflection::pb::{v1, v1alpha};

use super::{by, channel, client, event, with};
use crate::foreign;
use crate::support::{shared, stored};

const SERVICE: &str = "eventrunner.v1.Ingest";

#[test]
fn attributes_of_every_type_and_data_of_every_kind_are_stored() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("grpc").await?;
        let mut ingest = client(&platform).await?;
        let full = [
            ("time", Attr::CeTimestamp(Timestamp { seconds: 1_714_979_289, nanos: 123_456_789 })),
            ("subject", Attr::CeString("größer \"1\"".into())),
            ("dataschema", Attr::CeUri("https://example.com/schema".into())),
            ("related", Attr::CeUriRef("../other".into())),
            ("flag", Attr::CeBoolean(true)),
            ("count", Attr::CeInteger(-3)),
            ("digest", Attr::CeBytes(vec![0, 1, 255])),
        ]
        .into_iter()
        .fold(event("/s", "full", " {\"b\": 1.0,\"a\":[null]} "), |event, (name, attr)| with(event, name, attr));
        let receipt = ingest.publish(by(tenant.client.key(), full)?).await?.into_inner().receipt;
        ensure!(receipt.context("no receipt")?.id == "full");
        let found = stored(&tenant, "/s", "full").await?;
        ensure!(found.contains(r#"{"b": 1.0,"a":[null]}"#), "the data as it came: {found}");
        let wanted = json!({
            "specversion": "1.0", "id": "full", "source": "/s", "type": "test.grpc", "time": "2024-05-06T07:08:09.123456789Z",
            "subject": "größer \"1\"", "dataschema": "https://example.com/schema", "related": "../other", "flag": true,
            "count": -3, "digest": "AAH/", "data": {"b": 1.0, "a": [null]},
        });
        ensure!(serde_json::from_str::<Value>(&found)? == wanted, "{found}");

        let any = Any { type_url: "type.googleapis.com/shop.Order".into(), value: vec![8, 7] };
        let kinds = [
            ("text", Some("text/plain"), Data::TextData("a\n\"b\"".into()), "data", json!("a\n\"b\"")),
            ("bytes", Some("image/png"), Data::BinaryData(vec![0, 255]), "data_base64", json!("AP8=")),
            ("json", Some("application/json"), Data::BinaryData(b"[1]".to_vec()), "data", json!([1])),
            ("proto", None, Data::ProtoData(any), "data_base64", json!("CAc=")),
        ];
        let events = kinds
            .iter()
            .map(|(id, content_type, data, ..)| {
                let mut event = event("/kinds", id, "");
                event.data = Some(data.clone());
                match content_type {
                    Some(text) => with(event, "datacontenttype", Attr::CeString((*text).into())),
                    None => event,
                }
            })
            .collect();
        let receipts = ingest.publish_batch(by(tenant.client.key(), CloudEventBatch { events })?).await?.into_inner();
        let receipts: Vec<&str> = receipts.receipts.iter().map(|receipt| receipt.id.as_str()).collect();
        ensure!(receipts == kinds.each_ref().map(|kind| kind.0), "{receipts:?}");
        for (id, content_type, _, member, value) in &kinds {
            let found: Value = serde_json::from_str(&stored(&tenant, "/kinds", id).await?)?;
            let content_type = content_type.unwrap_or("application/protobuf");
            ensure!(found[*member] == *value && found["datacontenttype"] == content_type, "{id}: {found}");
        }
        let proto: Value = serde_json::from_str(&stored(&tenant, "/kinds", "proto").await?)?;
        ensure!(proto["dataschema"] == "type.googleapis.com/shop.Order", "{proto}");
        let url = &platform.metrics_urls[0];
        let told = er_deploy::client::Client::answer(tenant.client.raw(reqwest::Method::GET, url)).await?.body;
        for metric in [
            r#"eventrunner_ingest_requests_total{protocol="grpc",status="Ok"}"#,
            r#"eventrunner_ingest_request_seconds_count{protocol="grpc"}"#,
        ] {
            ensure!(told.lines().any(|line| line.starts_with(metric)), "{url} has no {metric}");
        }
        Ok(())
    })
}

#[test]
fn a_full_batch_is_taken_packed_or_not_and_an_empty_one_too() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("grpc-batch").await?;
        let packed = client(&platform).await?.send_compressed(CompressionEncoding::Gzip);
        for (mut ingest, source, count) in [
            (client(&platform).await?, "/none", 0),
            (client(&platform).await?, "/plain", 1024),
            (packed, "/packed", 1024),
        ] {
            let ids: Vec<String> = (0..count).map(|n| format!("e{n}")).collect();
            let batch = CloudEventBatch { events: ids.iter().map(|id| event(source, id, "{\"n\":1}")).collect() };
            let answer = ingest.publish_batch(by(tenant.client.key(), batch)?).await?.into_inner();
            ensure!(answer.receipts.iter().map(|receipt| &receipt.id).eq(&ids), "{source}: {:?}", answer.receipts);
            if let Some(last) = ids.last() {
                stored(&tenant, source, last).await?;
            }
        }
        let found = until("2,048 stored events", crate::support::STORED_WITHIN, || async {
            let found = tenant.events("").await?;
            ensure!(found.len() >= 2048, "{} so far", found.len());
            Ok(Some(found))
        })
        .await?;
        ensure!(found.len() == 2048, "{} are stored", found.len());
        Ok(())
    })
}

/// Runs a client of others, and holds every event that it says it sent to be receipted and stored as it was meant.
async fn foreign(tenant: &Tenant, address: &str, program: &Path, script: &str) -> anyhow::Result<()> {
    need(program, "scripts/setup grpc")?;
    let arguments = [address, tenant.client.key()];
    let mut modes = BTreeSet::new();
    for sent in foreign::sent(program, script, arguments, &cache().join("grpc/npm/node_modules")).await? {
        let field = |name| foreign::field(&sent, name);
        modes.insert(field("mode")?.to_string());
        if field("mode")? == "refused" {
            ensure!(field("code")? == "INVALID_ARGUMENT" && field("field")? == "events[1].type", "{sent}");
            ensure!(field("message")?.contains("`type` is missing"), "{sent}");
            continue;
        }
        ensure!(field("receipt")? == field("id")?, "{sent}");
        foreign::is_stored(tenant, &sent).await?;
    }
    let all: Vec<&str> = modes.iter().map(String::as_str).collect();
    ensure!(all == ["batch", "one", "refused", "stream"], "{script} sent {all:?} only");
    Ok(())
}

#[test]
fn pythons_grpcio_is_understood_in_every_method() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("grpcio").await?;
        foreign(&tenant, &platform.grpc_addr, &cache().join("grpc/venv/bin/python"), "grpc/send.py").await
    })
}

#[test]
fn nodes_grpc_js_is_understood_in_every_method() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("grpc-js").await?;
        need(&cache().join("grpc/npm/node_modules/@grpc/grpc-js"), "scripts/setup grpc")?;
        foreign(&tenant, &platform.grpc_addr, &on_path("node", "apt-get install nodejs")?, "grpc/send.mjs").await
    })
}

#[test]
fn the_health_service_says_serving_and_knows_no_others() -> anyhow::Result<()> {
    shared(|platform| async move {
        let mut health = HealthClient::new(channel(&platform).await?);
        for service in ["", SERVICE] {
            let answer = health.check(HealthCheckRequest { service: service.into() }).await?.into_inner();
            ensure!(answer.status() == ServingStatus::Serving, "{service}: {answer:?}");
        }
        let unknown = health.check(HealthCheckRequest { service: "another".into() }).await;
        ensure!(unknown.is_err_and(|status| status.code() == tonic::Code::NotFound));
        Ok(())
    })
}

#[test]
fn reflection_tells_the_services_and_what_an_event_is() -> anyhow::Result<()> {
    use v1::server_reflection_request::MessageRequest as Ask;
    use v1::server_reflection_response::MessageResponse as Told;
    shared(|platform| async move {
        let mut reflection = v1::server_reflection_client::ServerReflectionClient::new(channel(&platform).await?);
        let asked =
            [Ask::ListServices(String::new()), Ask::FileContainingSymbol("io.cloudevents.v1.CloudEvent".into())]
                .map(|ask| v1::ServerReflectionRequest { host: String::new(), message_request: Some(ask) });
        let mut answers = reflection.server_reflection_info(futures::stream::iter(asked)).await?.into_inner();
        let mut told = Vec::new();
        while let Some(answer) = answers.message().await? {
            told.push(answer.message_response.context("an empty answer")?);
        }
        let [Told::ListServicesResponse(services), Told::FileDescriptorResponse(file)] = told.as_slice() else {
            anyhow::bail!("{told:?}");
        };
        let names: BTreeSet<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
        ensure!(names.contains(SERVICE) && names.contains("grpc.health.v1.Health"), "{names:?}");
        let bytes = file.file_descriptor_proto.first().context("no file")?;
        let file: FileDescriptorProto = prost::Message::decode(bytes.as_slice())?;
        ensure!(file.message_type.iter().any(|message| message.name() == "CloudEvent"), "{file:?}");

        let mut older = v1alpha::server_reflection_client::ServerReflectionClient::new(channel(&platform).await?);
        let ask = v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(SERVICE.into());
        let ask = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
        let mut answers = older.server_reflection_info(futures::stream::iter([ask])).await?.into_inner();
        let answer = answers.message().await?.context("no answer")?.message_response;
        let wanted =
            matches!(&answer, Some(v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_)));
        ensure!(wanted, "{answer:?}");
        Ok(())
    })
}
