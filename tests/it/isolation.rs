//! Ten surfaces by five identities: a table of who is told what. Each refusal is in the log, with who it was.

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_deploy::client::Client;
use er_event::event::rfc3339_us;
use er_event::keys;
use er_testkit::{until, Platform, Tenant};
use reqwest::{Method, StatusCode};
use serde_json::{json, Value};

use crate::support::{alone, now_us, send, stored, EVENT, JSON};

const LOGGED_WITHIN: Duration = Duration::from_secs(30);
const EXPIRED_WITHIN: Duration = Duration::from_secs(30);

/// What is asked of a surface, in the victim's name.
struct Request {
    surface: &'static str,
    method: Method,
    /// `{}` is the victim.
    path: &'static str,
    content_type: &'static str,
    body: Option<&'static str>,
}

/// Where it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Ingest,
    Api,
    /// No surface at all: whoever asks is told that there is nothing.
    Nowhere,
}

/// Who asks.
struct Identity {
    name: &'static str,
    /// None: no key.
    key: Option<String>,
    /// Whether the key is a good one, of another tenant.
    stranger: bool,
}

fn requests() -> Vec<Request> {
    let get = |surface, path| Request { surface, method: Method::GET, path, content_type: JSON, body: None };
    let send =
        |surface, method, path, content_type, body| Request { surface, method, path, content_type, body: Some(body) };
    vec![
        send(
            "ingest",
            Method::POST,
            "/events?tenant={}",
            EVENT,
            r#"{"specversion":"1.0","id":"planted","source":"/s","type":"t"}"#,
        ),
        get("tail", "/api/v1/tail?tenant={}"),
        get("events", "/api/v1/events?tenant={}"),
        get("events", "/api/v1/events/%2Fs/1?tenant={}"),
        get("events", "/api/v1/events/%2Fs/1/story?tenant={}"),
        send(
            "replay",
            Method::POST,
            "/api/v1/replays?tenant={}",
            JSON,
            r#"{"consumer":"c","from":"2020-01-01T00:00:00Z"}"#,
        ),
        get("dead letters", "/api/v1/dead-letters?tenant={}"),
        send("dead letters", Method::POST, "/api/v1/dead-letters:redrive?tenant={}", JSON, r#"{"all":true}"#),
        get("rules", "/api/v1/rules?tenant={}"),
        send(
            "rules",
            Method::PUT,
            "/api/v1/rules/mine?tenant={}",
            "text/plain",
            r#"rule R { when true then Drop(); }"#,
        ),
        get("consumers", "/api/v1/consumers?tenant={}"),
        Request {
            surface: "consumers",
            method: Method::DELETE,
            path: "/api/v1/consumers/c?tenant={}",
            content_type: JSON,
            body: None,
        },
        get("usage", "/api/v1/usage/{}"),
        get("invoices", "/api/v1/invoices/{}"),
        get("invoices", "/api/v1/invoice/{}"),
        get("metrics", "/metrics"),
        get("metrics", "/api/v1/metrics?tenant={}"),
    ]
}

// === impl Request ===

impl Request {
    fn place(&self) -> Place {
        match self.surface {
            "ingest" => Place::Ingest,
            "metrics" => Place::Nowhere,
            _ => Place::Api,
        }
    }

    fn wanted(&self, identity: &Identity) -> StatusCode {
        match self.place() {
            Place::Nowhere => StatusCode::NOT_FOUND,
            _ if identity.stranger => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// The path as a log has it.
    fn logged(&self, victim: &Tenant) -> String {
        let path = self.path.split('?').next().unwrap_or_default().replace("{}", &victim.id);
        format!("refused: {} {path} ", self.method)
    }

    async fn ask(&self, client: &Client, victim: &Tenant, key: Option<&str>) -> anyhow::Result<(StatusCode, String)> {
        let base = if self.place() == Place::Ingest { &client.ingest } else { &client.api };
        let mut request = client.raw(self.method.clone(), &format!("{base}{}", self.path.replace("{}", &victim.id)));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = self.body {
            request = request.header("content-type", self.content_type).body(body);
        }
        let answer = Client::answer(request).await?;
        Ok((answer.status, answer.body))
    }
}

/// Keys of the five who have no business with the victim.
async fn identities(victim: &Tenant, other: &Tenant, role: &str) -> anyhow::Result<Vec<Identity>> {
    let expires = rfc3339_us(now_us() + 10_000_000);
    let wanted = json!({ "role": "admin", "expires": expires });
    let made = victim.client.call(Method::POST, "/api/v1/keys", Some(&wanted)).await?;
    ensure!(made.status == StatusCode::CREATED, "{} {}", made.status, made.body);
    let expired = made.json()["key"].as_str().context("no key")?.to_owned();
    until("a key to expire", EXPIRED_WITHIN, || async {
        let answer = victim.client.with_key(&expired).get("/api/v1/keys").await?;
        Ok((answer.status == StatusCode::UNAUTHORIZED).then_some(()))
    })
    .await?;
    let mut forged = victim.client.key().to_owned();
    let last = forged.pop().context("an empty key")?;
    forged.push(if last == 'A' { 'E' } else { 'A' });
    ensure!(keys::parse(&forged).is_some(), "no forgery: it is told from a key by its looks");
    let identity = |name, key, stranger| Identity { name, key, stranger };
    Ok(vec![
        identity("none", None, false),
        identity("other tenant", Some(other.key(role).await?.client.key().to_owned()), true),
        identity("expired", Some(expired), false),
        identity("forged", Some(forged), false),
        identity("other's admin", Some(other.client.key().to_owned()), true),
    ])
}

/// A log as it grows.
struct Log {
    file: std::fs::File,
    read: String,
}

// === impl Log ===

impl Log {
    fn open(platform: &Platform) -> anyhow::Result<Self> {
        let mut file = std::fs::File::open(platform.log("platform"))?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self { file, read: String::new() })
    }

    /// Waits for a line with all of these; nothing before it is looked at again.
    async fn line(&mut self, parts: &[&str]) -> anyhow::Result<()> {
        let log = std::sync::Mutex::new(&mut *self);
        until(&format!("a line in the log with {parts:?}"), LOGGED_WITHIN, || async {
            let mut log = log.lock().map_err(|_| anyhow::anyhow!("another thread panicked"))?;
            // One that grew too long was emptied.
            if log.file.metadata()?.len() < log.file.stream_position()? {
                log.file.rewind()?;
            }
            let mut more = Vec::new();
            log.file.read_to_end(&mut more)?;
            log.read.push_str(&String::from_utf8_lossy(&more));
            let found = log.read.lines().position(|line| parts.iter().all(|part| line.contains(part)));
            Ok(found.map(|_| log.read.clear()))
        })
        .await
    }
}

#[test]
fn no_surface_opens_to_who_has_no_right_to_it_and_each_attempt_is_logged() -> anyhow::Result<()> {
    alone(|platform| async move {
        let (victim, other) = (platform.tenant("victim").await?, platform.tenant("other").await?);
        send(&victim, "/s", "1", "t", "\"theirs\"").await?;
        stored(&victim, "/s", "1").await?;
        let (readers, writers) =
            (identities(&victim, &other, "viewer").await?, identities(&victim, &other, "publisher").await?);
        let mut log = Log::open(&platform)?;
        let names: Vec<String> = readers.iter().map(|identity| format!("{:<14}", identity.name)).collect();
        eprintln!("{:<13} {:<46} {}", "surface", "request", names.join(""));
        let mut faults = Vec::new();
        for request in requests() {
            let identities = if request.place() == Place::Ingest { &writers } else { &readers };
            let mut cells = String::new();
            for identity in identities {
                let (status, body) = request.ask(&victim.client, &victim, identity.key.as_deref()).await?;
                let (path, name) = (request.path, identity.name);
                let mut cell = status.as_u16().to_string();
                if status != request.wanted(identity) {
                    faults.push(format!("{} {path}, {name}: {status} {body}", request.method));
                }
                // The path names the victim; that it is one must not be told by more than that.
                if body.contains("theirs") || (identity.stranger && body.contains(&victim.id)) {
                    faults.push(format!("{} {path}, {name}: it tells of the victim: {body}", request.method));
                }
                if request.place() != Place::Nowhere {
                    let id = identity.key.as_deref().map(|key| keys::hash(key)[..12].to_owned());
                    let logged = request.logged(&victim);
                    match log.line(&[&logged, id.as_deref().unwrap_or("without a key")]).await {
                        Ok(()) => cell.push_str(" logged"),
                        Err(error) => faults.push(format!("{} {path}, {name}: {error:#}", request.method)),
                    }
                }
                cells.push_str(&format!("{cell:<14}"));
            }
            eprintln!("{:<13} {:<46} {cells}", request.surface, format!("{} {}", request.method, request.path));
        }
        ensure!(faults.is_empty(), "{} of the table's cells: {}", faults.len(), faults.join("\n"));

        // Nothing was planted, changed or removed.
        ensure!(victim.event("/s", "planted").await?.is_none(), "an event was planted");
        ensure!(victim.event("/s", "1").await?.is_some(), "the event is gone");
        let rules: Value = victim.client.read("/api/v1/rules").await?;
        ensure!(!rules.to_string().contains("\"mine\""), "rules were planted: {rules}");
        Ok(())
    })
}

/// Prometheus asks without a key, from the same machine: so there must be nothing of what a tenant does in it besides how
/// much waits of it, and nobody from elsewhere may ask.
#[test]
fn metrics_tell_nothing_of_what_a_tenant_does_and_are_served_to_this_machine_only() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("counted").await?;
        let consumer = platform.consumer(&tenant, er_testkit::Component::Recorder, &[]).await?;
        send(&tenant, "/s", "1", "secret.type", "1").await?;
        stored(&tenant, "/s", "1").await?;
        for url in &platform.metrics_urls {
            let answer = Client::answer(tenant.client.raw(Method::GET, url)).await?;
            ensure!(answer.status == StatusCode::OK, "{url}: {} {}", answer.status, answer.body);
            for name in [&*consumer.app, &*consumer.id, "secret.type"] {
                ensure!(!answer.body.contains(name), "{url} tells of `{name}`: {}", answer.body);
            }
            let of_tenants = |line: &&str| line.contains(&*tenant.id) || line.contains("tenant=");
            let told: Vec<&str> = answer.body.lines().filter(of_tenants).collect();
            let bounded = told.iter().all(|line| line.starts_with("eventrunner_tenant_"));
            ensure!(bounded, "{url} tells of tenants: {told:?}");
            let port: u16 =
                url.rsplit(':').next().and_then(|rest| rest.split('/').next()).context("a port")?.parse()?;
            // Another address of this machine: whoever listens on all of them listens on it.
            let elsewhere = TcpStream::connect(("127.0.0.2", port));
            let refused = elsewhere.as_ref().err().map(std::io::Error::kind) == Some(ErrorKind::ConnectionRefused);
            ensure!(refused, "port {port} of 127.0.0.2: {elsewhere:?}");
        }
        platform.retire(&consumer).await
    })
}
