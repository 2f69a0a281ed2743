//! Requests that may be sent twice and are done once: `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
//!
//! What a POST with a key was answered is kept for a day, for the caller that sent it. The same request under the same key
//! gets that answer again; another one is refused. Only what was done is kept: a refusal changed nothing, so that it may
//! be tried again. Of a failure (5xx) that is not known: it may be tried again as well, and draws the same. What was drawn by chance, such as a new API key's secret, does not rest here: it is made of the
//! idempotency key, of which only a hash is kept, and can be made again only by who has it.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use er_event::keys::hash;
use er_event::{Kind, Problem};
use er_tenant::{Principal, IDEMPOTENCY_BUCKET};
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Fault, FaultCode};
use crate::fault::{self, OrProblem};
use crate::http::{Body, BodyError, Request, Response, Take, JSON};
use crate::router::Route;
use crate::tenants::{read, write};

pub const HEADER: &str = "idempotency-key";
const KEY_CHARS_MIN: usize = 16;
const KEY_CHARS_MAX: usize = 200;
/// Longer than the host lets any request take: who began it and did not finish will not.
const GIVEN_UP_US: i64 = 60_000_000;
/// Stands for what was drawn in an answer that is kept: a character that JSON never holds as it is.
const DRAWN: &str = "\u{1}";

/// What is known of a key.
#[derive(Serialize, Deserialize)]
struct Record {
    /// The hash of the request that it came with.
    request: String,
    begun_us: i64,
    /// What chance gave, half of what is drawn.
    salt: String,
    /// None: it is still being done.
    answer: Option<Kept>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    location: Option<String>,
    etag: Option<String>,
    body: String,
}

/// A body that was read already.
struct Held(Vec<u8>);

/// Does what the request asks for; or, where it was done under the same key before, says again what was said then.
pub fn once(
    backend: &dyn Backend,
    request: &Request<'_>,
    route: &Route,
    caller: &Principal,
    act: impl FnOnce(&Request<'_>) -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let key = match request.header(HEADER) {
        // A trial changes nothing.
        Some(key) if request.method == "POST" && *route != Route::RulesTest => checked(key)?,
        _ => return act(request),
    };
    if request.media_type() == "application/wasm" {
        return Err(Problem::new(
            Kind::HeaderInvalid,
            "a component is too large to be remembered under an Idempotency-Key",
        )
        .mend("Use PUT /api/v1/consumers/{name}, which may be sent again as it is."));
    }
    let body = Held(request.bytes()?);
    let request = Request { body: &body, ..*request };
    let print = fingerprint(&request, &body.0);
    let place = format!("{}.{}", caller.tenant, hash(&format!("{}\n{key}", caller.by())));

    let salt = hash(&format!("{:?}", backend.random()));
    let begun = Record { request: print.clone(), begun_us: backend.now_us(), salt, answer: None };
    let (mut record, revision) = match begin(backend, &place, begun)? {
        Begun::First(record, revision) => (record, revision),
        Begun::Before(record) if record.request != print => {
            return Err(Problem::new(Kind::KeyReused, "this Idempotency-Key came with another request before")
                .mend("Use a new key for each request, and an old one only to repeat its request as it was."))
        }
        Begun::Before(Record { answer: Some(answer), salt, .. }) => return Ok(answer.again(&drawn(&salt, key))),
        Begun::Before(_) => {
            return Err(Problem::new(
                Kind::InProgress,
                "the request that came first with this Idempotency-Key is not done yet",
            )
            .retry_after_ms(fault::RETRY_AFTER_MS))
        }
    };
    let chance = drawn(&record.salt, key);
    match act(&Request { chance: Some(chance), ..request }) {
        Ok(response) if response.status < 300 => {
            record.answer = Some(Kept::of(&response, &chance));
            if let Err(fault) = backend.kv_put(IDEMPOTENCY_BUCKET, &place, &write(&record)?, Some(revision)) {
                // It is done, which counts more than that a repeat would be told so.
                backend.log(&format!("an answer could not be kept under its idempotency key: {}", fault.detail));
            }
            Ok(response)
        }
        // Perhaps it was done, and only its answer lost: who asks again does it at once, and draws what was drawn.
        Err(problem) if problem.status >= 500 => {
            record.begun_us = 0;
            if let Err(fault) = backend.kv_put(IDEMPOTENCY_BUCKET, &place, &write(&record)?, Some(revision)) {
                backend.log(&format!("an idempotency key could not be let go: {}", fault.detail));
            }
            Err(problem)
        }
        refused => {
            if let Err(fault) = backend.kv_delete(IDEMPOTENCY_BUCKET, &place) {
                backend.log(&format!("an idempotency key could not be freed: {}", fault.detail));
            }
            refused
        }
    }
}

enum Begun {
    First(Record, u64),
    Before(Record),
}

fn begin(backend: &dyn Backend, place: &str, begun: Record) -> Result<Begun, Problem> {
    match backend.kv_create(IDEMPOTENCY_BUCKET, place, &write(&begun)?) {
        Ok(revision) => return Ok(Begun::First(begun, revision)),
        Err(Fault { code: FaultCode::Conflict, .. }) => {}
        Err(fault) => return Err(fault).or_problem(),
    }
    let item = backend.kv_get(IDEMPOTENCY_BUCKET, place).or_problem()?;
    // Freed just now, by a refusal.
    let item = item.ok_or_else(|| {
        Problem::new(Kind::InProgress, "the request that came first with this Idempotency-Key was just refused")
            .retry_after_ms(fault::RETRY_AFTER_MS)
    })?;
    let before: Record = read(&item.value)?;
    if before.answer.is_some() || before.request != begun.request || begun.begun_us - before.begun_us < GIVEN_UP_US {
        return Ok(Begun::Before(before));
    }
    // Whoever began it is gone. Its salt stays, so that what was drawn then is drawn again.
    let taken = Record { salt: before.salt, ..begun };
    let revision = backend.kv_put(IDEMPOTENCY_BUCKET, place, &write(&taken)?, Some(item.revision)).or_problem()?;
    Ok(Begun::First(taken, revision))
}

/// The key without its quotes.
fn checked(value: &str) -> Result<&str, Problem> {
    let key = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    if (KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(key);
    }
    let detail = format!("an Idempotency-Key has {KEY_CHARS_MIN} to {KEY_CHARS_MAX} visible ASCII characters");
    Err(Problem::new(Kind::HeaderInvalid, detail).mend("Send a random UUID."))
}

fn fingerprint(request: &Request<'_>, body: &[u8]) -> String {
    let Request { method, path, query, .. } = request;
    hash(&format!("{method} {path}?{query}\n{}\n{}", request.media_type(), String::from_utf8_lossy(body)))
}

/// 32 bytes that only who has the key, and reads the salt, can make.
fn drawn(salt: &str, key: &str) -> [u8; 32] {
    let digits = hash(&format!("{salt}\n{key}"));
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
    }
    bytes
}

// === impl Kept ===

impl Kept {
    fn of(response: &Response, chance: &[u8; 32]) -> Self {
        let header = |name: &str| response.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone());
        Kept {
            status: response.status,
            location: header("location"),
            etag: header("etag"),
            body: response.body.replace(&URL_SAFE_NO_PAD.encode(chance), DRAWN),
        }
    }

    fn again(self, chance: &[u8; 32]) -> Response {
        let body = self.body.replace(DRAWN, &URL_SAFE_NO_PAD.encode(chance));
        let mut response = Response::new(self.status, if body.is_empty() { "" } else { JSON }, body);
        for (name, value) in [("location", self.location), ("etag", self.etag)] {
            response.headers.extend(value.map(|value| (name, value)));
        }
        response.header("idempotency-replayed", "true")
    }
}

// === impl Held ===

impl Body for Held {
    fn read(&self, max: usize) -> Result<Vec<u8>, BodyError> {
        if self.0.len() > max {
            return Err(BodyError::TooLarge);
        }
        Ok(self.0.clone())
    }

    fn pieces(&self, size: usize, take: Take<'_>) -> Result<Result<(), Problem>, BodyError> {
        Ok(self.0.chunks(size).try_for_each(take))
    }
}
