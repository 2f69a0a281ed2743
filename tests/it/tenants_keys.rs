//! Who may do what: tenants, keys, roles, quotas.

use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_deploy::client::Client;
use er_testkit::until;
use futures::future::try_join_all;
use reqwest::Method;
use serde_json::json;

use crate::support::{accepted, event, post, refused, send, shared, stored, EVENT, STORED_WITHIN};

/// Ingest believes an answer about a key for 3 s.
const KEY_FORGOTTEN_WITHIN: Duration = Duration::from_secs(15);

const READS: [&str; 5] = [
    "/api/v1/events",
    "/api/v1/events/%2Fs/1",
    "/api/v1/events?source=/s&id=1",
    "/api/v1/dead-letters",
    "/api/v1/tail",
];

#[test]
fn a_key_does_what_its_role_says_and_no_more() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("roles").await?;
        send(&tenant, "/s", "1", "t", "1").await?;
        stored(&tenant, "/s", "1").await?;
        let (viewer, publisher) = (tenant.key("viewer").await?.client, tenant.key("publisher").await?.client);
        refused(&post(&viewer, EVENT, event("/s", "2", "t", "1")).await?, 403, "forbidden")?;
        accepted(&post(&publisher, EVENT, event("/s", "3", "t", "1")).await?, &["3"])?;
        for path in READS {
            refused(&publisher.get(path).await?, 403, "forbidden").context(path)?;
        }
        for path in &READS[..4] {
            let answer = viewer.get(path).await?;
            ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        }
        for client in [&viewer, &publisher] {
            refused(&client.get("/api/v1/keys").await?, 403, "forbidden")?;
            let wanted = json!({ "role": "admin" });
            refused(&client.call(Method::POST, "/api/v1/keys", Some(&wanted)).await?, 403, "forbidden")?;
        }
        // Not even an admin makes an operator.
        let made = tenant.client.call(Method::POST, "/api/v1/keys", Some(&json!({ "role": "operator" }))).await?;
        ensure!(made.status.is_client_error(), "{} {}", made.status, made.body);
        Ok(())
    })
}

#[test]
fn a_key_without_a_name_or_a_right_opens_nothing() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("nokey").await?;
        let key = tenant.client.key();
        let mut other = key.to_string();
        let last = other.pop().context("an empty key")?;
        other.push(if last == 'A' { 'E' } else { 'A' });
        for wrong in ["", "er_", "er_x_y", &other, &key.to_uppercase(), &key.replace(&tenant.id, "nobody")] {
            let client = tenant.client.with_key(wrong);
            for path in READS {
                refused(&client.get(path).await?, 401, "unauthorized")
                    .with_context(|| format!("{path} with {wrong:?}"))?;
            }
            refused(&post(&client, EVENT, event("/s", "1", "t", "1")).await?, 401, "unauthorized")?;
        }
        Ok(())
    })
}

#[test]
fn a_revoked_key_is_refused_at_once_and_at_the_edge_within_seconds() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("revoked").await?;
        let key = tenant.key("admin").await?;
        accepted(&post(&key.client, EVENT, event("/s", "1", "t", "1")).await?, &["1"])?;
        let deleted = tenant.client.call(Method::DELETE, &format!("/api/v1/keys/{}", key.id), None).await?;
        ensure!(deleted.status == 204, "{} {}", deleted.status, deleted.body);
        refused(&key.client.get("/api/v1/events").await?, 401, "unauthorized")?;
        until("a refusal at the edge", KEY_FORGOTTEN_WITHIN, || async {
            refused(&post(&key.client, EVENT, event("/s", "2", "t", "1")).await?, 401, "unauthorized").map(Some)
        })
        .await?;
        // The others of the tenant are as good as before.
        send(&tenant, "/s", "3", "t", "1").await
    })
}

#[test]
fn a_tenant_sees_nothing_of_another() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (ours, theirs) = (platform.tenant("ours").await?, platform.tenant("theirs").await?);
        send(&ours, "/s", "1", "t", "\"ours\"").await?;
        stored(&ours, "/s", "1").await?;
        ensure!(theirs.event("/s", "1").await?.is_none(), "theirs reads ours");
        ensure!(theirs.events("").await?.is_empty(), "theirs lists ours");
        // The same source and id are another event.
        send(&theirs, "/s", "1", "t", "\"theirs\"").await?;
        ensure!(stored(&theirs, "/s", "1").await?.contains("\"theirs\""));
        ensure!(stored(&ours, "/s", "1").await?.contains("\"ours\""));
        for path in [
            format!("/api/v1/events?tenant={}", ours.id),
            format!("/api/v1/events/%2Fs/1?tenant={}", ours.id),
            format!("/api/v1/dead-letters?tenant={}", ours.id),
            format!("/api/v1/tail?tenant={}", ours.id),
            format!("/api/v1/keys?tenant={}", ours.id),
            format!("/api/v1/tenants/{}", ours.id),
            format!("/api/v1/tenants/{}/keys", ours.id),
            "/api/v1/tenants".to_string(),
            // Whether there is such a tenant is nobody's business.
            "/api/v1/events?tenant=nobody".to_string(),
        ] {
            refused(&theirs.client.get(&path).await?, 403, "forbidden").context(path)?;
        }
        let wanted = json!({ "role": "admin" });
        let made =
            theirs.client.call(Method::POST, &format!("/api/v1/tenants/{}/keys", ours.id), Some(&wanted)).await?;
        refused(&made, 403, "forbidden")
    })
}

#[test]
fn an_operator_makes_tenants_and_looks_into_each_but_publishes_in_none() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("operated").await?;
        let operator = &platform.operator;
        send(&tenant, "/s", "1", "t", "1").await?;
        stored(&tenant, "/s", "1").await?;
        let inside = operator.get(&format!("/api/v1/events?tenant={}", tenant.id)).await?;
        ensure!(inside.status == 200 && inside.body.contains("\"/s\""), "{} {}", inside.status, inside.body);
        refused(&operator.get("/api/v1/events").await?, 400, "invalid-query")?;
        refused(&post(operator, EVENT, event("/s", "2", "t", "1")).await?, 403, "forbidden")?;
        let create =
            |body: serde_json::Value| async move { operator.call(Method::POST, "/api/v1/tenants", Some(&body)).await };
        refused(&create(json!({ "id": tenant.id })).await?, 409, "conflict")?;
        for id in ["", "A", "a.b", "-a", "operator", "a*", "a>", "ü"] {
            refused(&create(json!({ "id": id })).await?, 422, "unprocessable").with_context(|| format!("{id:?}"))?;
        }
        let list = operator.get("/api/v1/tenants").await?;
        ensure!(list.body.contains(&format!("\"{}\"", tenant.id)), "{}", list.body);
        Ok(())
    })
}

#[test]
fn a_suspended_tenant_is_shut_out_until_it_is_let_in_again() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("suspended").await?;
        send(&tenant, "/s", "1", "t", "1").await?;
        tenant.patch(&json!({ "suspended": true })).await?;
        refused(&tenant.client.get("/api/v1/events").await?, 401, "unauthorized")?;
        let again = || async { post(&tenant.client, EVENT, event("/s", "2", "t", "1")).await };
        until("a refusal at the edge", KEY_FORGOTTEN_WITHIN, || async {
            refused(&again().await?, 401, "unauthorized").map(Some)
        })
        .await?;
        tenant.patch(&json!({ "suspended": false })).await?;
        until("to be let in again", KEY_FORGOTTEN_WITHIN, || async { accepted(&again().await?, &["2"]).map(Some) })
            .await?;
        stored(&tenant, "/s", "1").await?;
        Ok(())
    })
}

/// Posts one event after another until `status` is an answer. Four at once: one by one they may come no faster than the
/// quota of a test lets them.
async fn post_until(client: &Client, status: u16, deadline: Duration) -> anyhow::Result<er_deploy::client::Answer> {
    until(&format!("an answer {status}"), deadline, || async {
        let answers = try_join_all((0..4).map(|_| post(client, EVENT, event("/s", "1", "t", "1")))).await?;
        Ok(answers.into_iter().find(|answer| answer.status == status))
    })
    .await
}

#[test]
fn a_quota_is_answered_with_how_long_to_wait_and_holds_nobody_else_up() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (limited, free) = (platform.tenant("limited").await?, platform.tenant("free").await?);
        limited.patch(&json!({ "quota": { "events_per_s": 2, "burst": 3 } })).await?;
        let answer = post_until(&limited.client, 429, KEY_FORGOTTEN_WITHIN).await?;
        refused(&answer, 429, "rate-limited")?;
        let wait: u64 = answer.retry_after.context("no Retry-After")?.parse()?;
        ensure!((1..=2).contains(&wait), "Retry-After: {wait}");
        let to = format!("{}/events", limited.client.ingest);
        let request = limited.client.raw(Method::POST, &to).bearer_auth(limited.client.key());
        let told = request.header("content-type", EVENT).body(event("/s", "2", "t", "1")).send().await?;
        let told = |name: &str| told.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(told("ratelimit-policy") == "\"tenant\";q=3;w=2", "{}", told("ratelimit-policy"));
        ensure!(told("ratelimit").starts_with("\"tenant\";r="), "{}", told("ratelimit"));
        send(&free, "/s", "1", "t", "1").await?;
        post_until(&limited.client, 202, STORED_WITHIN).await?;
        limited.patch(&json!({ "quota": { "events_per_s": null, "burst": null } })).await?;
        until("twenty in a row without a limit", KEY_FORGOTTEN_WITHIN, || async {
            for _ in 0..20 {
                let answer = post(&limited.client, EVENT, event("/s", "1", "t", "1")).await?;
                ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
            }
            Ok(Some(()))
        })
        .await
    })
}
