//! The API against its own document, and what a client may build on: repeats, conditions, pages, other origins.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_deploy::client::Client;
use er_testkit::platform::ALLOWED_ORIGIN;
use er_testkit::platform::HEALED_WITHIN;
use er_testkit::{until, Options, Part, Platform, Tenant};
use reqwest::{Method, Response};
use serde_json::{json, Value};
use tokio::process::Command;

use crate::support::{alone, on_its_own, refused, save_rules, send, shared, stored, JSON};

/// Requests that are made up for each operation; ER_EXAMPLES asks for more.
const EXAMPLES: &str = "3";
const SEED: &str = "20261128";
/// Far above what it takes: a hung request must not hang the tests.
const TRIED_WITHIN: Duration = Duration::from_secs(600);
const DEAD_WITHIN: Duration = Duration::from_secs(30);
const RULE: &str = r#"rule Seen { when Event.type == "contract.seen" then Tag("seen"); Retract("Seen"); }"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A tenant that has something to show: events, rules.
async fn furnished(platform: &Arc<Platform>) -> anyhow::Result<Tenant> {
    let tenant = platform.tenant("contract").await?;
    save_rules(&tenant, "seen", RULE).await?;
    send(&tenant, "/contract", "1", "contract.seen", r#"{"n":1}"#).await?;
    stored(&tenant, "/contract", "1").await?;
    Ok(tenant)
}

/// Schemathesis over the whole document, and the same once more where it failed: what is wrong fails twice, unlike what
/// a machine that does much else had no time for.
async fn tried(platform: &Platform, tenant: &Tenant, client: &Client, who: &str, phases: &str) -> anyhow::Result<()> {
    let Err(error) = tried_once(platform, tenant, client, who, phases).await else { return Ok(()) };
    eprintln!("once more, since: {error:#}");
    tried_once(platform, tenant, client, who, phases).await
}

/// All of it in the name of `client`. What is found wrong is shown with a request to repeat it.
async fn tried_once(
    platform: &Platform,
    tenant: &Tenant,
    client: &Client,
    who: &str,
    phases: &str,
) -> anyhow::Result<()> {
    let or = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.into());
    let (examples, seed) = (or("ER_EXAMPLES", EXAMPLES), or("ER_SEED", SEED));
    eprintln!("Schemathesis as {who}: {examples} examples, ER_SEED={seed}");
    let mut command = Command::new(root().join("scripts/contract"));
    command
        .args(["--max-examples", &examples, "--seed", &seed, "--phases", phases])
        .envs([("ER_API_URL", &platform.api_url), ("ER_INGEST_URL", &platform.ingest_url)])
        .envs([("ER_API_KEY", client.key()), ("ER_TENANT", &tenant.id)])
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let done = tokio::time::timeout(TRIED_WITHIN, command.output()).await.context("Schemathesis did not end")??;
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    ensure!(done.status.success(), "as {who}, {}:\n{said}", done.status);
    // Otherwise all that was tried after it had shut itself out was refused.
    let after = client.get(&format!("/api/v1/rules?tenant={}", tenant.id)).await?;
    ensure!(after.status == 200, "as {who}, afterwards: {} {}", after.status, after.body);
    eprintln!("{}", said.lines().rev().take(25).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n"));
    Ok(())
}

#[test]
fn the_api_does_what_its_document_says_for_a_tenants_admin() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = furnished(&platform).await?;
        tried(&platform, &tenant, &tenant.client, "admin", "examples,fuzzing").await
    })
}

#[test]
fn the_api_does_what_its_document_says_for_an_operator() -> anyhow::Result<()> {
    // Who may do anything is let loose on nobody else's platform.
    on_its_own(&Options::default(), |platform| async move {
        let tenant = furnished(&platform).await?;
        // Whatever each constraint of the document lets in and keeps out, once.
        tried(&platform, &tenant, &platform.operator, "operator", "examples,coverage").await
    })
}

#[test]
fn the_document_is_served_to_anybody_as_it_is_checked_in() -> anyhow::Result<()> {
    shared(|platform| async move {
        let served = platform.operator.with_key("").get("/api/v1/openapi.json").await?;
        ensure!(served.status == 200 && served.content_type == JSON, "{} {}", served.status, served.content_type);
        let kept = tokio::fs::read_to_string(root().join("components/api/openapi.json")).await?;
        ensure!(served.body == kept, "what is served is not what is checked in");
        Ok(())
    })
}

// === what a client may build on ===

/// A request of a client, with further headers.
async fn ask(
    client: &Client,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> anyhow::Result<Response> {
    let mut request = client.raw(method, &format!("{}{path}", client.api)).bearer_auth(client.key());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    Ok(request.send().await?)
}

fn header(response: &Response, name: &str) -> anyhow::Result<String> {
    let value = response.headers().get(name).with_context(|| format!("no {name} in {response:?}"))?;
    Ok(value.to_str()?.to_owned())
}

#[test]
fn a_post_that_is_sent_many_times_at_once_is_done_once() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("once").await?;
        let key = format!("once-{}-0123456789", tenant.id);
        let wanted = json!({ "role": "viewer" });
        let make = || async {
            until("the answer to a new key", DEAD_WITHIN, || async {
                let headers = [("idempotency-key", key.as_str())];
                let made = ask(&tenant.client, Method::POST, "/api/v1/keys", &headers, Some(&wanted)).await?;
                // Another one is at it: its answer is told to whoever comes back.
                if made.status() == 409 {
                    return Ok(None);
                }
                ensure!(made.status() == 201, "{made:?}");
                Ok(Some(made.json::<Value>().await?))
            })
            .await
        };
        let made = futures::future::try_join_all((0..8).map(|_| make())).await?;
        ensure!(made.iter().all(|each| each == &made[0]), "not the same answer: {made:?}");
        let keys = tenant.client.get("/api/v1/keys").await?.json();
        let viewers = keys["keys"].as_array().context("no keys")?.iter().filter(|key| key["role"] == "viewer");
        ensure!(viewers.count() == 1, "{keys}");
        let other = ask(
            &tenant.client,
            Method::POST,
            "/api/v1/keys",
            &[("idempotency-key", &key)],
            Some(&json!({ "role": "admin" })),
        )
        .await?;
        ensure!(other.status() == 422, "{other:?}");
        Ok(())
    })
}

#[test]
fn of_two_that_change_what_they_read_one_is_told_so() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("both").await?;
        save_rules(&tenant, "seen", RULE).await?;
        let read = ask(&tenant.client, Method::GET, "/api/v1/rules/seen", &[], None).await?;
        let tag = header(&read, "etag")?;
        let change = |who: usize| {
            let url = format!("{}/api/v1/rules/seen", tenant.client.api);
            let request = tenant.client.raw(Method::PUT, &url).bearer_auth(tenant.client.key());
            let text = RULE.replace("\"seen\")", &format!("\"{who}\")"));
            request.header("content-type", "text/plain").header("if-match", &tag).body(text).send()
        };
        let done = futures::future::try_join_all((0..4).map(change)).await?;
        let statuses: Vec<u16> = done.iter().map(|response| response.status().as_u16()).collect();
        ensure!(statuses.iter().filter(|status| **status == 200).count() == 1, "{statuses:?}");
        // Those that came later, or fought too long.
        ensure!(statuses.iter().all(|status| [200, 412, 409].contains(status)), "{statuses:?}");
        let now = ask(&tenant.client, Method::GET, "/api/v1/rules/seen", &[], None).await?;
        let now = header(&now, "etag")?;
        ensure!(now != tag, "{now}");
        let known = ask(&tenant.client, Method::GET, "/api/v1/rules/seen", &[("if-none-match", &now)], None).await?;
        ensure!(known.status() == 304 && known.text().await?.is_empty(), "an answer that the client has");
        Ok(())
    })
}

#[test]
fn pages_lead_to_the_next_by_a_link() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("pages").await?;
        for id in ["1", "2", "3"] {
            send(&tenant, "/pages", id, "t", "1").await?;
            stored(&tenant, "/pages", id).await?;
        }
        let mut path = Some("/api/v1/events?type=t&limit=1".to_owned());
        let mut ids = Vec::new();
        while let Some(at) = path {
            let page = ask(&tenant.client, Method::GET, &at, &[], None).await?;
            let link = page.headers().get("link").map(|link| link.to_str().map(str::to_owned)).transpose()?;
            let body: Value = page.json().await?;
            ensure!(link.is_some() == body["cursor"].is_string(), "{link:?} {body}");
            let events = body["events"].as_array().context("no events")?;
            ids.extend(events.iter().filter_map(|event| event["id"].as_str().map(str::to_owned)));
            ensure!(ids.len() <= 3, "the pages go on and on: {ids:?}");
            path = link.and_then(|link| Some(link.strip_prefix('<')?.split_once('>')?.0.to_owned()));
        }
        ids.sort_unstable();
        ensure!(ids == ["1", "2", "3"], "{ids:?}");
        Ok(())
    })
}

#[test]
fn only_pages_of_allowed_origins_may_call() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("origins").await?;
        let allowed = "access-control-allow-origin";
        let first = [("origin", ALLOWED_ORIGIN), ("access-control-request-method", "PUT")];
        let first = ask(&tenant.client, Method::OPTIONS, "/api/v1/rules/a", &first, None).await?;
        ensure!(first.status() == 204 && header(&first, allowed)? == ALLOWED_ORIGIN, "{first:?}");
        ensure!(header(&first, "access-control-allow-methods")?.contains("PUT"), "{first:?}");
        for path in ["/api/v1/rules", "/api/v1/tail?for_s=0", "/api/v1/nothing"] {
            let answer = ask(&tenant.client, Method::GET, path, &[("origin", ALLOWED_ORIGIN)], None).await?;
            ensure!(header(&answer, allowed)? == ALLOWED_ORIGIN, "{path} {answer:?}");
            let other = ask(&tenant.client, Method::GET, path, &[("origin", "https://other.test")], None).await?;
            ensure!(other.headers().get(allowed).is_none(), "{path} {other:?}");
        }
        Ok(())
    })
}

#[test]
fn where_nobody_decides_a_request_is_told_to_come_back_and_never_just_fails() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("nobody").await?;
        let before = tenant.client.get("/api/v1/rules").await?;
        ensure!(before.status == 200, "{} {}", before.status, before.body);

        // It is gone, until it is brought back.
        let _dead = platform.kill9(Part::Opa).await?;
        let odd = std::sync::Mutex::new(Vec::new());
        until("a policy that decides again", HEALED_WITHIN, || async {
            let answer = tenant.client.get("/api/v1/rules").await?;
            if answer.status == 200 {
                return Ok(Some(()));
            }
            let told = refused(&answer, 503, "unavailable");
            if told.is_err() || answer.retry_after.is_none() {
                odd.lock().unwrap().push(format!("{told:?} {:?}", answer.retry_after));
            }
            Ok(None)
        })
        .await?;
        ensure!(odd.lock().unwrap().is_empty(), "{odd:?}");
        platform.wait_healed().await
    })
}
