//! What became of one event, as far as it can be told from where it rests.

use er_event::event::{EventRef, CAUSE, CAUSE_SOURCE, DROPPED, ROUTE, RULES, TAGS};
use er_event::{Kind, Problem};
use serde::Serialize;
use serde_json::Value;

use crate::backend::Backend;
use crate::fault::OrProblem;
use crate::http::Response;

/// Dead letters of a page.
const LETTERS_MAX: u32 = 1_000;
/// Pages that are looked through for one event.
const PAGES_MAX: usize = 20;

/// The stage of dead letters that a policy made.
const POLICY_STAGE: &str = "policy";

/// What became of one event. Of one that is not stored only the end and its dead letters are known.
#[derive(Serialize, Default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Story {
    #[serde(flatten)]
    event: Option<Stored>,
    /// `stored`, `dropped` or `dead-letter`.
    end: &'static str,
    stored: bool,
    /// What was given up about it, without the event.
    #[cfg_attr(test, schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>"))]
    dead_letters: Vec<Value>,
    /// Whether all of the tenant's dead letters were looked through. Of very many only the oldest are.
    complete: bool,
}

/// What the stored event tells.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "StoryStored"))]
struct Stored {
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    time: Option<String>,
    /// None: the tenant had none.
    rules: Option<Ran>,
    tags: Vec<String>,
    routes: Vec<String>,
    /// Why it went no further, where a rule or a policy said so.
    dropped: Option<String>,
    made_from: Option<Cause>,
}

/// The rules that it went through.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "StoryRules"))]
struct Ran {
    version: u64,
    fired: Vec<String>,
}

/// The event that a rule or consumer made it from.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "StoryCause"))]
struct Cause {
    source: Option<String>,
    id: String,
}

/// `GET /events/{source}/{id}/story`
pub fn tell(backend: &dyn Backend, tenant: &str, source: &str, id: &str) -> Result<Response, Problem> {
    let (letters, complete) = dead_letters(backend, tenant, source, id)?;
    let Some(event) = backend.event(tenant, source, id).or_problem()? else {
        if letters.is_empty() {
            let problem = Problem::new(Kind::NotFound, format!("no event {id} of source {source}"));
            return Err(if complete {
                problem
            } else {
                problem
                    .mend("There are too many dead letters to look through here: GET /api/v1/dead-letters lists all.")
            });
        }
        return Response::of(200, &Story { end: "dead-letter", dead_letters: letters, complete, ..Story::default() });
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
    let fired = fired.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let stored = Stored {
        id: view.id.to_string(),
        source: view.source.to_string(),
        event_type: view.event_type.to_string(),
        time: view.time.as_deref().map(str::to_owned),
        rules: version.parse().ok().map(|version| Ran { version, fired }),
        tags: list(TAGS),
        routes: list(ROUTE),
        dropped,
        made_from: text(CAUSE).map(|id| Cause { source: text(CAUSE_SOURCE), id }),
    };
    Response::of(200, &Story { event: Some(stored), end, stored: true, dead_letters: letters, complete })
}

fn policy_words(letter: &Value) -> String {
    let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
    format!("policy {} for consumer {}: {}", text("revision"), text("consumer"), text("reason"))
}

/// What was given up about the event, without the event, and whether that is all.
fn dead_letters(backend: &dyn Backend, tenant: &str, source: &str, id: &str) -> Result<(Vec<Value>, bool), Problem> {
    let mine = |letter: &Value| letter["event"]["source"] == source && letter["event"]["id"] == id;
    let shown = |letter: Value| {
        let keep = ["seq", "time", "stage", "reason", "attempts", "consumer", "revision"];
        keep.iter().map(|name| ((*name).to_owned(), letter[*name].clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let mut letters = Vec::new();
    let mut after = 0;
    for _ in 0..PAGES_MAX {
        let page = backend.dead_letters(tenant, after, LETTERS_MAX).or_problem()?;
        let mut page: Value = serde_json::from_str(&page)
            .map_err(|cause| Problem::new(Kind::Internal, format!("dead letters: {cause}")))?;
        if let Value::Array(items) = page["items"].take() {
            letters.extend(items.into_iter().filter(mine).map(shown));
        }
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return Ok((letters, true)),
        }
    }
    Ok((letters, false))
}
