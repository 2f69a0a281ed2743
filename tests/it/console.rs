//! The console in a real Chromium: each thing that can be done in it, done, and looked at from outside as well. A flow is a
//! file of `console/`, with a browser and a tenant of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{bail, ensure, Context as _};
use er_deploy::client::Client;
use er_testkit::platform::{cache, need, on_path, root};
use er_testkit::{until, Platform, Tenant};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{shared, JSON};

const MEND: &str = "scripts/setup chromium";
/// A whole flow, on a machine that does much else.
const FLOW_WITHIN: Duration = Duration::from_secs(900);
const RUNS_WITHIN: Duration = Duration::from_secs(180);

fn browser() -> anyhow::Result<PathBuf> {
    on_path("chromium", MEND).or_else(|_| on_path("google-chrome", MEND))
}

async fn flow(platform: &Platform, tenant: &Tenant, name: &str) -> anyhow::Result<()> {
    let modules = cache().join("browser");
    need(&modules.join("complete"), MEND)?;
    let run = root().join("tests/it/console/run.mjs");
    let mut command = Command::new("node");
    command.arg(run).arg(name).stdin(Stdio::null()).kill_on_drop(true).envs([
        ("ER_BROWSER", browser()?.as_os_str()),
        ("ER_BROWSER_MODULES", modules.as_os_str()),
        ("ER_API_URL", Path::new(&platform.api_url).as_os_str()),
        ("ER_INGEST_URL", Path::new(&platform.ingest_url).as_os_str()),
        ("ER_TENANT", Path::new(&tenant.id).as_os_str()),
        ("ER_API_KEY", Path::new(tenant.client.key()).as_os_str()),
        ("ER_ADMIN_KEY", Path::new(tenant.operator.key()).as_os_str()),
    ]);
    let output = timeout(FLOW_WITHIN, command.output()).await.context("the browser's flow did not end")??;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{name}: {}\n{said}", output.status);
    Ok(())
}

/// A tenant that has nothing yet, and one flow in it.
fn on_its_own(name: &'static str) -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant(name).await?;
        flow(&platform, &tenant, name).await
    })
}

#[test]
fn who_may_come_in_does_and_leaves_no_key_behind() -> anyhow::Result<()> {
    on_its_own("door")
}

#[test]
fn what_the_page_reads_and_writes_keeps_every_digit_and_place() -> anyhow::Result<()> {
    on_its_own("pieces")
}

#[test]
fn events_are_tailed_filtered_held_and_told_to_their_end() -> anyhow::Result<()> {
    on_its_own("events")
}

#[test]
fn a_rule_is_written_mended_tried_saved_and_rolled_back() -> anyhow::Result<()> {
    on_its_own("rules")
}

#[test]
fn dead_letters_are_inspected_redriven_and_discarded() -> anyhow::Result<()> {
    on_its_own("letters")
}

#[test]
fn usage_is_shown_and_an_invoice_proved() -> anyhow::Result<()> {
    on_its_own("usage")
}

#[test]
fn the_keyboard_alone_is_enough() -> anyhow::Result<()> {
    on_its_own("keyboard")
}

#[test]
fn a_consumer_is_held_read_and_rolled_back_and_every_view_can_be_used_by_all() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("views").await?;
        let component = root().join("build/er_rust_alert.wasm");
        need(&component, "scripts/build-components")?;
        put(&tenant, "application/wasm", std::fs::read(component)?, 1).await?;
        // Only settings: another version of the same code.
        put(&tenant, JSON, json!({ "deliver": "all", "attempts_max": 3 }).to_string().into_bytes(), 2).await?;
        flow(&platform, &tenant, "consumers").await?;
        flow(&platform, &tenant, "views").await
    })
}

/// Puts in a version of the consumer, and waits until it runs.
async fn put(tenant: &Tenant, content_type: &str, body: Vec<u8>, version: u64) -> anyhow::Result<()> {
    let path = "/api/v1/consumers/rust-alert";
    let request =
        tenant.client.raw(Method::PUT, &format!("{}{path}", tenant.client.api)).bearer_auth(tenant.client.key());
    let answer = Client::answer(request.header("content-type", content_type).body(body)).await?;
    ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
    until("the consumer to run", RUNS_WITHIN, || async {
        let record = tenant.client.read(path).await?;
        match record["state"].as_str() {
            Some("running") if record["deployed"] == version => Ok(Some(())),
            Some("refused" | "failed") => bail!("{record}"),
            _ => Ok(None),
        }
    })
    .await
}
