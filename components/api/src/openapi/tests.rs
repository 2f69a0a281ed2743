use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::document;
use super::operation::sample;
use super::operations::PUBLISH;
use crate::router::Route;

const MEND: &str = "UPDATE=1 cargo test --release --locked -p er-api openapi";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// As it is checked in: members sorted, so that a change shows as the lines that it changes.
fn written(value: &Value, depth: usize, text: &mut String) {
    let indent = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n(' ', depth));
    };
    // What is short enough for one line stands on one.
    let short = value.to_string();
    match value {
        Value::Object(members) if short.len() > 100 => {
            let sorted: std::collections::BTreeMap<_, _> = members.iter().collect();
            text.push('{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                indent(text, depth + 1);
                let _infallible = write!(text, "{}: ", Value::from(name.as_str()));
                written(member, depth + 1, text);
            }
            indent(text, depth);
            text.push('}');
        }
        Value::Array(items) if short.len() > 100 => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                indent(text, depth + 1);
                written(item, depth + 1, text);
            }
            indent(text, depth);
            text.push(']');
        }
        _ => text.push_str(&short),
    }
}

#[test]
fn the_openapi_document_is_what_is_checked_in() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = document();
    if std::env::var_os("UPDATE").is_some() {
        let mut text = String::new();
        written(&made, 0, &mut text);
        std::fs::write(&path, text + "\n").unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(kept == made, "{} is not what the code is now; mend it with: {MEND}", path.display());
}

/// Whatever is added to the router has to be named here, and then described.
macro_rules! routes {
    ($($name:ident)*) => {
        const ROUTES: &[&str] = &[$(stringify!($name)),*];

        fn name(route: &Route) -> &'static str {
            match route { $(Route::$name { .. } => stringify!($name),)* }
        }
    };
}

routes! {
    Index Console Health OpenApi Whoami Tenants Tenant Keys Key Members Member Events Event Story DeadLetters DeadLetter Redrive Discard Replays Replay
    Consumers Consumer ConsumerLogs ConsumerRollback ConsumerHold Policies PolicyVersions PolicyData PolicyBundle
    PolicyActivate Tail Rules Rule RulesVersions RulesRollback RulesTest Usage Invoices Invoice InvoiceProof InvoiceIssue
    InvoiceVoid Subscription Plans Plan
}

#[test]
fn every_route_and_method_is_described_and_nothing_else() {
    let document = document();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if path == PUBLISH {
            continue;
        }
        let route =
            Route::find(&sample(path)).unwrap_or_else(|| panic!("{path} is described, and there is no such route"));
        described.insert(name(&route));
        for method in METHODS {
            let has = item.get(method.to_ascii_lowercase()).is_some();
            assert_eq!(has, route.allows(method), "{method} {path}: described, and allowed by the router");
        }
    }
    // Files of a page are no part of the API.
    described.insert("Console");
    assert_eq!(described, ROUTES.iter().copied().collect(), "described, and in the router");
    // One route may have two paths.
    for path in ["/api/v1/keys/{key}", "/api/v1/tenants/{tenant}/keys/{key}", "/api/v1/consumers/{name}:resume"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
}

#[test]
fn everything_that_is_referred_to_is_there_and_named_once() {
    let document = document();
    let mut ids = BTreeSet::new();
    visit(&document, &mut |name, value| match (name, value.as_str()) {
        ("$ref", Some(reference)) => {
            let place = reference.strip_prefix('#').unwrap_or(reference);
            assert!(document.pointer(place).is_some(), "{reference} is not there");
        }
        ("operationId", Some(id)) => assert!(ids.insert(id.to_owned()), "two operations are called {id}"),
        _ => {}
    });
    // A second type of the same name would be numbered.
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(!name.ends_with(|last: char| last.is_ascii_digit()), "two types are called alike: {name}");
    }
}

fn visit(value: &Value, see: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                see(name, member);
                visit(member, see);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        _ => {}
    }
}
