//! What must not come in: each is answered at once with a problem that tells the mend, and leaves no trace.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use er_deploy::client::{Answer, Client};
use er_testkit::platform::root;
use er_testkit::{until, Platform, Tenant};
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ingest_modes::gzip;
use crate::support::{asks_to_come_again, event, post, refused, send, shared, stored, EVENT};

/// No refusal may take longer, even while the machine does much else.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// A row of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    status: u16,
    /// The last part of the problem's type.
    kind: String,
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    /// A header whose value is bytes, in base64.
    raw_header: Option<(String, String)>,
    body: Option<Text>,
    method: Option<String>,
    path: Option<Text>,
    /// Absent is an admin's; null is none.
    #[serde(default, deserialize_with = "present")]
    key: Option<Option<String>>,
    /// Which event of the batch the problem must name.
    event: Option<u64>,
    /// Sent without Content-Length.
    #[serde(default)]
    chunked: bool,
}

/// Bytes, written so that a person can read them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Base64 {
        base64: String,
    },
    /// Texts, each followed by how often it is repeated.
    Repeat {
        repeat: Vec<Value>,
    },
    Gzip {
        gzip: Box<Text>,
        /// Bytes to keep.
        cut: Option<usize>,
        /// Whether the last byte (of the length) or, with it, the checksum is changed.
        #[serde(default)]
        flip_last: bool,
    },
    /// So many zeros, compressed.
    Zeros {
        gzip_zeros: usize,
    },
}

/// Tells `null` (some none) from absent (none).
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

// === impl Text ===

impl Text {
    fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Plain(text) => Ok(text.clone().into_bytes()),
            Self::Base64 { base64 } => Ok(STANDARD.decode(base64)?),
            Self::Repeat { repeat } => {
                let mut bytes = Vec::new();
                for pair in repeat.chunks(2) {
                    let [Value::String(text), times] = pair else { anyhow::bail!("not a text and a number: {pair:?}") };
                    let times = times.as_u64().context("not a number")?;
                    bytes.extend(text.repeat(usize::try_from(times)?).into_bytes());
                }
                Ok(bytes)
            }
            Self::Gzip { gzip: inner, cut, flip_last } => {
                let mut packed = gzip(&inner.bytes()?)?;
                packed.truncate(cut.unwrap_or(usize::MAX));
                if *flip_last {
                    // The eight bytes at the end are checksum and length.
                    if let Some(byte) = packed.iter_mut().rev().nth(7) {
                        *byte ^= 0xff;
                    }
                }
                Ok(packed)
            }
            Self::Zeros { gzip_zeros } => gzip(&vec![0; *gzip_zeros]),
        }
    }

    fn text(&self) -> anyhow::Result<String> {
        Ok(String::from_utf8(self.bytes()?)?)
    }
}

/// What a row's request is made with.
struct Sender {
    tenant: Tenant,
    viewer: Client,
    operator: Client,
}

// === impl Sender ===

impl Sender {
    async fn new(platform: &Platform, theme: &str) -> anyhow::Result<Self> {
        let tenant = platform.tenant(theme).await?;
        let viewer = tenant.key("viewer").await?.client;
        Ok(Self { tenant, viewer, operator: platform.operator.clone() })
    }

    /// What it is told once the platform is not held up.
    async fn answer(&self, row: &Row) -> anyhow::Result<Answer> {
        until("an answer to the request itself", ANSWERED_WITHIN, || async {
            let answer = Client::answer(self.request(row)?).await;
            Ok((!answer.as_ref().is_ok_and(asks_to_come_again)).then_some(answer))
        })
        .await?
    }

    fn request(&self, row: &Row) -> anyhow::Result<RequestBuilder> {
        let client = &self.tenant.client;
        let path = row.path.as_ref().map_or_else(|| Ok("/events".into()), Text::text)?;
        let method = row.method.as_deref().unwrap_or("POST").parse()?;
        let mut request = client.raw(method, &format!("{}{path}", client.ingest));
        let key = match &row.key {
            None => Some(client.key()),
            Some(None) => None,
            Some(Some(name)) if name == "viewer" => Some(self.viewer.key()),
            Some(Some(name)) if name == "operator" => Some(self.operator.key()),
            Some(Some(text)) => Some(text.as_str()),
        };
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        for (name, value) in &row.headers {
            request = request.header(name, value.bytes()?);
        }
        if let Some((name, base64)) = &row.raw_header {
            request = request.header(name, STANDARD.decode(base64)?);
        }
        let body = row.body.as_ref().map(Text::bytes).transpose()?;
        Ok(match body {
            None => request,
            Some(body) if row.chunked => {
                let pieces: Vec<Vec<u8>> = body.chunks(64 * 1024).map(<[u8]>::to_vec).collect();
                let stream = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
                request.body(reqwest::Body::wrap_stream(stream))
            }
            Some(body) => request.body(body),
        })
    }

    async fn try_row(&self, row: &Row) -> anyhow::Result<()> {
        let answer = self.answer(row).await?;
        refused(&answer, row.status, &row.kind)?;
        let problem = answer.json();
        let mend = problem.get("mend").and_then(Value::as_str).unwrap_or_default();
        ensure!(!mend.is_empty(), "it does not tell the mend: {}", answer.body);
        ensure!(problem.get("event").and_then(Value::as_u64) == row.event, "another event is named: {}", answer.body);
        ensure!(problem.get("retryable") == Some(&false.into()), "it may be sent again unchanged? {}", answer.body);
        Ok(())
    }
}

#[test]
fn every_malformed_request_is_told_its_mend() -> anyhow::Result<()> {
    shared(|platform| async move {
        let rows: Vec<Row> = serde_json::from_slice(&std::fs::read(root().join("tests/vectors/malformed.json"))?)?;
        let sender = Sender::new(&platform, "malformed").await?;
        let mut wrong = Vec::new();
        for row in &rows {
            if let Err(error) = sender.try_row(row).await {
                wrong.push(format!("{}: {error:#}", row.name));
            }
        }
        ensure!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
        let left = sender.tenant.events("").await?;
        ensure!(left.is_empty(), "something of it came in: {left:?}");
        ensure!(sender.tenant.dead_letters().await?.is_empty(), "something of it is a dead letter");
        send(&sender.tenant, "/s", "good", "t", "1").await?;
        stored(&sender.tenant, "/s", "good").await?;
        Ok(())
    })
}

#[test]
fn a_bad_request_does_not_spoil_the_good_ones_that_come_with_it() -> anyhow::Result<()> {
    shared(|platform| async move {
        let sender = Sender::new(&platform, "mixed").await?;
        let client = &sender.tenant.client;
        let posts = (0..200).map(|n| async move {
            let good = event("/s", &n.to_string(), "t", "1");
            let body = if n % 2 == 0 { good } else { good.replace("\"type\"", "\"tpye\"") };
            post(client, EVENT, body).await
        });
        for (n, answer) in futures::future::try_join_all(posts).await?.iter().enumerate() {
            match n % 2 {
                0 => crate::support::accepted(answer, &[&n.to_string()])?,
                _ => refused(answer, 400, "invalid-event")?,
            }
        }
        for n in (0..200).step_by(2) {
            stored(&sender.tenant, "/s", &n.to_string()).await?;
        }
        ensure!(sender.tenant.events("").await?.len() == 100);
        Ok(())
    })
}

// === below HTTP ===

/// A connection to ingest that nobody has said anything on.
async fn connect(platform: &Platform) -> anyhow::Result<TcpStream> {
    let address = platform.ingest_url.strip_prefix("http://").context("no http address")?;
    Ok(TcpStream::connect(address).await?)
}

/// What is said until the other side closes the connection.
async fn rest(stream: &mut TcpStream, deadline: Duration) -> anyhow::Result<String> {
    let mut said = Vec::new();
    let mut piece = [0; 4096];
    let read = async {
        loop {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => said.extend_from_slice(&piece[..count]),
            }
        }
    };
    tokio::time::timeout(deadline, read).await.context("the connection was not closed in time")?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn what_is_no_http_is_let_go() -> anyhow::Result<()> {
    shared(|platform| async move {
        let garbage: [&[u8]; 8] = [
            b"\x00\x01\x02\x03\r\n\r\n",
            b"hello\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"POST /events HTTP/9.9\r\n\r\n",
            b"POST\r\n\r\n",
            b"POST /events HTTP/1.1\r\nhost: a\r\nno colon here\r\n\r\n",
            b"POST /events HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
            b"POST /events HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nnot a length\r\n",
        ];
        for bytes in garbage {
            let shown = String::from_utf8_lossy(bytes).into_owned();
            let mut stream = connect(&platform).await?;
            stream.write_all(bytes).await?;
            stream.shutdown().await?;
            let said = rest(&mut stream, ANSWERED_WITHIN).await.with_context(|| format!("{shown:?}"))?;
            let status = said.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..1));
            ensure!(said.is_empty() || status == Some("4"), "{shown:?} was answered {said}");
        }
        platform.operator.wait_healthy(ANSWERED_WITHIN).await
    })
}

#[test]
fn a_connection_that_does_not_say_what_it_is_is_let_go() -> anyhow::Result<()> {
    shared(|platform| async move {
        let http = platform.ingest_url.strip_prefix("http://").context("no http address")?;
        let grpc = platform.grpc_addr.as_str();
        let starts = ["", "P", "PRI * HTTP/2.0\r\n"];
        let tries = [http, grpc].into_iter().flat_map(|door| starts.map(|start| (door, start)));
        let tries = tries.map(|(door, start)| async move {
            let mut stream = TcpStream::connect(door).await?;
            stream.write_all(start.as_bytes()).await?;
            let said = rest(&mut stream, Duration::from_secs(30)).await;
            said.with_context(|| format!("{start:?} at {door}")).map(drop)
        });
        futures::future::try_join_all(tries).await.map(drop)
    })
}

#[test]
fn a_header_without_end_is_cut_off() -> anyhow::Result<()> {
    shared(|platform| async move {
        let mut stream = connect(&platform).await?;
        let _ = stream.write_all(b"POST /events HTTP/1.1\r\nhost: a\r\nx-long: ").await;
        let flood = vec![b'a'; 64 * 1024];
        // Up to 64 MiB, or until it is let go.
        for _ in 0..1024 {
            if stream.write_all(&flood).await.is_err() {
                break;
            }
        }
        let said = rest(&mut stream, ANSWERED_WITHIN).await?;
        ensure!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
        Ok(())
    })
}

#[test]
fn a_sender_that_stops_half_way_is_let_go() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("half").await?;
        let head = format!(
            "POST /events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-type: {EVENT}\r\n",
            tenant.client.key()
        );
        let started = Instant::now();
        let half = [
            ("half of a request line", "POST /eve".to_string(), 40),
            ("half of a header", head.clone(), 40),
            ("half of a body", format!("{head}content-length: 100\r\n\r\n{{"), 90),
            ("half of a chunk", format!("{head}transfer-encoding: chunked\r\n\r\n10\r\n{{"), 90),
        ];
        let tries = half.iter().map(|(name, bytes, within_s)| {
            let platform = &platform;
            async move {
                let mut stream = connect(platform).await?;
                stream.write_all(bytes.as_bytes()).await?;
                let said = rest(&mut stream, Duration::from_secs(*within_s)).await.context(*name)?;
                let refused = said.starts_with("HTTP/1.1 408") || said.starts_with("HTTP/1.1 504");
                ensure!(said.is_empty() || refused, "{name}: {said}");
                anyhow::Ok(())
            }
        });
        futures::future::try_join_all(tries).await?;
        ensure!(started.elapsed() < Duration::from_secs(120));
        // One that hangs up half way is nobody's trouble either.
        for (_, bytes, _) in &half {
            let mut stream = connect(&platform).await?;
            stream.write_all(bytes.as_bytes()).await?;
        }
        ensure!(tenant.events("").await?.is_empty());
        Ok(())
    })
}
