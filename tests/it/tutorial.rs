//! `docs/rules.md`: every example does what the page says, on real webhooks.

use std::collections::BTreeMap;

use anyhow::{ensure, Context as _};
use er_deploy::samples;
use er_testkit::platform::{cache, root};
use er_testkit::Tenant;
use reqwest::Method;
use serde_json::{json, Value};

use crate::support::{accepted, posted, refused, shared, stored, text, JSON};

/// A box of the page: what it is, and what is in it.
struct Fence<'a> {
    line: usize,
    info: &'a str,
    body: String,
}

fn fences(page: &str) -> Vec<Fence<'_>> {
    let mut fences: Vec<Fence<'_>> = Vec::new();
    let mut inside = false;
    for (number, line) in page.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(info), false) => {
                inside = true;
                fences.push(Fence { line: number + 1, info, body: String::new() });
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                if let Some(fence) = fences.last_mut() {
                    fence.body.push_str(line);
                    fence.body.push('\n');
                }
            }
            (None, false) => {}
        }
    }
    fences
}

/// The first example webhook of each type that the page names, as it is stored.
async fn events(tenant: &Tenant, page: &[Fence<'_>]) -> anyhow::Result<BTreeMap<String, Value>> {
    let wanted: Vec<&str> = page.iter().filter_map(|fence| fence.info.strip_prefix("result ")).collect();
    let mut events = BTreeMap::new();
    for webhook in samples::github(&cache().join("npm/node_modules"))? {
        let body: Value = serde_json::from_str(&webhook.body)?;
        let action = body["action"].as_str().map(|action| format!(".{action}")).unwrap_or_default();
        let event_type = format!("com.github.{}{action}", webhook.event);
        if !wanted.contains(&&*event_type) || events.contains_key(&event_type) {
            continue;
        }
        let headers = [("content-type", JSON), ("x-github-event", &webhook.event), ("x-github-delivery", &event_type)];
        accepted(&posted(&tenant.client, &headers, webhook.body.clone()).await?, &[&event_type])?;
        let source = body["repository"]["html_url"].as_str().unwrap_or("https://github.com");
        let event = stored(tenant, source, &event_type).await.with_context(|| format!("{event_type} of {source}"))?;
        ensure!(text(&event, "type")? == event_type, "{event}");
        events.insert(event_type, serde_json::from_str(&event)?);
    }
    for event_type in wanted {
        ensure!(events.contains_key(event_type), "there is no example of {event_type}");
    }
    Ok(events)
}

/// What the trial's answer says to a line of the page.
fn said(tried: &Value, name: &str) -> anyhow::Result<String> {
    let words = |value: &Value| value.as_str().unwrap_or_default().replace(',', ", ");
    Ok(match name {
        "fired" => {
            let fired = tried["fired"].as_array().context("no list of what fired")?;
            fired.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        "outcome" | "reason" => tried[name].as_str().unwrap_or_default().to_owned(),
        "tags" => words(&tried["event"]["ertags"]),
        "routes" => words(&tried["event"]["erroute"]),
        "emits" => {
            let emitted = tried["emitted"].as_array().context("no list of what was emitted")?;
            let one = |event: &Value| format!("{} {}", event["type"].as_str().unwrap_or_default(), event["data"]);
            emitted.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        path => {
            let pointer = path.strip_prefix("Event").context(format!("`{path}` means nothing here"))?.replace('.', "/");
            tried["event"].pointer(&pointer).unwrap_or(&Value::Null).to_string()
        }
    })
}

#[test]
fn every_example_of_the_page_on_rules_does_what_the_page_says() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("tutorial").await?;
        let page = std::fs::read_to_string(root().join("docs/rules.md"))?;
        let page = fences(&page);
        let events = events(&tenant, &page).await?;
        let (mut rules, mut results, mut mistakes) = (String::new(), 0, 0);
        for fence in &page {
            if fence.info.starts_with("grl") {
                rules.clone_from(&fence.body);
            } else if let Some(event_type) = fence.info.strip_prefix("result ") {
                let body = json!({ "rules": rules, "events": [events[event_type]] });
                let tried = tenant.client.call(Method::POST, "/api/v1/rules:test", Some(&body)).await?;
                ensure!(tried.status == 200, "line {}: {} {}", fence.line, tried.status, tried.body);
                let tried = tried.json()["events"][0].clone();
                for line in fence.body.lines() {
                    let (name, expected) = line.split_once(':').with_context(|| format!("`{line}` of the page"))?;
                    let said = said(&tried, name)?;
                    ensure!(said == expected.trim(), "line {}: {name} is `{said}`: {tried}", fence.line);
                    results += 1;
                }
            } else if fence.info == "mistakes" {
                let body = json!({ "rules": rules, "events": [] });
                let answer = tenant.client.call(Method::POST, "/api/v1/rules:test", Some(&body)).await?;
                refused(&answer, 422, "unprocessable")?;
                let problem = answer.json();
                let errors = problem["errors"].as_array().context("no list of mistakes")?;
                for line in fence.body.lines() {
                    let (at, word) = line.split_once(": ").unwrap_or((line, ""));
                    let at: u64 = at.parse()?;
                    let there = |error: &&Value| {
                        error["line"] == at && error["message"].as_str().is_some_and(|said| said.contains(word))
                    };
                    ensure!(errors.iter().any(|error| there(&error)), "line {}: `{line}`: {problem}", fence.line);
                    mistakes += 1;
                }
            }
        }
        ensure!(results >= 20 && mistakes >= 3, "{results} results and {mistakes} mistakes: the page was not read");
        Ok(())
    })
}
