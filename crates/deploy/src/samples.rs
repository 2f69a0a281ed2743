//! Real input: the webhook examples of `@octokit/webhooks-examples`, installed at set-up and never committed.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

/// A webhook as its sender would post it.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The `X-GitHub-Event` header.
    pub event: String,
    pub body: String,
}

/// Every example of the package under `modules` (a `node_modules` folder).
///
/// # Errors
/// When the package is not there, or not as expected.
pub fn github(modules: &Path) -> anyhow::Result<Vec<Webhook>> {
    let file = modules.join("@octokit/webhooks-examples/api.github.com/index.json");
    let text = fs::read_to_string(&file)
        .with_context(|| format!("{} is missing; `scripts/setup samples` installs it", file.display()))?;
    let groups: Vec<Value> = serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    let mut webhooks = Vec::new();
    for group in &groups {
        let event = group.get("name").and_then(Value::as_str).context("a group without a name")?;
        let examples = group.get("examples").and_then(Value::as_array).context("a group without examples")?;
        for example in examples {
            webhooks.push(Webhook { event: event.to_string(), body: serde_json::to_string(example)? });
        }
    }
    Ok(webhooks)
}
