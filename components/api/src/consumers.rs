//! Tenants' consumers: uploaded piece by piece, changed, held, and looked at. The control provider owns them.

use er_event::event::rfc3339_us;
use er_event::{Kind, Problem};
use er_tenant::consumers::{
    record_path, seen_path, state_path, valid_name, valid_place, By, State, CONSUMERS_BUCKET, PIECE_BYTES_MAX,
    REASON_CHARS_MAX,
};
use er_tenant::Principal;
use serde::Deserialize;
use serde_json::{json, Map, Value};

use crate::auth::Permission;
use crate::backend::Backend;
use crate::dead_letters::audit;
use crate::fault::OrProblem;
use crate::http::{Request, Response, JSON};
use crate::query::{invalid, Query};
use crate::tenants::{read, write};

const WASM: &str = "application/wasm";
/// The largest that may be for any language; control knows more.
pub const COMPONENT_BYTES_MAX: usize = 50 << 20;
const LOG_LINES: u32 = 100;
const ENV: &str = "env.";
const SETTINGS: [&str; 10] = [
    "tenant",
    "name",
    "types",
    "sources",
    "routes",
    "batch_events_max",
    "attempts_max",
    "backoff_ms",
    "timeout_ms",
    "deliver",
];

/// The body of `:rollback`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "ConsumerRollback"))]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// The version that is to run again, as a new one.
    version: u32,
}

/// The body of `:pause` and `:resume`.
#[derive(Deserialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "ConsumerHoldReason"))]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// For whoever looks at the consumer later.
    #[cfg_attr(test, schemars(length(max = REASON_CHARS_MAX)))]
    #[serde(default)]
    reason: String,
}

/// `GET /consumers`
pub fn list(backend: &dyn Backend, tenant: &str) -> Result<Response, Problem> {
    backend.consumers(tenant).or_problem().map(Response::json)
}

/// `GET /consumers/{name}`
pub fn show(backend: &dyn Backend, tenant: &str, name: &str) -> Result<Response, Problem> {
    backend.consumer(tenant, known(name)?).or_problem().map(Response::json)
}

/// `PUT /consumers/{name}`, or `POST /consumers?name=`.
pub fn put(
    backend: &dyn Backend,
    caller: &Principal,
    name: Option<&str>,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let (query, env) = Query::parse_with(request.query, &SETTINGS, ENV)?;
    let tenant = caller.tenant(&query)?;
    let name = match (name, query.get("name")) {
        (Some(name), None) | (None, Some(name)) => known(name)?,
        (None, None) => return Err(invalid("name", "is missing: what is the consumer to be called?")),
        (Some(_), Some(_)) => return Err(invalid("name", "is in the path already")),
    };
    let media_type = request.media_type();
    let (upload, spec) = match media_type.as_str() {
        WASM => {
            let spec = spec(&query, env)?;
            (Some(upload(backend, &tenant, request)?), spec)
        }
        JSON if SETTINGS.iter().skip(2).any(|name| query.get(name).is_some()) || !env.is_empty() => {
            return Err(Problem::new(Kind::InvalidQuery, "settings are in the body already, not in the query"));
        }
        JSON => (None, request.json::<Map<String, Value>>()?),
        other => return Err(Problem::new(Kind::UnknownContentType, format!("the content type is `{other}`")).mend(
            "Send a component as application/wasm, or settings (with `image`, an OCI reference) as application/json.",
        )),
    };
    audit(backend, caller, &format!("puts the consumer {name} of {tenant}"));
    let spec = Value::Object(spec).to_string();
    let record = backend.put_consumer(&tenant, name, upload.as_deref(), &spec, &caller.by()).of_body()?;
    Ok(Response::new(202, JSON, record).header("location", format!("/api/v1/consumers/{name}")))
}

/// `DELETE /consumers/{name}`
pub fn delete(backend: &dyn Backend, tenant: &str, name: &str, caller: &Principal) -> Result<Response, Problem> {
    audit(backend, caller, &format!("deletes the consumer {name} of {tenant}"));
    backend.delete_consumer(tenant, known(name)?, &caller.by()).or_problem().map(Response::json)
}

/// `GET /consumers/{name}/logs`
pub fn logs(backend: &dyn Backend, caller: &Principal, name: &str, query: &str) -> Result<Response, Problem> {
    let query = Query::parse(query, &["tenant", "limit"])?;
    let tenant = caller.tenant(&query)?;
    let limit = if query.get("limit").is_some() { query.limit()? } else { LOG_LINES };
    backend.consumer_logs(&tenant, known(name)?, limit).or_problem().map(Response::json)
}

/// `POST /consumers/{name}:rollback`
pub fn roll_back(
    backend: &dyn Backend,
    tenant: &str,
    name: &str,
    caller: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let Rollback { version } = request.json()?;
    audit(backend, caller, &format!("rolls the consumer {name} of {tenant} back to {version}"));
    backend.roll_back_consumer(tenant, known(name)?, version, &caller.by()).of_body().map(Response::json)
}

/// `POST /consumers/{name}:pause` and `:resume`; also of consumers that were deployed by hand, by their component's id.
pub fn hold(
    backend: &dyn Backend,
    tenant: &str,
    name: &str,
    paused: bool,
    caller: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    if !valid_place(name) {
        return Err(no_name(name));
    }
    let Why { reason } = if request.header("content-type").is_some() { request.json()? } else { Why::default() };
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(Problem::new(Kind::Unprocessable, format!("a reason has at most {REASON_CHARS_MAX} characters")));
    }
    let key = state_path(tenant, name);
    let there = backend.kv_get(CONSUMERS_BUCKET, &key).or_problem()?;
    if there.is_none() && !is_known(backend, tenant, name)? {
        return Err(Problem::new(Kind::NotFound, format!("{tenant} has no consumer {name}"))
            .mend("GET /api/v1/consumers lists those that came through the API."));
    }
    let before = there.as_ref().map(|item| read::<State>(&item.value)).transpose().ok().flatten();
    if before.as_ref().is_some_and(|state| state.paused && state.by == By::Update) {
        return Err(
            Problem::new(Kind::Conflict, format!("{name} is just being put in, or moved")).mend("Wait until it runs.")
        );
    }
    // Who resumes what failed does not make it unseen.
    let strikes = before.map_or(0, |state| state.strikes);
    let state = State { paused, by: By::Owner, reason, at: rfc3339_us(backend.now_us()), strikes };
    let text = write(&state)?;
    match &there {
        Some(item) => backend.kv_put(CONSUMERS_BUCKET, &key, &text, Some(item.revision)),
        None => backend.kv_create(CONSUMERS_BUCKET, &key, &text),
    }
    .or_problem()?;
    let done = if paused { "pauses" } else { "resumes" };
    audit(backend, caller, &format!("{done} the consumer {name} of {tenant}"));
    Response::of(200, &state)
}

/// Whether anything was ever said of a consumer: by control, which has a record of it, or by jetstream, which delivers to it.
fn is_known(backend: &dyn Backend, tenant: &str, name: &str) -> Result<bool, Problem> {
    for key in [record_path(tenant, name), seen_path(tenant, name)] {
        if backend.kv_get(CONSUMERS_BUCKET, &key).or_problem()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn known(name: &str) -> Result<&str, Problem> {
    if valid_name(name) {
        Ok(name)
    } else {
        Err(no_name(name))
    }
}

fn no_name(name: &str) -> Problem {
    Problem::new(Kind::Unprocessable, format!("`{name}` can't be the name of a consumer"))
        .mend("Names have a-z, 0-9 and single -, a letter first, at most 40 characters.")
}

/// What the query says, as control reads it.
fn spec(query: &Query, env: Vec<(String, String)>) -> Result<Map<String, Value>, Problem> {
    let mut spec = Map::new();
    for name in ["types", "sources", "routes"] {
        if let Some(list) = query.get(name) {
            let items: Vec<&str> = list.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
            spec.insert(name.into(), json!(items));
        }
    }
    for name in ["batch_events_max", "attempts_max", "backoff_ms", "timeout_ms"] {
        if let Some(number) = query.number::<u64>(name)? {
            spec.insert(name.into(), json!(number));
        }
    }
    if let Some(deliver) = query.get("deliver") {
        spec.insert("deliver".into(), json!(deliver));
    }
    if !env.is_empty() {
        let env: Map<String, Value> = env.into_iter().map(|(name, value)| (name, json!(value))).collect();
        spec.insert("env".into(), Value::Object(env));
    }
    Ok(spec)
}

/// Hands the body on piece by piece: it is never here as a whole. Returns the upload's id.
fn upload(backend: &dyn Backend, tenant: &str, request: &Request<'_>) -> Result<String, Problem> {
    let length = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
    let length = length.ok_or_else(|| {
        Problem::new(Kind::HeaderInvalid, "the request does not say how long the component is")
            .mend("Send Content-Length, as curl --data-binary @file does.")
    })?;
    let too_large = || {
        Problem::new(Kind::TooLarge, format!("a component has at most {COMPONENT_BYTES_MAX} bytes"))
            .mend("Build it in release mode, and strip it (wasm-tools strip).")
    };
    if length > COMPONENT_BYTES_MAX {
        return Err(too_large());
    }
    let upload = backend.begin_upload(tenant, length as u64).of_body()?;
    let mut offset = 0;
    request.pieces(PIECE_BYTES_MAX, &mut |piece| {
        if offset + piece.len() > length {
            return Err(too_large());
        }
        backend.upload_piece(tenant, &upload, offset as u64, piece).of_body()?;
        offset += piece.len();
        Ok(())
    })?;
    if offset != length {
        return Err(Problem::new(Kind::HeaderInvalid, format!("{offset} bytes came, and {length} were announced"))
            .mend("Send the component again."));
    }
    Ok(upload)
}
