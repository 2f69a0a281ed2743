//! What the lattice says of the hosts that run tenants' code.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use wasmcloud_provider_sdk::get_connection;

/// A host that does not answer for so long is busy, or gone.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// The host that says it runs the component, and so takes in what it is told. While a host compiles a component it does
/// neither tell what it runs nor take in links (wasmcloud-host 0.27 holds one lock for all three).
pub async fn of(component: &str) -> Option<String> {
    let runs =
        |host: &Value| host["components"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == component));
    first(true, runs).await
}

/// Whether a host is alive: what does not answer on one that is not, is not slow.
pub async fn alive(host: &str) -> bool {
    first(false, |answer| answer["id"] == host).await.is_some()
}

/// Id of the first host of whose answers one is `wanted`. `inventories`: those are asked for, too.
async fn first(inventories: bool, wanted: impl Fn(&Value) -> bool) -> Option<String> {
    tokio::time::timeout(ANSWER_WAIT, ask(inventories, wanted)).await.ok().flatten()
}

async fn ask(inventories: bool, wanted: impl Fn(&Value) -> bool) -> Option<String> {
    let connection = get_connection();
    let (nats, inbox) = (&connection.nats, connection.nats.new_inbox());
    let control = format!("wasmbus.ctl.v1.{}.host", connection.lattice);
    let mut answers = nats.subscribe(inbox.clone()).await.ok()?;
    nats.publish_with_reply(format!("{control}.ping"), inbox.clone(), "".into()).await.ok()?;
    while let Some(answer) = answers.next().await {
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
        let host = &answer["response"];
        // Nobody's, such as that there is no such host any more.
        let Some(id) = host["id"].as_str().or_else(|| host["host_id"].as_str()) else { continue };
        if wanted(host) {
            return Some(id.to_owned());
        }
        if inventories && host["components"].is_null() {
            nats.publish_with_reply(format!("{control}.get.{id}"), inbox.clone(), "".into()).await.ok()?;
        }
    }
    None
}
