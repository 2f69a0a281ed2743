//! The typed questions are the ones that the vectors ask.

use std::collections::BTreeMap;

use er_policy::Limits;
use er_question::{
    Api, Config, Consumer, Control, Deliver, Host, Input, Link, Part, PartType, Principal, ProcessEvent, Redrive,
    Replay, Start,
};

use crate::support::{evaluator, vectors};

#[test]
fn a_typed_question_reads_as_its_vector() {
    let admin = Principal { tenant: "acme", role: "admin", key: "0123456789ab" };
    let alert = Consumer { tenant: "acme", name: "alert" };
    let part = |app, name| Part { app, name };
    let typed = [
        (
            "a tenant's consumer may emit",
            Input::Link(Link {
                manifest: "acme-alert",
                tenant: Some("acme"),
                source: part("acme-alert", "alert"),
                target: part("eventrunner", "jetstream"),
                package: "eventrunner:platform",
                interfaces: vec!["emitter"],
                config: BTreeMap::from([("tenant", "acme")]),
            }),
        ),
        (
            "the api may read and follow the streams",
            Input::Link(Link {
                manifest: "eventrunner",
                tenant: None,
                source: part("eventrunner", "api"),
                target: part("eventrunner", "jetstream"),
                package: "eventrunner:platform",
                interfaces: vec!["kv", "tail"],
                config: BTreeMap::new(),
            }),
        ),
        (
            "a tenant's component starts",
            Input::Start(Start {
                manifest: "acme-alert",
                tenant: Some("acme"),
                part_type: PartType::Component,
                image: "file:///srv/alert.wasm",
                imports: vec![
                    "eventrunner:platform/emitter@0.1.0",
                    "wasi:cli/environment@0.2.6",
                    "wasi:logging/logging@0.1.0-draft",
                ],
                issuer: Some("AAAA"),
                host: Host { role: Some("tenant") },
            }),
        ),
        (
            "a tenant configures its delivery",
            Input::Config(Config {
                manifest: "acme-alert",
                tenant: Some("acme"),
                name: "acme-alert-delivery",
                config: BTreeMap::from([("tenant", "acme"), ("types", "*"), ("batch_events_max", "256")]),
            }),
        ),
        ("a link is taken away", Input::Control(Control { operation: "link-del", subject: "acme_alert-alert" })),
        (
            "a tenant's consumer gets its events",
            Input::Deliver(Deliver { tenant: "acme", consumer: alert, event_type: "com.github.push" }),
        ),
        ("admin: write", Input::Api(Api { principal: admin, action: "write", tenant: Some("acme") })),
        (
            "an admin may redrive",
            Input::Redrive(Redrive { principal: admin, tenant: "acme", consumer: Some(alert), events: 100 }),
        ),
        (
            "an admin may replay to all consumers",
            Input::Replay(Replay { principal: admin, tenant: "acme", consumer: None, age_h: 100 }),
        ),
        ("it may name its kind", Input::ProcessEvent(ProcessEvent::new("alice", "acme"))),
    ];
    let evaluator = evaluator(Limits::default());
    let vectors = vectors();
    for (name, input) in typed {
        let (_, _, question, _) = vectors.iter().find(|(_, own, ..)| own == name).unwrap();
        assert_eq!(&serde_json::to_value(&input).unwrap(), question, "{name}");
        let decision = evaluator.ask(&input).decision;
        assert!(decision.allow, "{name}: {}", decision.reason);
    }
}
