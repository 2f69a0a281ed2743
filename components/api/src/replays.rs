//! Stored events delivered again to one consumer.

use er_event::event::{rfc3339_us, time_us};
use er_event::{Kind, Problem};
use er_tenant::consumers::valid_place;
use er_tenant::Principal;
use serde::Deserialize;
use serde_json::{json, Value};

use crate::backend::{Backend, Window};
use crate::dead_letters::audit;
use crate::fault::OrProblem;
use crate::http::{Request, Response};
use crate::permission;
use crate::tenants::read;

const EVENTS_PER_S: u32 = 5_000;
const HOUR_US: i64 = 3_600_000_000;

/// Which events go to which consumer again.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "ReplayWanted"))]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[cfg_attr(test, schemars(regex(pattern = "^[A-Za-z0-9_-]{1,200}$")))]
    consumer: String,
    /// Event time (`time`) of the first of them; where an event had none, when it came in.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    from: String,
    /// Before which the last of them was; none: now.
    #[cfg_attr(test, schemars(extend("format" = "date-time")))]
    to: Option<String>,
    /// Only of these types, `*` ending a beginning; none: all that the consumer wants.
    #[cfg_attr(test, schemars(length(max = 32)))]
    #[serde(default)]
    types: Vec<String>,
    /// At most so many a second (5,000).
    #[cfg_attr(test, schemars(range(min = 1, max = 100_000)))]
    events_per_s: Option<u32>,
}

/// `POST /replays`
pub fn begin(
    backend: &dyn Backend,
    tenant: &str,
    caller: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let wanted: Wanted = request.json()?;
    if !valid_place(&wanted.consumer) {
        return Err(Problem::new(
            Kind::Unprocessable,
            format!("`{}` can't be the name of a consumer", wanted.consumer),
        )
        .mend("GET /api/v1/consumers lists yours."));
    }
    let now_us = backend.now_us();
    let until = wanted.to.unwrap_or_else(|| rfc3339_us(now_us));
    let (Some(from_us), Some(until_us)) = (time_us(&wanted.from), time_us(&until)) else {
        return Err(Problem::new(Kind::Unprocessable, "`from` or `to` is not an RFC 3339 time")
            .mend("Write them as 2025-01-31T12:00:00Z."));
    };
    if from_us >= until_us {
        return Err(Problem::new(Kind::Unprocessable, format!("from {} to {until} there is no time", wanted.from)));
    }
    let age_h = (now_us - from_us).max(0).div_euclid(HOUR_US).unsigned_abs();
    permission::replay(backend, caller, tenant, &wanted.consumer, age_h)?;
    audit(backend, caller, &format!("replays {} to {until} of {tenant} to {}", wanted.from, wanted.consumer));
    let window = Window {
        consumer: wanted.consumer,
        since: wanted.from,
        until,
        types: wanted.types,
        events_per_s: wanted.events_per_s.unwrap_or(EVENTS_PER_S),
    };
    let begun = backend.replay(tenant, &window, &caller.by()).of_body()?;
    let id = read::<Value>(&begun)?["id"].as_str().unwrap_or_default().to_owned();
    Ok(Response::new(202, crate::http::JSON, begun).header("location", format!("/api/v1/replays/{id}")))
}

/// `GET /replays`
pub fn list(backend: &dyn Backend, tenant: &str) -> Result<Response, Problem> {
    backend.replays(tenant).or_problem().map(Response::json)
}

/// `GET /replays/{id}`
pub fn show(backend: &dyn Backend, tenant: &str, id: &str) -> Result<Response, Problem> {
    let all: Value = read(&backend.replays(tenant).or_problem()?)?;
    let found = all["replays"].as_array().and_then(|all| all.iter().find(|replay| replay["id"] == id));
    match found {
        Some(replay) => Response::of(200, &json!(replay)),
        None => Err(Problem::new(Kind::NotFound, format!("there is no replay {id}, or not any more"))),
    }
}
