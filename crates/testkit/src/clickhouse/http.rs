//! ClickHouse's HTTP interface before chDB, as far as a client of it needs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{bail, ensure, Context as _};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::Router;
use er_chdb::{Chdb, Error, Options};
use tokio::io::AsyncReadExt as _;

const BODY_BYTES_MAX: usize = 64 << 20;
/// AUTHENTICATION_FAILED
const NOT_YOU: i32 = 516;

/// What is served where.
#[derive(Debug, Clone)]
pub struct Serving {
    pub library: PathBuf,
    pub dir: PathBuf,
    pub addr: SocketAddr,
    /// Asked of everybody, if it is set.
    pub password: Option<String>,
}

struct Shared {
    chdb: Chdb,
    password: Option<String>,
}

type Params = HashMap<String, String>;

/// Serves until standard input ends, which it does for a process whose parent is gone. Says on standard output where.
///
/// # Errors
/// When chDB can't be opened, or the address is taken.
pub async fn serve(serving: Serving) -> anyhow::Result<()> {
    let chdb = Chdb::open(Options::new(serving.library, serving.dir)).await?;
    let shared = Arc::new(Shared { chdb, password: serving.password });
    let app = Router::new()
        .route("/ping", get(|| async { "Ok.\n" }))
        .route("/", get(|| async { "Ok.\n" }).post(answer))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::clone(&shared));
    let listener = tokio::net::TcpListener::bind(serving.addr).await?;
    println!("\nlistening on {}", listener.local_addr()?);
    let orphaned = async {
        let mut byte = [0];
        while matches!(tokio::io::stdin().read(&mut byte).await, Ok(1)) {}
    };
    tokio::select! {
        ended = async { axum::serve(listener, app).await } => ended?,
        () = orphaned => {}
    }
    shared.chdb.close();
    Ok(())
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Query(params): Query<Params>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    if let Some(password) = &shared.password {
        let given = headers.get("x-clickhouse-key").and_then(|key| key.to_str().ok());
        if given != Some(password) {
            return refusal(
                NOT_YOU,
                "Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)",
            );
        }
    }
    let query = match read(params, &headers, request).await {
        Ok(query) => query,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error:#}\n")).into_response(),
    };
    match shared.chdb.run(query).await {
        Ok(rows) => rows.into_response(),
        Err(Error::Refused { code, message }) => refusal(code, &message),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

fn refusal(code: i32, message: &str) -> Response {
    let status = match code {
        60 | 81 => StatusCode::NOT_FOUND,
        NOT_YOU => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, [("x-clickhouse-exception-code", code.to_string())], format!("{message}\n")).into_response()
}

/// A statement is in the URL, the body, or a form beside its parameters; an insert has its rows in the body.
async fn read(mut params: Params, headers: &HeaderMap, request: Request) -> anyhow::Result<er_chdb::Query> {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let mut body = Bytes::new();
    if kind.starts_with("multipart/form-data") {
        let mut form = Multipart::from_request(request, &()).await.context("a form")?;
        while let Some(field) = form.next_field().await? {
            let name = field.name().context("a field without a name")?.to_string();
            params.insert(name, field.text().await?);
        }
    } else {
        body = Bytes::from_request(request, &()).await.context("a body")?;
        if params.get("decompress").is_some_and(|value| value == "1") {
            body = decompress(&body)?.into();
        }
    }
    let in_url = params.get("query").cloned().unwrap_or_default();
    let database = params.get("database").cloned();
    let values = params.iter().filter_map(|(name, value)| Some((name.strip_prefix("param_")?.into(), value.clone())));
    let values: Vec<(String, String)> = values.collect();
    if let Some((sql, format)) = in_url.rsplit_once(" FORMAT ").filter(|_| in_url.starts_with("INSERT ")) {
        ensure!(values.is_empty(), "an insert with parameters");
        let (sql, format) = (sql.to_string(), format.trim().to_string());
        return Ok(er_chdb::Query { database, sql, format, params: values, rows: Some(body.to_vec()) });
    }
    let sql = format!("{in_url}{}", std::str::from_utf8(&body).context("a statement")?);
    let format = params.get("default_format").cloned().unwrap_or_else(|| "TabSeparated".into());
    Ok(er_chdb::Query { database, sql, format, params: values, rows: None })
}

/// ClickHouse's own frames: a checksum of 16 bytes (not looked at here: TCP has one), then method, both sizes, data.
fn decompress(mut frames: &[u8]) -> anyhow::Result<Vec<u8>> {
    const CHECKSUM: usize = 16;
    const HEADER: usize = 9;
    const LZ4: u8 = 0x82;
    let size = |bytes: &[u8]| -> anyhow::Result<usize> { Ok(u32::from_le_bytes(bytes.try_into()?) as usize) };
    let mut whole = Vec::new();
    while !frames.is_empty() {
        let header = frames.get(CHECKSUM..CHECKSUM + HEADER).context("a frame is cut short")?;
        let [LZ4, sizes @ ..] = header else { bail!("a frame of method {:?}", header.first()) };
        let (packed, plain) = (size(&sizes[..4])?, size(&sizes[4..])?);
        ensure!(plain <= BODY_BYTES_MAX, "a frame of {plain} bytes");
        let data = frames.get(CHECKSUM + HEADER..CHECKSUM + packed).context("a frame is cut short")?;
        whole.extend(lz4_flex::block::decompress(data, plain)?);
        frames = &frames[CHECKSUM + packed..];
    }
    Ok(whole)
}
