//! `POST /events` over HTTP/1.1 and HTTP/2.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{header, request::Parts, HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::Router;
use bytes::{Bytes, BytesMut};
use er_event::limits::{BODY_BYTES_MAX, HEADERS_BYTES_MAX};
use er_event::{Kind, Problem};
use er_tenant::Principal;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use metrics::{counter, histogram};

use crate::auth::credential;
use crate::edge::{client, Edge, Publish};
use crate::listen::{BODY_TIMEOUT, HEADERS_TIMEOUT, QUIET, SIGN_OF_LIFE, STREAMS_MAX};
use crate::quota::Standing;

/// What is read of a body that was refused already.
const DISCARD_BYTES_MAX: usize = 16 * BODY_BYTES_MAX;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// What is served.
pub fn app(edge: Arc<Edge>) -> Router {
    Router::new()
        .route("/events", post(publish).fallback(wrong_method))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(any(nowhere))
        .with_state(edge)
}

/// How connections are spoken to: HTTP/1.1 or HTTP/2, as the client likes.
pub fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT).max_buf_size(4 * HEADERS_BYTES_MAX);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEADERS_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(QUIET)
        .keep_alive_timeout(SIGN_OF_LIFE);
    server
}

async fn publish(State(edge): State<Arc<Edge>>, request: Request<Body>) -> Response {
    let started = std::time::Instant::now();
    let (parts, mut body) = request.into_parts();
    let caller = edge.identify(credential(&parts.headers), tenant(parts.uri.query())).await;
    let taken = match &caller {
        Ok(principal) => take(&edge, principal, &parts, &mut body).await,
        Err(problem) => Err(problem.clone()),
    };
    let mut response = match taken {
        Ok(ids) => accepted(&ids),
        Err(problem) => {
            edge.refusals.note("POST /events", credential(&parts.headers), &problem);
            discard(&mut body).await;
            refuse(&problem)
        }
    };
    if let Some(standing) = caller.ok().and_then(|principal| edge.standing(&principal)) {
        tell(standing, response.headers_mut());
    }
    histogram!("eventrunner_ingest_request_seconds", "protocol" => "http").record(started.elapsed().as_secs_f64());
    let status = response.status().as_u16().to_string();
    counter!("eventrunner_ingest_requests_total", "protocol" => "http", "status" => status).increment(1);
    response
}

async fn take(edge: &Edge, principal: &Principal, parts: &Parts, body: &mut Body) -> Result<Vec<String>, Problem> {
    edge.within_quota(principal)?;
    let length = text(&parts.headers, header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    // What a body of unknown length may grow to is taken for its length.
    let length = length.unwrap_or(BODY_BYTES_MAX);
    let _room = edge.room(&principal.tenant, length)?;
    let body = tokio::time::timeout(BODY_TIMEOUT, read(body)).await.map_err(|_| {
        Problem::new(Kind::Timeout, "the body did not arrive within 30 s; nothing was taken")
            .mend("Send it faster, or in smaller requests.")
    })??;
    let body = decompress(&parts.headers, body)?;
    // Unpacked it may be a thousand times what came.
    let _more = body.len().checked_sub(length).map(|more| edge.room(&principal.tenant, more)).transpose()?;
    let mut publish = Publish {
        body,
        query: parts.uri.query().map(str::to_string),
        client: client(&parts.headers),
        ..Publish::default()
    };
    read_headers(&parts.headers, &mut publish)?;
    edge.publish(principal, publish).await
}

/// How much of the quota is left, as draft-ietf-httpapi-ratelimit-headers-10 has it.
fn tell(standing: Standing, headers: &mut HeaderMap) {
    let Standing { burst, window_s, left, reset_s } = standing;
    let fields = [
        ("ratelimit-policy", format!("\"tenant\";q={burst};w={window_s}")),
        ("ratelimit", format!("\"tenant\";r={left};t={reset_s}")),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Reads what is left of a refused body and forgets it, up to a limit: a client that is still writing when the
/// connection closes sees a broken pipe instead of the answer.
async fn discard(body: &mut Body) {
    let rest = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Too slow: it gets the answer it will read or not.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, rest).await;
}

/// Sorts the headers into what the component decides on: the content type, `ce-` attributes, and those
/// that raw input's mappings may need.
fn read_headers(headers: &HeaderMap, publish: &mut Publish) -> Result<(), Problem> {
    let mut bytes = 0;
    for (name, value) in headers {
        let name = name.as_str();
        let attribute = name.strip_prefix("ce-");
        let wanted = attribute.is_some()
            || name == "content-type"
            || name == "user-agent"
            || name == "idempotency-key"
            || (name.starts_with("x-") && name != "x-api-key");
        if !wanted {
            continue;
        }
        // Non-ASCII is percent-encoded by the CloudEvents HTTP binding; many clients send it as raw UTF-8.
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| {
            Problem::new(Kind::HeaderInvalid, format!("the header `{name}` is not UTF-8"))
                .mend("Percent-encode what is not ASCII.")
        })?;
        bytes += name.len() + value.len();
        match (attribute, name) {
            (Some(attribute), _) => publish.attributes.push((attribute.to_string(), value.to_string())),
            (None, "content-type") => publish.content_type = Some(value.to_string()),
            (None, _) => publish.headers.push((name.to_string(), value.to_string())),
        }
    }
    if bytes > HEADERS_BYTES_MAX {
        return Err(Problem::new(
            Kind::HeaderInvalid,
            format!("the headers have {bytes} bytes; at most {HEADERS_BYTES_MAX} are taken"),
        )
        .mend("Move what is large from headers into the body, or use structured mode."));
    }
    Ok(())
}

/// The tenant that the query names. Names of tenants need no decoding, so that what would need some is none.
fn tenant(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("tenant="))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

async fn read(body: &mut Body) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    let mut first: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::new(Kind::InvalidJson, format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() + first.as_ref().map_or(0, Bytes::len) > BODY_BYTES_MAX {
            return Err(too_large());
        }
        // Most bodies are one frame: keep it instead of copying it.
        match first.take() {
            None if whole.is_empty() => first = Some(data),
            None => whole.extend_from_slice(&data),
            Some(start) => {
                whole.extend_from_slice(&start);
                whole.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// Unpacks gzip, up to the limit of a body and not a byte further.
fn decompress(headers: &HeaderMap, body: Bytes) -> Result<Bytes, Problem> {
    match text(headers, header::CONTENT_ENCODING).map(str::trim) {
        None | Some("") | Some("identity") => Ok(body),
        Some("gzip" | "x-gzip") => {
            let mut out = Vec::new();
            let limit = u64::try_from(BODY_BYTES_MAX).unwrap_or(u64::MAX) + 1;
            flate2::read::MultiGzDecoder::new(&*body).take(limit).read_to_end(&mut out).map_err(|error| {
                Problem::new(Kind::BadEncoding, format!("the body is not valid gzip: {error}"))
                    .mend("Send gzip as RFC 1952 has it, or leave Content-Encoding away.")
            })?;
            if out.len() > BODY_BYTES_MAX {
                return Err(too_large());
            }
            Ok(out.into())
        }
        Some(other) => {
            Err(Problem::new(Kind::UnknownContentType, format!("Content-Encoding `{other}` is not supported"))
                .mend("Use gzip or identity."))
        }
    }
}

fn too_large() -> Problem {
    Problem::new(Kind::TooLarge, format!("the body has more than {BODY_BYTES_MAX} bytes"))
        .mend("Send the events in smaller batches.")
}

fn accepted(ids: &[String]) -> Response {
    let receipts: Vec<_> = ids.iter().map(|id| serde_json::json!({ "id": id })).collect();
    (
        StatusCode::ACCEPTED,
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        serde_json::json!({ "receipts": receipts }).to_string(),
    )
        .into_response()
}

fn refuse(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response =
        (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))], problem.to_json())
            .into_response();
    if let Some(ms) = problem.retry_after_ms {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
    }
    if problem.kind == Kind::Unauthorized {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

async fn wrong_method() -> Response {
    let problem = Problem::new(Kind::MethodNotAllowed, "events are published with POST").mend("Use POST /events.");
    let mut response = refuse(&problem);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn nowhere() -> Response {
    refuse(
        &Problem::new(Kind::NotFound, "there is nothing here")
            .mend("Events go to POST /events; the API is on another port."),
    )
}
