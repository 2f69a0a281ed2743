//! Clients of others (`tests/it/foreign`), and what they say that they sent.

use std::path::Path;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_testkit::platform::root;
use er_testkit::Tenant;
use serde_json::Value;

use crate::support::stored;

const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// Runs a script, and gives what it said of each event that it sent. `modules`: where Node finds packages.
pub async fn sent(program: &Path, script: &str, arguments: [&str; 2], modules: &Path) -> anyhow::Result<Vec<Value>> {
    let output = tokio::process::Command::new(program)
        .arg(root().join("tests/it/foreign").join(script))
        .args(arguments)
        .env("NODE_PATH", modules)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(ENDS_WITHIN, output).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{script}: {} {said} {}", output.status, String::from_utf8_lossy(&output.stderr));
    said.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{script} said {line}"))).collect()
}

pub fn field<'s>(sent: &'s Value, name: &str) -> anyhow::Result<&'s str> {
    sent.get(name).and_then(Value::as_str).with_context(|| format!("no {name} in {sent}"))
}

/// Holds an event to be stored as it was meant.
pub async fn is_stored(tenant: &Tenant, sent: &Value) -> anyhow::Result<()> {
    let found = stored(tenant, field(sent, "source")?, field(sent, "id")?).await?;
    let json: Value = serde_json::from_str(&found)?;
    for (name, value) in sent["attributes"].as_object().context("no attributes")? {
        ensure!(json.get(name) == Some(value), "{sent}: `{name}` is stored as {found}");
    }
    match sent.get("base64") {
        Some(bytes) => ensure!(json.get("data_base64") == Some(bytes), "{sent}: {found}"),
        None => ensure!(json.get("data") == sent.get("data"), "{sent}: {found}"),
    }
    Ok(())
}
