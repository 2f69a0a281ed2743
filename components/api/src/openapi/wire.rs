//! Shapes of what the API hands on as text, as whoever writes it has them (the comments in `wit/` say who that is). What
//! is handed on is held to them by `tests/it/contract.rs`.

#![allow(dead_code, reason = "only their schemas are used")]

use er_metering::{Currency, Difference, Meter, Period, Plan};
use er_tenant::consumers::State as Hold;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A CloudEvent 1.0 in the JSON format. Members beside these are extension attributes; those that begin with `er` are the
/// platform's (docs/rules.md).
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent {
    #[schemars(extend("const" = "1.0"))]
    specversion: String,
    /// Unique within its source.
    #[schemars(length(min = 1))]
    id: String,
    #[schemars(length(min = 1))]
    source: String,
    #[serde(rename = "type")]
    #[schemars(length(min = 1))]
    event_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datacontenttype: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataschema: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    /// In place of `data`, where it is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

/// What is safe, in the order it came.
#[derive(Serialize, JsonSchema)]
pub struct Receipts {
    receipts: Vec<Receipt>,
}

#[derive(Serialize, JsonSchema)]
pub struct Receipt {
    /// The event's: its own, or the one it was given.
    id: String,
}

/// A page of stored events, newest first.
#[derive(Serialize, JsonSchema)]
pub struct Events {
    events: Vec<CloudEvent>,
    /// What to give as `cursor` for the next page; none after the last. A page with one may be short, or empty.
    cursor: Option<String>,
}

/// An event that went no further.
#[derive(Serialize, JsonSchema)]
pub struct DeadLetter {
    /// Its place in the stream.
    seq: u64,
    /// When it was given up.
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// Where: `normalize`, `rules`, `deliver`, `policy`, …
    stage: String,
    reason: String,
    /// How often it was tried.
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<String>,
    /// Of the policy that let it go no further.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    /// Of raw input, the envelope without the body; null where even that could not be made.
    event: Option<Map<String, Value>>,
    /// The body as it was received.
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<String>,
}

/// A page of dead letters, oldest first.
#[derive(Serialize, JsonSchema)]
pub struct DeadLetters {
    items: Vec<DeadLetter>,
    /// What to give as `cursor` for the next page; none after the last.
    cursor: Option<String>,
    /// The same as a number, under its former name.
    next: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
pub struct Redriven {
    redriven: u64,
    /// Those that could not be, and why.
    kept: Vec<RedriveKept>,
}

#[derive(Serialize, JsonSchema)]
pub struct RedriveKept {
    seq: u64,
    reason: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Discarded {
    discarded: u64,
}

/// A window of stored events on its way to a consumer again.
#[derive(Serialize, JsonSchema)]
pub struct Replay {
    id: String,
    tenant: String,
    consumer: String,
    from: String,
    to: String,
    types: Vec<String>,
    events_per_s: u32,
    /// The key that began it.
    by: String,
    at: String,
    state: ReplayState,
    /// Events handed to the consumer so far.
    sent: u64,
    /// Up to here, events of the window were handed over.
    reached: String,
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    Running,
    Done,
    Failed,
}

/// Newest first.
#[derive(Serialize, JsonSchema)]
pub struct Replays {
    replays: Vec<Replay>,
}

/// What an owner sets on a consumer.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSpec {
    /// An OCI reference, in place of an upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    /// Types wanted, `*` ending a beginning; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Word>>", length(max = 100))]
    types: Option<Vec<String>>,
    /// Sources wanted, `*` ending a beginning; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Word>>", length(max = 100))]
    sources: Option<Vec<String>>,
    /// Sub-streams wanted, as rules route events to them; none: every event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Word>>", length(max = 100))]
    routes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    batch_events_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20))]
    attempts_max: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    backoff_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 60_000))]
    timeout_ms: Option<u64>,
    /// From the oldest event that is kept, or from the next. Counts only when a consumer is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliver: Option<Deliver>,
    /// What `wasi:config` tells the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    env: Option<std::collections::BTreeMap<String, String>>,
}

/// Without blanks and commas.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct Word(#[schemars(regex(pattern = r"^[^\s,\u0000-\u001f\u007f-\u009f]+$"))] String);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Deliver {
    All,
    New,
}

/// A consumer, how far it is, and its versions.
#[derive(Serialize, JsonSchema)]
pub struct Consumer {
    tenant: String,
    name: String,
    state: ConsumerState,
    /// For its owner: what is going on, and the mend where there is one to make.
    message: String,
    /// The newest one's number.
    version: u32,
    spec: ConsumerSpec,
    /// The version that runs, or is to run while a newer one is refused.
    deployed: Option<u32>,
    /// Oldest first.
    versions: Vec<ConsumerVersion>,
    /// Where it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<Hold>,
    /// What the lattice says of it, where one consumer is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    lattice: Option<ConsumerInLattice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerState {
    Checking,
    Refused,
    Deploying,
    Running,
    Paused,
    Failed,
    Deleting,
}

#[derive(Serialize, JsonSchema)]
pub struct ConsumerVersion {
    version: u32,
    /// SHA-256 of the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    at: String,
    by: String,
    spec: ConsumerSpec,
    /// Whether it passed its trial.
    tried: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// On which hosts it runs: new code on those of its own, until it has shown that it does no harm.
    standing: Standing,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ConsumerStanding")]
pub enum Standing {
    Probation,
    Proven,
}

#[derive(Serialize, JsonSchema)]
pub struct ConsumerInLattice {
    status: String,
    message: String,
}

/// By name.
#[derive(Serialize, JsonSchema)]
pub struct Consumers {
    consumers: Vec<Consumer>,
}

/// The last ones, oldest first.
#[derive(Serialize, JsonSchema)]
pub struct LogLines {
    lines: Vec<LogLine>,
}

#[derive(Serialize, JsonSchema)]
pub struct LogLine {
    at: String,
    level: String,
    message: String,
}

/// Newest first, this month's draft among them.
#[derive(Serialize, JsonSchema)]
pub struct Invoices {
    items: Vec<InvoiceItem>,
}

#[derive(Serialize, JsonSchema)]
pub struct InvoiceItem {
    id: String,
    /// `draft`, `issued` or `void`.
    state: String,
    period: Period,
    total_minor: i64,
    currency: Currency,
}

/// An invoice computed again. Nothing found is proof.
#[derive(Serialize, JsonSchema)]
pub struct InvoiceProof {
    invoice: String,
    /// Where it differs from what the analytics say.
    analytics: Vec<Difference>,
    /// Where it differs from what the stream says; null where that does not reach back so far.
    stream: Option<Vec<Difference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_fault: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Plans {
    items: Vec<PlanOnOffer>,
}

#[derive(Serialize, JsonSchema)]
pub struct PlanOnOffer {
    id: String,
    plan: Plan,
}

/// From when which plan holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// The name of one on offer, or a plan.
    plan: PlanWanted,
    /// None: from the next minute.
    #[schemars(extend("format" = "date-time"))]
    effective_from: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PlanWanted {
    Name(String),
    Plan(Plan),
}

/// What decides.
#[derive(Serialize, JsonSchema)]
pub struct PolicyState {
    /// Of the bundle and the data over it; empty where nothing decides.
    revision: String,
    /// Grows with each activation; 0 before the first.
    activation: u64,
    current: Option<PolicyActivation>,
    /// Why what should decide does not.
    refused: Option<String>,
    /// Whether it was asked just now what counts.
    fresh: bool,
}

#[derive(Serialize, JsonSchema)]
pub struct PolicyActivation {
    bundle: String,
    data: Option<String>,
    by: String,
    at: String,
}

/// Every version there is, newest first.
#[derive(Serialize, JsonSchema)]
pub struct PolicyVersions {
    bundles: Vec<PolicyVersion>,
    data: Vec<PolicyVersion>,
    activations: Vec<PolicyActivation>,
}

#[derive(Serialize, JsonSchema)]
pub struct PolicyVersion {
    revision: String,
    bytes: u64,
    at: String,
}

/// Of which meters there are.
pub fn meters() -> Vec<&'static str> {
    Meter::ALL.iter().map(|meter| meter.name()).collect()
}
