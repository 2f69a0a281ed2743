//! `POST /rules:test`: what rules would do, without doing it.

use std::time::{Duration, Instant};

use er_event::admit::check_ruled;
use er_event::event::{split, EventRef};
use er_event::limits::BATCH_EVENTS_MAX;
use er_event::{Kind, Problem};
use er_rules::{compile_explained, End, Reason, Rules};
use er_tenant::rules::{Language, Text, Texts};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::backend::{Backend, Filter};
use crate::fault::OrProblem;
use crate::http::{Request, Response};
use crate::rules::{current, refused, texts};

/// Stored events that one test may run through.
const LAST_MAX: u32 = 100;
/// Others ask, too.
const TRIED_WITHIN: Duration = Duration::from_secs(2);
/// The name that mistakes of the body's own rules carry.
const NAME: &str = "rules";

/// The body. Rules: those given, else those saved. Events: those given, else the tenant's last.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RulesTrial"))]
#[serde(deny_unknown_fields)]
pub struct Trial<'a> {
    /// GRL.
    rules: Option<String>,
    /// JSON rules, as an array or object.
    #[cfg_attr(test, schemars(with = "Option<serde_json::Value>"))]
    #[serde(borrow)]
    json_rules: Option<&'a RawValue>,
    /// CloudEvents.
    #[cfg_attr(test, schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>"))]
    #[serde(borrow)]
    events: Option<&'a RawValue>,
    /// So many of those that are stored, newest first.
    #[cfg_attr(test, schemars(range(min = 1, max = LAST_MAX)))]
    last: Option<u32>,
}

/// What rules would do.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "RulesTried"))]
pub struct Trials {
    /// Of the saved rules; none where the body brought its own.
    version: Option<u64>,
    /// How many rules there are.
    rules: usize,
    #[cfg_attr(test, schemars(with = "Vec<Tried<'static>>"))]
    events: Vec<Box<RawValue>>,
}

/// What became of one event.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "EventTried"))]
pub struct Tried<'a> {
    /// `pass`, `drop` or `dead-letter`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Rules, in the order they fired.
    fired: Vec<String>,
    /// As the rules left it.
    #[cfg_attr(test, schemars(with = "serde_json::Map<String, serde_json::Value>"))]
    event: &'a RawValue,
    #[cfg_attr(test, schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>"))]
    emitted: Vec<Box<RawValue>>,
    logged: Vec<String>,
    /// Rule by rule, why it fired or did not.
    #[cfg_attr(test, schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>"))]
    explanation: Vec<Reason>,
    /// Microseconds that the run took, the explanation left out.
    took_us: u64,
}

pub fn run(backend: &dyn Backend, tenant: &str, request: &Request<'_>) -> Result<Response, Problem> {
    let body = request.json_text()?;
    let trial: Trial<'_> = crate::http::parse(&body)?;
    let (texts, version) = rules(backend, tenant, &trial)?;
    let compiled = compile_explained(&texts).map_err(refused)?;
    let batch = events(backend, tenant, &trial)?;
    let mut rules = Rules::open(&compiled.bytes, version, backend.now_us())
        .map_err(|cause| Problem::new(Kind::Internal, cause.to_string()))?;
    let mut tried = Vec::new();
    let events = split(&batch).map_err(|cause| unprocessable(&cause.to_string()))?;
    let (count, began) = (events.len(), Instant::now());
    for (index, event) in events.into_iter().enumerate() {
        if began.elapsed() > TRIED_WITHIN {
            let took = format!("{index} of {count} events took the rules {} s", TRIED_WITHIN.as_secs());
            return Err(unprocessable(&took).mend("Try fewer events at once, or rules that do less."));
        }
        // Of the platform's own types, too: they are stored, and come through the rules.
        let own = EventRef::parse(event).ok().map(|event| event.event_type);
        check_ruled(event, own.as_deref()).map_err(|what| unprocessable(&format!("event {index}: {what}")))?;
        tried.push(one(&mut rules, event)?);
    }
    let version = Some(version).filter(|version| *version != 0);
    Response::of(200, &Trials { version, rules: compiled.names.len(), events: tried })
}

fn one(rules: &mut Rules<'_>, event: &str) -> Result<Box<RawValue>, Problem> {
    let started = Instant::now();
    let verdict = rules.run(event);
    let took_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (outcome, reason) = match verdict.end {
        End::Pass => ("pass", None),
        End::Dropped { reason } => ("drop", Some(reason)),
        End::Dead { reason } => ("dead-letter", Some(reason)),
    };
    let raw = |text: &str| RawValue::from_string(text.to_owned());
    let defect = |cause: serde_json::Error| Problem::new(Kind::Internal, cause.to_string());
    let emitted = verdict.emitted.iter().map(|event| raw(event)).collect::<Result<_, _>>().map_err(defect)?;
    let left = raw(&verdict.event).map_err(defect)?;
    let tried = Tried {
        outcome,
        reason,
        fired: verdict.fired,
        event: &left,
        emitted,
        logged: verdict.logged,
        explanation: rules.explain(event),
        took_us,
    };
    serde_json::value::to_raw_value(&tried).map_err(defect)
}

/// The rules to try, and their version if they are the saved ones (0: they are not).
fn rules(backend: &dyn Backend, tenant: &str, trial: &Trial<'_>) -> Result<(Texts, u64), Problem> {
    let (language, text) = match (&trial.rules, trial.json_rules) {
        (Some(_), Some(_)) => return Err(unprocessable("give `rules` or `json_rules`, not both")),
        (Some(text), None) => (Language::Grl, text.clone()),
        (None, Some(rules)) => (Language::Json, rules.get().to_owned()),
        (None, None) => {
            let (current, _) = current(backend, tenant)?;
            return Ok((texts(backend, tenant, current.version)?, current.version));
        }
    };
    Ok((Texts::from([(NAME.to_owned(), Text { language, text })]), 0))
}

fn events(backend: &dyn Backend, tenant: &str, trial: &Trial<'_>) -> Result<String, Problem> {
    match (trial.events, trial.last) {
        (Some(_), Some(_)) => Err(unprocessable("give `events` or `last`, not both")),
        (None, None) => {
            Err(unprocessable("no events: give `events`, an array of CloudEvents, or `last`, how many stored ones"))
        }
        (Some(events), None) => {
            let count = split(events.get()).map_err(|cause| unprocessable(&format!("`events`: {cause}")))?.len();
            if count > BATCH_EVENTS_MAX {
                return Err(unprocessable(&format!("`events` are at most {BATCH_EVENTS_MAX}, and there are {count}")));
            }
            Ok(events.get().to_owned())
        }
        (None, Some(last @ 1..=LAST_MAX)) => {
            let all = Filter { event_type: None, source: None, since: None, until: None };
            Ok(backend.events(tenant, &all, None, last).or_problem()?.events)
        }
        (None, Some(_)) => Err(unprocessable(&format!("`last` must be 1 to {LAST_MAX}"))),
    }
}

fn unprocessable(what: &str) -> Problem {
    Problem::new(Kind::Unprocessable, what)
}
