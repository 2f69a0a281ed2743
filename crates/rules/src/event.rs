//! One event's run, and the end it comes to.

use std::borrow::Cow;

use er_event::admit::check_ruled;
use er_event::event::{hash64, with_members, EventRef, CAUSE, CAUSE_SOURCE, DROPPED, EMITTER, HOP, ROUTE, RULES, TAGS};
use er_event::json::write_string;
use er_event::limits::{EVENT_BYTES_MAX, HOPS_MAX};
use grl::{Error, Limits, Options, Outcome, RuleSet, Scratch};
use serde::Serialize;

use crate::actions::{Actions, Away, Emit};
use crate::{BUILT_BYTES_MAX, CYCLES_MAX, FACT, SOURCE, STEPS_MAX};

/// A rule set of one version, ready to run.
pub struct Rules<'b> {
    set: RuleSet<'b>,
    version: u64,
    scratch: Scratch,
    now_us: i64,
}

/// Where an event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// On, to store and stream.
    Pass,
    /// To the store only.
    Dropped { reason: String },
    /// To the dead letters.
    Dead { reason: String },
}

/// What the rules made of one event.
#[derive(Debug)]
pub struct Verdict<'e> {
    pub end: End,
    /// The event as the rules left it, with the platform's extensions. Of a dead one: as it came.
    pub event: Cow<'e, str>,
    /// The rules that fired, in order.
    pub fired: Vec<String>,
    /// Events made from it, which have not been run through the rules themselves.
    pub emitted: Vec<String>,
    /// What `Log` was given.
    pub logged: Vec<String>,
}

impl Verdict<'_> {
    pub(crate) fn into_owned(self) -> Verdict<'static> {
        let Verdict { end, event, fired, emitted, logged } = self;
        Verdict { end, event: event.into_owned().into(), fired, emitted, logged }
    }
}

/// Why a rule fired, or did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub rule: String,
    /// Its condition held for the event as it came.
    pub matched: bool,
    /// How often it fired.
    pub fired: usize,
    /// The first part of its condition that did not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_false: Option<FalsePart>,
}

/// A part of a condition that does not hold, and what it read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FalsePart {
    pub text: String,
    /// Both from 1.
    pub line: u32,
    pub column: u32,
    /// Paths, with their values as JSON text; none for what is not there.
    pub values: Vec<(String, Option<String>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

// === impl Rules ===

impl<'b> Rules<'b> {
    /// `compiled`: [`crate::Compiled::bytes`]. `now_us`: what `Now()` gives, microseconds since 1970 (UTC).
    pub fn open(compiled: &'b [u8], version: u64, now_us: i64) -> Result<Self, Error> {
        let set = RuleSet::open(compiled)?;
        Ok(Rules { set, version, scratch: Scratch::new(), now_us })
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Runs one event, which is a CloudEvent that was let in.
    pub fn run<'e>(&mut self, event: &'e str) -> Verdict<'e> {
        let mut actions = Actions::new(self.now_us);
        let facts = [(FACT, event)];
        let outcome = grl::run(&self.set, &facts, &mut actions, &mut self.scratch, &options());
        let fired: Vec<String> = outcome.fired_names(&self.set).into_iter().map(str::to_owned).collect();
        let logged = std::mem::take(&mut actions.logged);
        let done = finish(self.version, event, &outcome, actions, &fired);
        let (end, event, emitted) = done.unwrap_or_else(|reason| (End::Dead { reason }, event.into(), Vec::new()));
        Verdict { end, event, fired, emitted, logged }
    }
}

impl Rules<'_> {
    /// Why each rule fired or did not, highest salience first. Its actions come to nothing.
    pub fn explain(&self, event: &str) -> Vec<Reason> {
        let mut actions = Actions::new(self.now_us);
        let explanation = grl::explain(&self.set, &[(FACT, event)], &mut actions, &options());
        let reason = |why: grl::Why<'_>| Reason {
            rule: why.rule.to_owned(),
            matched: why.matched,
            fired: why.fired,
            first_false: why.first_false.map(|part| FalsePart {
                text: part.text.to_owned(),
                line: part.line,
                column: part.column + 1,
                values: part.values,
                error: part.error,
            }),
        };
        explanation.rules.into_iter().map(reason).collect()
    }
}

fn options() -> Options {
    Options {
        limits: Limits { cycles: CYCLES_MAX, steps: STEPS_MAX, built_bytes: BUILT_BYTES_MAX },
        settle: true,
        ..Options::default()
    }
}

/// The end of an event, the event, and those made from it; or why its rules failed.
fn finish<'e>(
    version: u64,
    event: &'e str,
    outcome: &Outcome<'_>,
    actions: Actions,
    fired: &[String],
) -> Result<(End, Cow<'e, str>, Vec<String>), String> {
    if let Some(error) = outcome.error() {
        return Err(error);
    }
    let end = match actions.away {
        Some(Away::Dead(reason)) => return Ok((End::Dead { reason }, event.into(), Vec::new())),
        Some(Away::Dropped(reason)) => End::Dropped { reason },
        None => End::Pass,
    };
    let mut marks = vec![(RULES, quoted(&ran(version, fired)))];
    if let End::Dropped { reason } = &end {
        marks.push((DROPPED, quoted(reason)));
    }
    for (name, given) in [(TAGS, &actions.tags), (ROUTE, &actions.routes)] {
        if !given.is_empty() {
            marks.push((name, quoted(&given.join(","))));
        }
    }
    marks.extend(actions.extensions.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let members: Vec<(&str, &str)> = marks.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let changed = outcome.facts.first().map_or(event, |(_, text)| text);
    let after = with_members(changed, &members);
    let untouched = matches!(outcome.facts.first(), Some((_, Cow::Borrowed(_))));
    // What came in as an event is one still; tags and routes were checked when they were given.
    if untouched && actions.extensions.is_empty() && end == End::Pass {
        room(&after)?;
    } else {
        check(event, &after)?;
    }
    let emitted = emits(event, &actions.emits)?;
    Ok((end, after.into(), emitted))
}

/// `7`, or `7:Alert,Tag`: each rule once, in the order in which they first fired.
fn ran(version: u64, fired: &[String]) -> String {
    let mut text = version.to_string();
    for (index, rule) in fired.iter().enumerate() {
        if !fired[..index].contains(rule) {
            text.push(if index == 0 { ':' } else { ',' });
            text.push_str(rule);
        }
    }
    text
}

fn room(event: &str) -> Result<(), String> {
    if event.len() <= EVENT_BYTES_MAX {
        return Ok(());
    }
    Err(format!("the event has {} bytes with what the rules added, over {EVENT_BYTES_MAX}", event.len()))
}

/// Rules may change everything about an event but which one it is: the store and the streams know it by that.
fn check(before: &str, after: &str) -> Result<(), String> {
    let before = view(before)?;
    check_ruled(after, Some(&before.event_type))
        .map_err(|what| format!("the rules left something that is no event: {what}"))?;
    let after = view(after)?;
    // How far it has come is what ends circles of consumers.
    if let Some(name) = [EMITTER, HOP].into_iter().find(|name| before.extension(name) != after.extension(name)) {
        return Err(format!("the rules changed Event.{name}, which is the platform's own"));
    }
    for (name, was, is) in [("id", before.id, after.id), ("source", before.source, after.source)] {
        if was != is {
            return Err(format!("the rules changed Event.{name} from {was:?} to {is:?}, which they may not"));
        }
    }
    Ok(())
}

fn emits(event: &str, emits: &[Emit]) -> Result<Vec<String>, String> {
    if emits.is_empty() {
        return Ok(Vec::new());
    }
    let parent = view(event)?;
    let hop = parent.extension(HOP).map_or(0, |hop| hop.parse().unwrap_or(u32::MAX)).saturating_add(1);
    if hop > HOPS_MAX {
        return Err(format!(
            "hop limit {HOPS_MAX} reached: the rules make events from each other's events in a circle"
        ));
    }
    emits.iter().enumerate().map(|(index, emit)| derived(&parent, emit, index, hop)).collect()
}

/// The same event each time, whenever and wherever it is made again.
fn derived(parent: &EventRef<'_>, emit: &Emit, index: usize, hop: u32) -> Result<String, String> {
    let place = index.to_string();
    let id = hash64(&[&parent.source, &parent.id, &emit.event_type, &place]);
    let mut members = vec![
        ("specversion", quoted("1.0")),
        ("id", quoted(&format!("{id:016x}"))),
        ("source", quoted(SOURCE)),
        ("type", quoted(&emit.event_type)),
    ];
    let carried = [("time", &parent.time), ("subject", &parent.subject), ("partitionkey", &parent.partition_key)];
    for (name, value) in carried {
        members.extend(value.as_deref().map(|value| (name, quoted(value))));
    }
    members.extend([
        ("datacontenttype", quoted("application/json")),
        (HOP, hop.to_string()),
        (CAUSE, quoted(&parent.id)),
        (CAUSE_SOURCE, quoted(&parent.source)),
        ("data", emit.data.clone()),
    ]);
    let members: Vec<(&str, &str)> = members.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let event = with_members("{}", &members);
    check_ruled(&event, None).map_err(|what| format!("Emit made something that is no event: {what}"))?;
    Ok(event)
}

fn view(event: &str) -> Result<EventRef<'_>, String> {
    EventRef::parse(event).map_err(|cause| cause.to_string())
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use er_tenant::rules::{Language, Text, Texts};

    use super::*;
    use crate::compile;

    const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"order","time":"2026-01-02T03:04:05Z","subject":"o-1","data":{"total":120}}"#;

    fn run_on(grl: &str, event: &str) -> Verdict<'static> {
        let text = Text { language: Language::Grl, text: grl.into() };
        let compiled = compile(&Texts::from([("t".to_owned(), text)])).unwrap();
        let mut rules = Rules::open(&compiled.bytes, 7, 0).unwrap();
        let verdict = rules.run(event);
        Verdict { event: verdict.event.into_owned().into(), ..verdict }
    }

    fn run(then: &str) -> Verdict<'static> {
        run_on(&format!(r#"rule R {{ when Event.data.total > 100 then {then} Retract("R"); }}"#), EVENT)
    }

    fn dead(verdict: &Verdict<'_>) -> String {
        match &verdict.end {
            End::Dead { reason } => reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn with(members: &str) -> String {
        EVENT.replace(r#""total":120}}"#, &format!(r#""total":120}},{members}}}"#))
    }

    #[test]
    fn an_event_that_no_rule_touches_carries_the_version() {
        let verdict = run_on("rule R { when Event.data.total > 500 then Complete(); }", EVENT);
        assert_eq!((verdict.end, verdict.fired.len()), (End::Pass, 0));
        assert_eq!(verdict.event, with(r#""errules":"7""#));
    }

    #[test]
    fn tags_and_routes_are_marked_once_each() {
        let verdict = run(r#"Tag("big"); Tag("vip"); Tag("big"); Route("billing");"#);
        assert_eq!(verdict.event, with(r#""errules":"7:R","ertags":"big,vip","erroute":"billing""#));
    }

    #[test]
    fn data_and_attributes_can_be_written() {
        let verdict = run(r#"Event.data.total = 7; Event.type = "order.small"; SetExtension("region", "eu");"#);
        assert!(verdict.event.contains(r#""type":"order.small""#), "{}", verdict.event);
        assert!(verdict.event.contains(r#""data":{"total":7}"#), "{}", verdict.event);
        assert!(verdict.event.ends_with(r#""errules":"7:R","region":"eu"}"#), "{}", verdict.event);
    }

    #[test]
    fn the_first_end_that_rules_ask_for_counts() {
        let verdict = run(r#"Drop("too big"); DeadLetter("late"); Tag("t");"#);
        assert_eq!(verdict.end, End::Dropped { reason: "R: too big".into() });
        assert!(verdict.event.contains(r#""erdropped":"R: too big""#), "{}", verdict.event);
        let verdict = run(r#"Event.data.total = 1; DeadLetter("no such order");"#);
        assert_eq!((dead(&verdict), &*verdict.event), ("R: no such order".into(), EVENT));
    }

    #[test]
    fn an_event_made_by_a_rule_is_the_same_each_time() {
        let first = run(r#"Emit("order.audit", Event.data); Emit("order.audit", 1);"#);
        let again = run(r#"Emit("order.audit", Event.data); Emit("order.audit", 1);"#);
        assert_eq!(first.emitted, again.emitted);
        assert_ne!(first.emitted[0], first.emitted[1]);
        let made = EventRef::parse(&first.emitted[0]).unwrap();
        assert_eq!((&*made.source, &*made.event_type, made.data), (SOURCE, "order.audit", Some(r#"{"total":120}"#)));
        assert_eq!((made.time.as_deref(), made.subject.as_deref()), (Some("2026-01-02T03:04:05Z"), Some("o-1")));
        let said = [HOP, CAUSE, CAUSE_SOURCE].map(|name| made.extension(name).unwrap().into_owned());
        assert_eq!(said, ["1", "1", "/s"]);
    }

    #[test]
    fn a_rule_that_breaks_the_event_sends_it_to_the_dead_letters_as_it_came() {
        for (then, what) in [
            (r#"Event.id = "2";"#, "changed Event.id"),
            (r#"Event.source = "/other";"#, "changed Event.source"),
            (r#"Event.type = "";"#, "`type` is empty"),
            (r#"Event.type = "io.eventrunner.raw";"#, "the platform's own"),
            ("Event.erhop = 0;", "the platform's own"),
            (r#"Event.eremitter = "other";"#, "the platform's own"),
            (r#"Event.Bad = 1;"#, "attribute's name"),
            (r#"Tag("a b");"#, "Tag"),
            (r#"SetExtension("id", "2");"#, "`id` is no extension"),
            (r#"SetExtension("errules", "2");"#, "`errules` is no extension"),
            (r#"SetExtension("list", Event.data);"#, "`list` can't be"),
            (r#"Emit("io.eventrunner.x", 1);"#, "the platform's own"),
        ] {
            let verdict = run(then);
            assert!(dead(&verdict).contains(what), "{then}: {:?}", verdict.end);
            assert_eq!(verdict.event, EVENT);
        }
    }

    #[test]
    fn rules_change_an_event_whose_type_the_platform_gave() {
        let event = EVENT
            .replace(&format!("\"type\":\"{}\"", view(EVENT).unwrap().event_type), r#""type":"io.eventrunner.json""#);
        assert!(event.contains("io.eventrunner.json"));
        for then in ["Event.data.total = 7;", r#"SetExtension("region", "eu");"#] {
            let verdict = run_on(&format!(r#"rule R {{ when true then {then} Retract("R"); }}"#), &event);
            assert_eq!(verdict.end, End::Pass, "{then}");
        }
        let verdict = run_on(r#"rule R { when true then Drop("noise"); Retract("R"); }"#, &event);
        assert!(matches!(verdict.end, End::Dropped { .. }), "{:?}", verdict.end);
    }

    #[test]
    fn an_event_that_grows_over_the_limit_is_dead() {
        let padding = "x".repeat(EVENT_BYTES_MAX - EVENT.len() - 20);
        let event = EVENT.replace(r#""total":120"#, &format!(r#""total":120,"p":"{padding}""#));
        assert!(event.len() <= EVENT_BYTES_MAX);
        let verdict = run_on(r#"rule R { when true then Tag("one-more-tag"); }"#, &event);
        assert!(dead(&verdict).contains("over 262144"), "{:?}", verdict.end);
        let verdict = run_on(&format!(r#"rule R {{ when true then Drop("{}"); }}"#, "no".repeat(3_000)), EVENT);
        assert!(dead(&verdict).contains("erdropped"), "{:?}", verdict.end);
    }

    #[test]
    fn circles_end_at_the_hop_limit() {
        let at_limit = EVENT.replace(r#""subject""#, &format!(r#""erhop":{HOPS_MAX},"subject""#));
        let verdict = run_on(r#"rule R { when true then Emit("again", 1); Retract("R"); }"#, &at_limit);
        assert!(dead(&verdict).contains("hop limit"), "{:?}", verdict.end);
    }

    #[test]
    fn too_many_of_anything_is_the_rules_fault() {
        let many = r#"Emit("e", 1); "#.repeat(EMITS_ONE_TOO_MANY);
        assert!(dead(&run(&many)).contains("Emit"), "no limit");
    }

    const EMITS_ONE_TOO_MANY: usize = crate::EMITS_MAX + 1;

    #[test]
    fn a_rule_that_changes_nothing_any_more_is_done() {
        let verdict = run_on(r#"rule R { when true then Tag("x"); Event.lane = "fast"; }"#, EVENT);
        assert_eq!((verdict.end, verdict.fired), (End::Pass, vec!["R".to_owned(), "R".to_owned()]));
    }

    #[test]
    fn a_rule_without_end_is_named() {
        let verdict =
            run_on("rule Circle { when Event.data.total > 0 then Event.data.total = Event.data.total + 1; }", EVENT);
        assert!(dead(&verdict).contains("Circle"), "{:?}", verdict.end);
    }
}
