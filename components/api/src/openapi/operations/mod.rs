//! Every operation, by topic.

mod consumers;
mod events;
mod money;
mod operators;
mod platform;
mod rules;

pub use platform::{PUBLISH, WHOAMI};

use super::operation::Operation;
use super::schemas::Schemas;

/// Topics in the order of the document: what each is called and about, and its operations.
pub fn all(schemas: &Schemas) -> Vec<(&'static str, &'static str, Vec<Operation>)> {
    vec![
        ("platform", "The platform itself, for whoever asks.", platform::open(schemas)),
        ("ingest", "Publishing events, at the ingest edge.", platform::ingest(schemas)),
        ("events", "Stored events, and those that come.", events::stored(schemas)),
        ("dead letters", "Events that went no further, and delivering again.", events::redelivery(schemas)),
        ("rules", "What happens to a tenant's events.", rules::rules(schemas)),
        ("consumers", "A tenant's own code.", consumers::consumers(schemas)),
        ("keys", "API keys.", operators::keys(schemas)),
        ("members", "Who of those that an identity provider knows may come in.", operators::members(schemas)),
        ("money", "Usage, invoices and plans.", money::money(schemas)),
        ("tenants", "For operators: who there is.", operators::tenants(schemas)),
        ("policies", "For operators: what may be done.", operators::policies(schemas)),
    ]
}
