//! The real OpenTelemetry Collector, as `deploy/otel` has it, and the spans that it was sent.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::guard::Guard;
use crate::platform::{free_ports, on_path, root};
use crate::process::launch;
use crate::wait::until;

const READY_WITHIN: Duration = Duration::from_secs(30);
/// Providers send every 5 s, the Collector writes every second; on a machine that does much else.
const SENT_WITHIN: Duration = Duration::from_secs(60);
/// Ends the Collector when whoever started it is gone.
const SCRIPT: &str = r#"cat >/dev/null; kill -9 "$(cat "$1/pid")"; rm -rf "$1""#;

/// A Collector that writes what it gets to a file. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Collector {
    pub url: String,
    port: u16,
    file: PathBuf,
    child: Child,
    guard: Guard,
    dir: TempDir,
}

/// A span as it was sent.
#[derive(Debug, Clone)]
pub struct Span {
    pub service: String,
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty: the trace begins with it.
    pub parent: String,
    /// 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u64,
    pub failed: bool,
    /// Traces and spans that it links to.
    pub links: Vec<(String, String)>,
    /// Each as text.
    pub attributes: BTreeMap<String, String>,
}

// === impl Collector ===

impl Collector {
    /// Starts it, for a platform that is to be started after it.
    ///
    /// # Errors
    /// What is missing.
    pub fn start() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("er-otel-").tempdir()?;
        let [port] = free_ports()?;
        let file = dir.path().join("spans.json");
        let mut command = Command::new(on_path("er-otel-collector", "scripts/setup otel")?);
        command.arg("--config").arg(root().join("deploy/otel/collector.yml"));
        command.env("ER_OTLP_ADDR", format!("127.0.0.1:{port}")).env("ER_SPANS_FILE", &file);
        let child = launch(&mut command, &dir.path().join("collector.log"))?;
        fs::write(dir.path().join("pid"), child.id().to_string())?;
        let guard = Guard::by(SCRIPT, dir.path())?;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), port, file, child, guard, dir })
    }

    /// Waits until it takes spans.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn ready(&self) -> anyhow::Result<()> {
        until("a Collector that listens", READY_WITHIN, || async {
            Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok().then_some(()))
        })
        .await
    }

    /// Every span that it was sent.
    ///
    /// # Errors
    /// What is no span.
    pub fn spans(&self) -> anyhow::Result<Vec<Span>> {
        read(&self.file)
    }

    /// Waits until the spans are as they should be; what `right` makes of them.
    ///
    /// # Errors
    /// What `right` said last.
    pub async fn becomes<T>(&self, what: &str, right: impl Fn(&[Span]) -> anyhow::Result<T>) -> anyhow::Result<T> {
        until(what, SENT_WITHIN, || async { right(&self.spans()?).map(Some) }).await
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Nobody else's by now.
        let _ = fs::remove_file(self.dir.path().join("pid"));
        self.guard.end();
    }
}

// === impl Span ===

impl Span {
    /// An attribute as text; empty where there is none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// A line is what one request brought; the last may still be being written.
fn read(file: &Path) -> anyhow::Result<Vec<Span>> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut spans = Vec::new();
    for line in whole.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
        for resource in list(&line, "resourceSpans") {
            let service = attributes(&resource["resource"]).remove("service.name").unwrap_or_default();
            for span in list(resource, "scopeSpans").flat_map(|scope| list(scope, "spans")) {
                spans.push(Span {
                    service: service.clone(),
                    name: text_of(span, "name"),
                    trace: text_of(span, "traceId"),
                    id: text_of(span, "spanId"),
                    parent: text_of(span, "parentSpanId"),
                    kind: span["kind"].as_u64().unwrap_or_default(),
                    failed: span["status"]["code"].as_u64() == Some(2),
                    links: list(span, "links")
                        .map(|link| (text_of(link, "traceId"), text_of(link, "spanId")))
                        .collect(),
                    attributes: attributes(span),
                });
            }
        }
    }
    Ok(spans)
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn text_of(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| {
        let value = value.as_object().and_then(|value| value.values().next()).cloned().unwrap_or_default();
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    };
    list(of, "attributes").map(|each| (text_of(each, "key"), text(&each["value"]))).collect()
}
