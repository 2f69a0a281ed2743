//! Questions, one type a kind. policies/README.md says what each field means; serialized, they are what the policies see.
//! For whoever asks, in a component as well as outside; who decides is er-policy.

use std::collections::BTreeMap;

use serde::Serialize;

/// A question. Borrowed throughout: it is asked and forgotten.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Input<'a> {
    Link(Link<'a>),
    Start(Start<'a>),
    Config(Config<'a>),
    Control(Control<'a>),
    Deliver(Deliver<'a>),
    Api(Api<'a>),
    Redrive(Redrive<'a>),
    Replay(Replay<'a>),
    ProcessEvent(ProcessEvent<'a>),
}

/// Part of an application: `name` as the manifest `app` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Part<'a> {
    pub app: &'a str,
    pub name: &'a str,
}

/// May `source` call `interfaces` of `target`?
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Link<'a> {
    pub manifest: &'a str,
    /// Whose manifest it is; none is the platform's.
    pub tenant: Option<&'a str>,
    pub source: Part<'a>,
    pub target: Part<'a>,
    /// Namespace and package, as `eventrunner:platform`.
    pub package: &'a str,
    pub interfaces: Vec<&'a str>,
    /// The link's own settings, those of both ends.
    pub config: BTreeMap<&'a str, &'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PartType {
    Component,
    Provider,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Host<'a> {
    /// The host's label `eventrunner.role`.
    pub role: Option<&'a str>,
}

/// May this start on that host?
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Start<'a> {
    pub manifest: &'a str,
    /// Whose manifest it is; none is the platform's.
    pub tenant: Option<&'a str>,
    #[serde(rename = "type")]
    pub part_type: PartType,
    pub image: &'a str,
    /// What the component imports, with or without versions, as `wasi:clocks/wall-clock@0.2.6`.
    pub imports: Vec<&'a str>,
    /// Who signed it; none is unsigned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<&'a str>,
    pub host: Host<'a>,
}

/// May this configuration be put?
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config<'a> {
    pub manifest: &'a str,
    /// Whose manifest it is; none is the platform's.
    pub tenant: Option<&'a str>,
    pub name: &'a str,
    pub config: BTreeMap<&'a str, &'a str>,
}

/// May the lattice be changed in this way?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Control<'a> {
    /// `link-del`, `host-stop`, …: policies/README.md has all.
    pub operation: &'a str,
    /// What it is about: an id, a name, a host, a label.
    pub subject: &'a str,
}

/// A consumer, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Consumer<'a> {
    pub tenant: &'a str,
    pub name: &'a str,
}

/// May events of `tenant` of this type be delivered to this consumer?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Deliver<'a> {
    pub tenant: &'a str,
    pub consumer: Consumer<'a>,
    #[serde(rename = "type")]
    pub event_type: &'a str,
}

/// Who asks, as their key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Principal<'a> {
    pub tenant: &'a str,
    pub role: &'a str,
    /// The key's id.
    pub key: &'a str,
}

/// May this principal do this in that tenant?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Api<'a> {
    pub principal: Principal<'a>,
    /// `publish`, `read`, `write`, `keys`, `members` or `tenants`.
    pub action: &'a str,
    /// None where it is about no tenant in particular.
    pub tenant: Option<&'a str>,
}

/// May this principal let that many dead letters be delivered again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Redrive<'a> {
    pub principal: Principal<'a>,
    pub tenant: &'a str,
    /// None is all of the tenant's.
    pub consumer: Option<Consumer<'a>>,
    pub events: u64,
}

/// May this principal let stored events that old be delivered again?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replay<'a> {
    pub principal: Principal<'a>,
    pub tenant: &'a str,
    /// None is all of the tenant's.
    pub consumer: Option<Consumer<'a>>,
    /// Hours since the oldest of them.
    pub age_h: u64,
}

/// The prototype's question: may this user's event be processed?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProcessEvent<'a> {
    pub user: &'a str,
    pub tenant: &'a str,
    action: &'static str,
}

// === impl Input ===

impl Input<'_> {
    /// As it is asked.
    ///
    /// # Errors
    /// What can't be written as JSON.
    pub fn text(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| format!("the question can't be put: {error}"))
    }
}

// === impl ProcessEvent ===

impl<'a> ProcessEvent<'a> {
    #[must_use]
    pub fn new(user: &'a str, tenant: &'a str) -> Self {
        Self { user, tenant, action: "process_event" }
    }
}
