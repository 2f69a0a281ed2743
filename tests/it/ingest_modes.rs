//! Every way in: CloudEvents in binary, structured and batch mode, JSON of other systems, and the SDKs of others.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{ensure, Context as _};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use er_testkit::load::receipts;
use er_testkit::platform::{cache, need, on_path};
use er_testkit::Tenant;
use serde_json::Value;

use crate::foreign;
use crate::support::{accepted, event, member, post, posted, shared, stored, text, BATCH, EVENT, JSON};

/// JSON of every type, each written as only a careful codec gives it back.
const VALUES: [(&str, &str); 12] = [
    ("null", "null"),
    ("true", "true"),
    ("false", "false"),
    ("integer", "12345678901234567890123"),
    ("fraction", "-1.50e3"),
    ("empty-text", "\"\""),
    ("text", "\"«größer» 日本語 😀\""),
    ("escapes", r#""\u00e9 \ud83d\ude00 \"quoted\" \/ \n""#),
    ("empty-list", "[]"),
    ("list", "[1, [2, [null]], \"3\"]"),
    ("empty-object", "{}"),
    ("object", "{ \"b\" : 1,\n\t\"a\" : {\"ü\":[{}]} }"),
];

/// Sends an event in binary mode.
async fn send_binary(
    tenant: &Tenant,
    id: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> anyhow::Result<String> {
    let mut all = vec![("ce-specversion", "1.0"), ("ce-type", "t.binary"), ("ce-source", "/binary"), ("ce-id", id)];
    all.extend(headers);
    accepted(&posted(&tenant.client, &all, body).await?, &[id])?;
    stored(tenant, "/binary", id).await
}

#[test]
fn a_structured_event_is_stored_as_it_was_sent() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("structured").await?;
        let sent = concat!(
            r#"{ "specversion" : "1.0", "id":"1", "source":"https://example.com/a?b=c#d","type":"t","subject":"sübject","#,
            r#""time":"2024-05-06T07:08:09.123456+02:00","dataschema":"urn:x","flag":true,"n":-3,"data":{"x":[1.0]}}"#
        );
        accepted(&post(&tenant.client, EVENT, sent).await?, &["1"])?;
        let found = stored(&tenant, "https://example.com/a?b=c#d", "1").await?;
        ensure!(found == sent, "sent {sent}, found {found}");
        Ok(())
    })
}

#[test]
fn what_is_optional_is_filled_in_and_nothing_else_changes() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("filled").await?;
        let sent = event("/s", "1", "t", "[1]");
        accepted(&post(&tenant.client, EVENT, sent.clone()).await?, &["1"])?;
        let mut found: Value = serde_json::from_str(&stored(&tenant, "/s", "1").await?)?;
        let time = found.as_object_mut().and_then(|event| event.remove("time")).context("no time was filled in")?;
        ensure!(er_event::event::time_us(time.as_str().unwrap_or_default()).is_some(), "{time} is no time");
        ensure!(found == serde_json::from_str::<Value>(&sent)?, "sent {sent}, found {found}");
        Ok(())
    })
}

#[test]
fn json_of_every_type_comes_back_byte_for_byte_in_every_mode() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("types").await?;
        let batch: Vec<String> = VALUES.iter().map(|(name, data)| event("/batch", name, "t", data)).collect();
        let ids: Vec<&str> = VALUES.iter().map(|(name, _)| *name).collect();
        accepted(&post(&tenant.client, BATCH, format!("[{}]", batch.join(" ,\n"))).await?, &ids)?;
        for (name, data) in VALUES {
            accepted(&post(&tenant.client, EVENT, event("/structured", name, "t", data)).await?, &[name])?;
            let found = send_binary(&tenant, name, &[("content-type", JSON)], data).await?;
            ensure!(member(&found, "data")?.as_deref() == Some(data), "binary {name}: {found}");
            for source in ["/structured", "/batch"] {
                let found = stored(&tenant, source, name).await?;
                ensure!(member(&found, "data")?.as_deref() == Some(data), "{source} {name}: {found}");
            }
        }
        Ok(())
    })
}

#[test]
fn attributes_in_headers_are_decoded() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("headers").await?;
        let headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("ce-time", "2024-05-06T07:08:09Z"),
            ("ce-dataschema", "https://example.com/schema"),
            ("ce-extra", "\"quoted \\\"text\\\"\""),
            ("ce-raw", "größer"),
        ];
        let found = send_binary(&tenant, "1", &headers, "{}").await?;
        for (name, value) in [
            ("subject", "Euro € 😀"),
            ("time", "2024-05-06T07:08:09Z"),
            ("dataschema", "https://example.com/schema"),
            ("extra", "quoted \"text\""),
            ("raw", "größer"),
            ("datacontenttype", "application/json; charset=utf-8"),
            ("type", "t.binary"),
            ("specversion", "1.0"),
        ] {
            ensure!(text(&found, name)? == value, "`{name}` should be {value}: {found}");
        }
        Ok(())
    })
}

#[test]
fn a_charset_that_is_utf_8_is_welcome_in_any_spelling() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("charset").await?;
        for (index, suffix) in
            ["; charset=utf-8", ";charset=UTF-8", "; Charset=\"Utf-8\"", "; q=1; charset=utf8"].iter().enumerate()
        {
            let id = index.to_string();
            let answer = post(&tenant.client, &format!("{EVENT}{suffix}"), event("/event", &id, "t", "\"é\"")).await?;
            accepted(&answer, &[&id])?;
            let body = format!("[{}]", event("/batch", &id, "t", "\"é\""));
            accepted(&post(&tenant.client, &format!("{BATCH}{suffix}"), body).await?, &[&id])?;
            for source in ["/event", "/batch"] {
                ensure!(text(&stored(&tenant, source, &id).await?, "data")? == "é", "{suffix}");
            }
            let found = send_binary(&tenant, &id, &[("content-type", &format!("{JSON}{suffix}"))], "\"é\"").await?;
            ensure!(text(&found, "data")? == "é", "{suffix}: {found}");
        }
        Ok(())
    })
}

#[test]
fn xml_stays_text_and_bytes_stay_bytes() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("bytes").await?;
        let xml = "<?xml version=\"1.0\"?>\n<a b='ü'>&amp; \"1\"</a>\n";
        for (id, kind) in
            [("xml", "application/xml"), ("atom", "application/atom+xml"), ("text", "text/plain; charset=utf-8")]
        {
            let found = send_binary(&tenant, id, &[("content-type", kind)], xml).await?;
            ensure!(text(&found, "data")? == xml && text(&found, "datacontenttype")? == kind, "{id}: {found}");
        }
        let bytes: Vec<u8> = (0..=255).collect();
        let latin: Vec<u8> = b"gr\xf6\xdfer".to_vec();
        for (id, kind, body) in [
            ("bytes", "application/octet-stream", &bytes),
            ("png", "image/png", &bytes),
            ("latin", "text/plain; charset=iso-8859-1", &latin),
            ("latin-xml", "application/xml; charset=iso-8859-1", &latin),
        ] {
            let found = send_binary(&tenant, id, &[("content-type", kind)], body.clone()).await?;
            let data = STANDARD.decode(text(&found, "data_base64")?)?;
            ensure!(data == *body && text(&found, "datacontenttype")? == kind, "{id}: {found}");
        }
        let base64 = STANDARD.encode(&bytes);
        let sent = event("/s", "b64", "t", "1").replace("\"data\":1", &format!("\"data_base64\":\"{base64}\""));
        accepted(&post(&tenant.client, EVENT, sent).await?, &["b64"])?;
        ensure!(text(&stored(&tenant, "/s", "b64").await?, "data_base64")? == base64);
        let nothing = send_binary(&tenant, "nothing", &[("content-type", "text/plain")], "").await?;
        ensure!(member(&nothing, "data")?.is_none() && member(&nothing, "data_base64")?.is_none(), "{nothing}");
        Ok(())
    })
}

#[test]
fn a_batch_is_taken_whole_up_to_its_limit_and_an_empty_one_too() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("batch").await?;
        accepted(&post(&tenant.client, BATCH, " [ ] ").await?, &[])?;
        let ids: Vec<String> = (0..1024).map(|n| format!("e{n}")).collect();
        let events: Vec<String> = ids.iter().map(|id| event("/many", id, "t", "{\"n\":1}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        accepted(&post(&tenant.client, BATCH, format!("[{}]", events.join(","))).await?, &ids)?;
        let all = er_testkit::until("1,024 stored events", crate::support::STORED_WITHIN, || async {
            let all = tenant.events("source=%2Fmany").await?;
            ensure!(all.len() >= 1024, "{} so far", all.len());
            Ok(Some(all))
        })
        .await?;
        let mut found: Vec<String> = all.iter().map(|event| text(event, "id")).collect::<Result<_, _>>()?;
        found.sort();
        found.dedup();
        ensure!(found.len() == 1024, "{} different ones", found.len());
        Ok(())
    })
}

#[test]
fn large_events_and_compressed_bodies_are_taken() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("large").await?;
        let data = format!("\"{}\"", "x".repeat(255 * 1024));
        let large = event("/s", "large", "t", &data);
        accepted(&post(&tenant.client, EVENT, large.clone()).await?, &["large"])?;
        let packed = gzip(large.replace("\"large\"", "\"packed\"").as_bytes())?;
        let headers = [("content-type", EVENT), ("content-encoding", "gzip")];
        accepted(&posted(&tenant.client, &headers, packed).await?, &["packed"])?;
        for id in ["large", "packed"] {
            ensure!(member(&stored(&tenant, "/s", id).await?, "data")?.as_deref() == Some(&*data), "{id}");
        }
        // Of unknown length: chunked.
        let pieces = futures::stream::iter(
            event("/s", "chunked", "t", "1").into_bytes().into_iter().map(|byte| Ok::<_, std::io::Error>(vec![byte])),
        );
        accepted(&post(&tenant.client, EVENT, reqwest::Body::wrap_stream(pieces)).await?, &["chunked"])?;
        stored(&tenant, "/s", "chunked").await?;
        Ok(())
    })
}

pub fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes)?;
    Ok(packer.finish()?)
}

#[test]
fn json_of_others_becomes_an_event_with_the_documented_defaults() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("raw").await?;
        let source = format!("/http/{}", tenant.id);
        let body = "{ \"order\" : 7.0 ,\"ü\":null}";
        let answer = post(&tenant.client, JSON, body).await?;
        let ids = receipts(&answer);
        ensure!(answer.status == 202 && ids.len() == 1, "{} {}", answer.status, answer.body);
        let found = stored(&tenant, &source, &ids[0]).await?;
        ensure!(text(&found, "type")? == "io.eventrunner.json", "{found}");
        ensure!(text(&found, "datacontenttype")? == JSON && text(&found, "specversion")? == "1.0", "{found}");
        ensure!(member(&found, "data")?.as_deref() == Some(body), "{found}");
        ensure!(er_event::event::time_us(&text(&found, "time")?).is_some(), "{found}");

        let url = format!("{}/events?type=order.placed&source=/shop&subject=o%207", tenant.client.ingest);
        let named = tenant.client.raw(reqwest::Method::POST, &url).bearer_auth(tenant.client.key());
        let named =
            named.header("content-type", "application/vnd.shop+json").header("idempotency-key", "k-1").body("[1]");
        accepted(&er_deploy::client::Client::answer(named).await?, &["k-1"])?;
        let found = stored(&tenant, "/shop", "k-1").await?;
        ensure!(text(&found, "type")? == "order.placed" && text(&found, "subject")? == "o 7", "{found}");
        ensure!(member(&found, "data")?.as_deref() == Some("[1]"), "{found}");
        Ok(())
    })
}

#[test]
fn the_same_event_sent_again_is_one_event_as_it_was_first() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("again").await?;
        for n in 0..5 {
            accepted(&post(&tenant.client, EVENT, event("/s", "1", "t", &n.to_string())).await?, &["1"])?;
        }
        // Of the same source, so it comes after the others.
        accepted(&post(&tenant.client, EVENT, event("/s", "2", "t", "5")).await?, &["2"])?;
        crate::support::stored(&tenant, "/s", "2").await?;
        let found = tenant.event("/s", "1").await?.context("none is there")?;
        ensure!(member(&found, "data")?.as_deref() == Some("0"), "{found}");
        let all = tenant.events("source=%2Fs").await?;
        ensure!(all.len() == 2, "{all:?}");
        Ok(())
    })
}

/// Runs a client of others, and holds every event that it says it sent to be accepted and stored as it was meant.
async fn foreign(tenant: &Tenant, program: &Path, script: &str) -> anyhow::Result<()> {
    need(program, "scripts/setup samples")?;
    let url = format!("{}/events", tenant.client.ingest);
    let mut modes = BTreeSet::new();
    for sent in foreign::sent(program, script, [&url, tenant.client.key()], &cache().join("npm/node_modules")).await? {
        ensure!(sent["status"] == 202, "{sent}");
        modes.insert(foreign::field(&sent, "mode")?.to_string());
        foreign::is_stored(tenant, &sent).await?;
    }
    let all: Vec<&str> = modes.iter().map(String::as_str).collect();
    ensure!(all == ["batch", "binary", "structured"], "{script} sent {all:?} only");
    Ok(())
}

#[test]
fn the_python_sdk_is_understood_in_every_mode() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("python").await?;
        foreign(&tenant, &cache().join("venv/bin/python"), "send.py").await
    })
}

#[test]
fn the_javascript_sdk_is_understood_in_every_mode() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("javascript").await?;
        need(&cache().join("npm/node_modules/cloudevents"), "scripts/setup samples")?;
        foreign(&tenant, &on_path("node", "apt-get install nodejs")?, "send.mjs").await
    })
}
