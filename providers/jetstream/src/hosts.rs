//! What the lattice says of the hosts that run tenants' code.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::Value;
use wasmcloud_provider_sdk::get_connection;

/// A host that does not answer for so long is busy, or gone.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// Whether one runs the component and takes in what it is told. While a host compiles a component it does neither tell what
/// it runs nor take in links (wasmcloud-host 0.27 holds one lock for all three). What does not answer on a host that does
/// not either, is not slow.
pub async fn run(component: &str) -> bool {
    tokio::time::timeout(ANSWER_WAIT, ping(component)).await.ok().flatten().is_some()
}

/// Until a host answers that runs `component`.
async fn ping(component: &str) -> Option<()> {
    let connection = get_connection();
    let (nats, inbox) = (&connection.nats, connection.nats.new_inbox());
    let control = format!("wasmbus.ctl.v1.{}.host", connection.lattice);
    let mut answers = nats.subscribe(inbox.clone()).await.ok()?;
    nats.publish_with_reply(format!("{control}.ping"), inbox.clone(), "".into()).await.ok()?;
    while let Some(answer) = answers.next().await {
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
        let host = &answer["response"];
        match host["components"].as_array() {
            // An inventory, asked for below.
            Some(components) if components.iter().any(|one| one["id"] == component) => return Some(()),
            Some(_) => {}
            None => {
                let id = host["id"].as_str()?;
                nats.publish_with_reply(format!("{control}.get.{id}"), inbox.clone(), "".into()).await.ok()?;
            }
        }
    }
    None
}
