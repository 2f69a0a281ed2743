//! Says a provider's start again under the name its manifest gave it.
//!
//! A host reports a provider from `file:///x` as `/x`, and a builtin one without its scheme. wadm
//! compares that with the manifest's reference, does not recognise the start it waits for, and
//! ignores whatever happens to the provider for the next 30 seconds, a host's death included.

use futures::StreamExt as _;
use serde_json::Value;

pub async fn correct(client: async_nats::Client, lattice: String) {
    let subject = format!("wasmbus.evt.{lattice}.provider_started");
    // A subscription outlives reconnects; it only ends with the client.
    let mut events = match client.subscribe(subject.clone()).await {
        Ok(events) => events,
        Err(error) => {
            eprintln!("error: can't follow provider starts: {error}");
            return;
        }
    };
    while let Some(event) = events.next().await {
        if let Some(corrected) = corrected(&event.payload) {
            // Lost, it costs wadm those 30 seconds; nothing else depends on it.
            let _ = client.publish(subject.clone(), corrected.into()).await;
        }
    }
}

fn corrected(event: &[u8]) -> Option<Vec<u8>> {
    let mut event: Value = serde_json::from_slice(event).ok()?;
    let reference = full_reference(event.pointer("/data/image_ref")?.as_str()?)?;
    *event.pointer_mut("/data/image_ref")? = reference.into();
    let id = format!("{}-corrected", event.get("id")?.as_str()?);
    *event.get_mut("id")? = id.into();
    serde_json::to_vec(&event).ok()
}

/// Absent where the host's name for it is the manifest's already.
fn full_reference(reported: &str) -> Option<String> {
    match reported {
        "http-client" | "http-server" | "messaging-nats" => Some(format!("wasmcloud+builtin://{reported}")),
        path if path.starts_with('/') => Some(format!("file://{path}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(image_ref: &str) -> Vec<u8> {
        serde_json::json!({
            "id": "1",
            "type": "com.wasmcloud.lattice.provider_started",
            "data": { "image_ref": image_ref, "provider_id": "p" },
        })
        .to_string()
        .into_bytes()
    }

    #[test]
    fn a_shortened_reference_is_completed() {
        for (reported, full) in
            [("/build/p.par.gz", "file:///build/p.par.gz"), ("http-server", "wasmcloud+builtin://http-server")]
        {
            let event: Value = serde_json::from_slice(&corrected(&started(reported)).unwrap()).unwrap();
            assert_eq!(event["data"]["image_ref"], full);
            assert_eq!(event["data"]["provider_id"], "p");
            assert_ne!(event["id"], "1");
        }
    }

    #[test]
    fn a_full_reference_is_not_said_twice() {
        for full in ["file:///p.par.gz", "wasmcloud+builtin://http-server", "registry:5000/p:1"] {
            assert_eq!(corrected(&started(full)), None, "{full}");
        }
    }

    #[test]
    fn anything_else_is_left_alone() {
        assert_eq!(corrected(b"not json"), None);
        assert_eq!(corrected(b"{}"), None);
    }
}
