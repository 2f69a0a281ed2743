//! The events of every cell: GitHub's own sample payloads as CloudEvents, and rides in the size of Grule's benchmark.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{json, Value};

/// As many as cross a link at once.
pub const EVENTS: usize = 256;

/// The kind of webhook: 256 of them, of about 1.8 kB each, are just within a batch's 512 KiB.
const WEBHOOK: &str = "marketplace_purchase";
/// Coprime to every number of rules: the keys of a batch lie apart.
const STRIDE: usize = 7_919;

/// The payloads of one kind of webhook.
#[derive(Debug)]
pub struct Samples(Vec<Value>);

// === impl Samples ===

impl Samples {
    /// `dir`: the package `@octokit/webhooks-examples`.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("api.github.com/index.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading {}; mend it with: scripts/setup samples", path.display()))?;
        let index: Vec<Value> = serde_json::from_str(&text)?;
        let samples = index
            .into_iter()
            .find(|entry| entry["name"] == WEBHOOK)
            .and_then(|mut entry| entry["examples"].as_array_mut().map(std::mem::take))
            .filter(|samples| !samples.is_empty())
            .with_context(|| format!("{} has no {WEBHOOK}", path.display()))?;
        Ok(Self(samples))
    }

    /// Events whose subjects are among `keys` keys.
    pub fn webhooks(&self, keys: usize) -> Vec<String> {
        let event = |index: usize| {
            let data = &self.0[index % self.0.len()];
            let action = data["action"].as_str().unwrap_or("purchased");
            let key = format!("key-{}", index * STRIDE % keys);
            cloud_event(index, &format!("com.github.{WEBHOOK}.{action}"), &key, data)
        };
        (0..EVENTS).map(event).collect()
    }
}

/// The fact of Grule's benchmark, as an event.
pub fn rides() -> Vec<String> {
    let data = json!({"Metres": 6000, "Minutes": 121, "Kind": "", "Regular": false, "Done": false, "Price": 0});
    (0..EVENTS).map(|index| cloud_event(index, "taxi.ride", "ride", &data)).collect()
}

fn cloud_event(index: usize, event_type: &str, subject: &str, data: &Value) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"0197c0de-0000-7000-8000-{index:012}","source":"https://github.com/octo-org/app","type":"{event_type}","subject":"{subject}","time":"2025-05-15T15:21:03.{index:06}Z","datacontenttype":"application/json","data":{data}}}"#
    )
}
