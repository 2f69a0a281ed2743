//! Events that are stored, that come, and that went no further.

use serde_json::json;

use crate::dead_letters::Wanted as Letters;
use crate::openapi::operation::{get, number, pattern, post, text, time, Operation};
use crate::openapi::schemas::Schemas;
use crate::openapi::wire::{CloudEvent, DeadLetter, DeadLetters, Discarded, Events, Redriven, Replay, Replays};
use crate::replays::Wanted as Window;
use crate::story::Story;

/// A type, or a prefix of types.
const TYPE: &str = r"^[^*]*\*?$";

pub fn stored(s: &Schemas) -> Vec<Operation> {
    vec![
        get("/api/v1/events", "listEvents", "Stored events, newest first")
            .about("With `source` and `id`, that one event.")
            .of_tenant()
            .query("type", "Only of this type; `a.b.*` is every type that begins so.", pattern(TYPE))
            .query("source", "Only of this source.", text())
            .query("from", "Only from this time on.", time())
            .query("to", "Only before this time.", time())
            .query("id", "Only this one; needs `source`.", text())
            .paged(false)
            .answers::<Events>(s, 200, "A page, or the one event.")
            .answers_event(s.answer::<CloudEvent>(), "A page, or the one event."),
        get("/api/v1/events/{source}/{id}", "getEvent", "One event, as it is stored")
            .of_tenant()
            .answers_event(s.answer::<CloudEvent>(), "The event."),
        get("/api/v1/events/{source}/{id}/story", "getStory", "What became of one event")
            .of_tenant()
            .answers::<Story>(s, 200, "Rules, tags, its end, and what was given up about it."),
        get("/api/v1/tail", "tail", "Events as they come")
            .about(
                "Server-sent events: `id` is a position, `event` the type, `data` the CloudEvent. A stream ends after 20 s, and \
                 an EventSource comes back by itself and goes on after the last event it saw.",
            )
            .of_tenant()
            .query("types", "Only of these types, separated by commas; each as in `type` of the stored events.", text())
            .query("after", "A position; none: from now on.", number(0, u64::MAX))
            .query("for_s", "Seconds that the stream lasts at most (20).", number(0, 20))
            .header("Last-Event-ID", "The position of the last event that was seen.", pattern("^[0-9]{1,19}(-[0-9]{1,9})?$"))
            .answers_as(200, "The stream.", "text/event-stream", text()),
    ]
}

pub fn redelivery(s: &Schemas) -> Vec<Operation> {
    let letters = || json!({ "reason": "no such order", "limit": 10 });
    vec![
        get("/api/v1/dead-letters", "listDeadLetters", "Dead letters, oldest first")
            .of_tenant()
            .paged(true)
            .answers::<DeadLetters>(s, 200, "A page."),
        get("/api/v1/dead-letters/{seq}", "getDeadLetter", "One dead letter")
            .of_tenant()
            .answers::<DeadLetter>(s, 200, "The dead letter."),
        post("/api/v1/dead-letters:redrive", "redrive", "Deliver dead letters again")
            .about("By `seqs`; or by `consumer`, `stage` and `reason`, all that are given; or `all`. At most 1,000 a request.")
            .of_tenant()
            .once()
            .sends::<Letters>(s, letters())
            .answers::<Redriven>(s, 200, "How many are on their way again."),
        post("/api/v1/dead-letters:discard", "discard", "Remove dead letters for good")
            .about("Named as for `redrive`.")
            .of_tenant()
            .once()
            .sends::<Letters>(s, letters())
            .answers::<Discarded>(s, 200, "How many are gone."),
        get("/api/v1/replays", "listReplays", "Replays, newest first")
            .of_tenant()
            .answers::<Replays>(s, 200, "The last 100."),
        post("/api/v1/replays", "beginReplay", "Deliver a window of the stream to a consumer again")
            .about("It goes on by itself. Four of a tenant run at once.")
            .of_tenant()
            .once()
            .tells("Location")
            .sends::<Window>(s, json!({ "consumer": "alert", "from": "2026-01-01T00:00:00Z", "events_per_s": 100 }))
            .answers::<Replay>(s, 202, "It has begun."),
        get("/api/v1/replays/{id}", "getReplay", "How far a replay is")
            .of_tenant()
            .answers::<Replay>(s, 200, "The replay."),
    ]
}
