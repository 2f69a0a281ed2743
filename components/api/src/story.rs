//! What became of one event, as far as it can be told from where it rests.

use er_event::event::EventRef;
use er_event::{Kind, Problem};
use er_rules::{CAUSE, CAUSE_SOURCE, DROPPED, ROUTE, RULES, TAGS};
use serde_json::{json, Value};

use crate::backend::Backend;
use crate::fault::OrProblem;
use crate::http::Response;

/// Dead letters that are looked through for an event that is not stored.
const LETTERS_MAX: u32 = 1_000;

/// The stage of dead letters that a policy made.
const POLICY_STAGE: &str = "policy";

/// `GET /events/{source}/{id}/story`
pub fn tell(backend: &dyn Backend, tenant: &str, source: &str, id: &str) -> Result<Response, Problem> {
    let letters = dead_letters(backend, tenant, source, id)?;
    let Some(event) = backend.event(tenant, source, id).or_problem()? else {
        if letters.is_empty() {
            return Err(Problem::new(Kind::NotFound, format!("no event {id} of source {source}")));
        }
        return Response::of(200, &json!({ "end": "dead-letter", "stored": false, "dead_letters": letters }));
    };
    let view = EventRef::parse(&event).map_err(|cause| Problem::new(Kind::Internal, cause.to_string()))?;
    let text = |name: &str| view.extension(name).map(|value| value.into_owned());
    let list = |name: &str| -> Vec<String> {
        text(name).map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default()
    };
    // A policy keeps an event from one consumer: that is no failure, and told as what it is.
    let by_policy: Vec<&Value> = letters.iter().filter(|letter| letter["stage"] == POLICY_STAGE).collect();
    let failed = by_policy.len() < letters.len();
    let dropped = text(DROPPED).or_else(|| by_policy.first().map(|letter| policy_words(letter)));
    let end = match (&dropped, failed) {
        (_, true) => "dead-letter",
        (Some(_), false) => "dropped",
        (None, false) => "stored",
    };
    let ran = text(RULES).unwrap_or_default();
    let (version, fired) = ran.split_once(':').unwrap_or((&ran, ""));
    let fired: Vec<&str> = fired.split(',').filter(|name| !name.is_empty()).collect();
    let rules = version.parse::<u64>().ok().map(|version| json!({ "version": version, "fired": fired }));
    let cause = text(CAUSE).map(|id| json!({ "source": text(CAUSE_SOURCE), "id": id }));
    Response::of(
        200,
        &json!({
            "id": view.id, "source": view.source, "type": view.event_type, "time": view.time,
            "end": end,
            "stored": true,
            "rules": rules,
            "tags": list(TAGS),
            "routes": list(ROUTE),
            "dropped": dropped,
            "made_from": cause,
            "dead_letters": letters,
        }),
    )
}

fn policy_words(letter: &Value) -> String {
    let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
    format!("policy {} for consumer {}: {}", text("revision"), text("consumer"), text("reason"))
}

/// What was given up about the event, without the event.
fn dead_letters(backend: &dyn Backend, tenant: &str, source: &str, id: &str) -> Result<Vec<Value>, Problem> {
    let page = backend.dead_letters(tenant, 0, LETTERS_MAX).or_problem()?;
    let page: Value =
        serde_json::from_str(&page).map_err(|cause| Problem::new(Kind::Internal, format!("dead letters: {cause}")))?;
    let items = page["items"].as_array().cloned().unwrap_or_default();
    let mine = |letter: &Value| letter["event"]["source"] == source && letter["event"]["id"] == id;
    let shown = |letter: Value| {
        let keep = ["seq", "time", "stage", "reason", "attempts", "consumer", "revision"];
        keep.iter().map(|name| ((*name).to_owned(), letter[*name].clone())).collect::<serde_json::Map<_, _>>().into()
    };
    Ok(items.into_iter().filter(mine).map(shown).collect())
}
