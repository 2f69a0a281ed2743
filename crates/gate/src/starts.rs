//! wasmCloud's policy service: what hosts ask before they start anything, however they were told to.
//!
//! What passed the gate is asked here again, at the place where it happens. Who may call whom is not: that is decided by
//! links, and a question for each function of each component would be in the way of the first event.

use std::collections::HashMap;

use er_question::PartType;
use serde::Deserialize;

use crate::answer;
use crate::image::Images;
use crate::judge::{Judge, Verdict};
use crate::lattice::ROLE;
use crate::names::Name;
use crate::question::{Question, Start};

/// A host's request, as wasmCloud 1.9 has it (`v1`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub request_id: String,
    pub kind: String,
    request: Body,
    host: Host,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    component_id: Option<String>,
    provider_id: Option<String>,
    image_ref: Option<String>,
    max_instances: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Host {
    labels: HashMap<String, String>,
}

// === impl Request ===

impl Request {
    pub async fn decide(&self, judge: &Judge, images: &Images) -> Verdict {
        let Body { component_id, provider_id, image_ref, max_instances } = &self.request;
        let image = full(image_ref.as_deref().unwrap_or_default());
        let (part_type, id) = match (self.kind.as_str(), component_id, provider_id) {
            ("performInvocation", ..) => return Verdict { refusals: Vec::new(), revision: "".into() },
            // A host asks before it stops, too.
            ("startComponent", Some(_), _) if *max_instances == Some(0) => {
                return Verdict { refusals: Vec::new(), revision: "".into() };
            }
            ("startComponent", Some(id), _) => (PartType::Component, id),
            ("startProvider", _, Some(id)) => (PartType::Provider, id),
            (kind, ..) => return Verdict::refused(kind, "it is no request that anybody knows"),
        };
        let facts = images.facts(&image, part_type).await;
        let role = self.host.labels.get(ROLE).cloned();
        let start = Start { name: Name::of_id(id), part_type, image, facts, role };
        judge.decide("host", |names| vec![Question::start(&start, |manifest| names.owner(manifest))]).await
    }

    /// The answer that a host reads.
    #[must_use]
    pub fn answer(&self, verdict: &Verdict) -> bytes::Bytes {
        if verdict.allows() {
            answer::start(&self.request_id, Ok(()))
        } else {
            answer::start(&self.request_id, Err(&answer::text(verdict)))
        }
    }
}

/// An image as manifests name it: a host leaves the scheme of a provider's away.
fn full(image: &str) -> String {
    match image {
        "http-client" | "http-server" | "messaging-nats" => format!("wasmcloud+builtin://{image}"),
        path if path.starts_with('/') => format!("file://{path}"),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_requests_are_read() {
        let text = r#"{"requestId":"1","kind":"startComponent","version":"v1","request":{"componentId":"a-b",
            "imageRef":"file:///x","maxInstances":2,"annotations":{},"claims":null},
            "host":{"publicKey":"N","lattice":"default","labels":{"eventrunner.role":"tenant"}}}"#;
        let request: Request = serde_json::from_str(text).unwrap();
        assert_eq!(request.request.component_id.as_deref(), Some("a-b"));
        assert_eq!(request.host.labels[ROLE], "tenant");
        let call = r#"{"requestId":"1","kind":"performInvocation","version":"v1","request":{"interface":"i","function":"f",
            "target":{"componentId":"a-b","imageRef":"x","maxInstances":0,"annotations":{},"claims":null}},
            "host":{"publicKey":"N","lattice":"default","labels":{}}}"#;
        let request: Request = serde_json::from_str(call).unwrap();
        assert_eq!(request.kind, "performInvocation");
    }

    #[test]
    fn images_are_named_as_manifests_name_them() {
        for (said, full_name) in [
            ("/build/p.par.gz", "file:///build/p.par.gz"),
            ("file:///x.wasm", "file:///x.wasm"),
            ("http-server", "wasmcloud+builtin://http-server"),
            ("ghcr.io/x/y:1", "ghcr.io/x/y:1"),
        ] {
            assert_eq!(full(said), full_name);
        }
    }
}
