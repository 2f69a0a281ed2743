//! Every limit of admission, on both sides.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use er_event::admit::{admit, Admission, Answer};
use er_event::event::split;
use er_event::frame::{Encoding, FrameWriter, Request};
use er_event::limits::*;

fn request<'a>(id: &'a str, content_type: &'static str, body: &'a str) -> Request<'a> {
    Request {
        id,
        received_us: 1,
        content_type: Some(content_type.into()),
        encoding: Encoding::Utf8,
        attributes: vec![],
        headers: vec![],
        query: None,
        body,
    }
}

fn admitted(requests: &[Request<'_>]) -> Admission {
    let mut writer = FrameWriter::new();
    requests.iter().for_each(|request| writer.push(request));
    admit("acme", &writer.finish()).unwrap()
}

fn slug(admission: &Admission) -> &'static str {
    match &admission.answers[0] {
        Answer::Ids(_) => "admitted",
        Answer::Problem(problem) => problem.kind.slug(),
    }
}

/// An event of so many bytes.
fn event(id: &str, bytes: usize) -> String {
    let empty = format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t","time":"2024-01-01T00:00:00Z","data":""}}"#
    );
    empty.replace("\"\"}", &format!("\"{}\"}}", "x".repeat(bytes - empty.len())))
}

fn structured(body: &str) -> &'static str {
    slug(&admitted(&[request("1", "application/cloudevents+json", body)]))
}

#[test]
fn an_event_has_a_limit_in_every_mode() {
    assert_eq!(structured(&event("1", EVENT_BYTES_MAX)), "admitted");
    assert_eq!(structured(&event("1", EVENT_BYTES_MAX + 1)), "event-too-large");

    let raw =
        |bytes: usize| slug(&admitted(&[request("1", "application/json", &format!("\"{}\"", "x".repeat(bytes)))]));
    assert_eq!(raw(EVENT_BYTES_MAX - 512), "admitted");
    assert_eq!(raw(EVENT_BYTES_MAX), "event-too-large");

    let binary = |bytes: usize| {
        let body = "x".repeat(bytes);
        let mut request = request("1", "application/octet-stream", &body);
        request.attributes = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec();
        slug(&admitted(&[request]))
    };
    assert_eq!(binary(EVENT_BYTES_MAX / 4 * 3 - 512), "admitted");
    assert_eq!(binary(EVENT_BYTES_MAX / 4 * 3), "event-too-large");
}

#[test]
fn a_body_has_a_limit() {
    let padded = |bytes: usize| {
        let event = event("1", 200);
        structured(&format!("{event}{}", " ".repeat(bytes - event.len())))
    };
    assert_eq!(padded(BODY_BYTES_MAX), "admitted");
    assert_eq!(padded(BODY_BYTES_MAX + 1), "too-large");
}

#[test]
fn attributes_have_limits() {
    let with = |name: &str, value: &str| {
        structured(&format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","{name}":"{value}"}}"#))
    };
    assert_eq!(with("ext", &"x".repeat(ATTRIBUTE_BYTES_MAX)), "admitted");
    assert_eq!(with("ext", &"x".repeat(ATTRIBUTE_BYTES_MAX + 1)), "invalid-event");
    assert_eq!(with(&"x".repeat(ATTRIBUTE_NAME_CHARS_MAX), ""), "admitted");
    assert_eq!(with(&"x".repeat(ATTRIBUTE_NAME_CHARS_MAX + 1), ""), "invalid-event");
}

#[test]
fn headers_and_queries_kept_with_raw_json_have_limits() {
    let with = |header: usize, query: usize| {
        let mut request = request("1", "application/json", "{}");
        request.headers = vec![("x".to_owned(), "h".repeat(header))];
        request.query = Some("q".repeat(query));
        slug(&admitted(&[request]))
    };
    assert_eq!(with(HEADERS_BYTES_MAX - 4, ATTRIBUTE_BYTES_MAX), "admitted");
    assert_eq!(with(HEADERS_BYTES_MAX - 3, 0), "header-invalid");
    assert_eq!(with(0, ATTRIBUTE_BYTES_MAX + 1), "invalid-query");
}

#[test]
fn data_may_be_as_deep_in_an_event_as_alone() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let event =
        |depth: usize| format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{}}}"#, nested(depth));
    let batch = |depth: usize| {
        slug(&admitted(&[request("1", "application/cloudevents-batch+json", &format!("[{}]", event(depth)))]))
    };
    let raw = |depth: usize| slug(&admitted(&[request("1", "application/json", &nested(depth))]));
    let all = |depth: usize| [structured(&event(depth)), batch(depth), raw(depth)];
    assert_eq!(all(JSON_DEPTH_MAX), ["admitted"; 3]);
    assert_eq!(all(JSON_DEPTH_MAX + 1), ["too-deep"; 3]);
}

#[test]
fn full_batches_are_split_and_every_message_has_its_own_id() {
    let events: Vec<String> = (0..8).map(|n| event(&format!("id-{n}"), BATCH_BYTES_MAX / 3)).collect();
    let requests: Vec<Request<'_>> =
        events.iter().map(|event| request("1", "application/cloudevents+json", event)).collect();
    let admission = admitted(&requests);
    assert_eq!(admission.entries.len(), 4);
    let back: Vec<&str> = admission.entries.iter().flat_map(|entry| split(&entry.events).unwrap()).collect();
    assert_eq!(back, events);
    let mut ids: Vec<&str> = admission.entries.iter().map(|entry| entry.message_id.as_str()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn message_ids_follow_the_requests_and_the_tenant() {
    let body = event("1", 200);
    let ids = |tenant: &str, id: &str| {
        let mut writer = FrameWriter::new();
        writer.push(&request(id, "application/cloudevents+json", &body));
        admit(tenant, &writer.finish()).unwrap().entries.remove(0).message_id
    };
    assert_eq!(ids("acme", "1"), ids("acme", "1"));
    assert_ne!(ids("acme", "1"), ids("acme", "2"));
    assert_ne!(ids("acme", "1"), ids("emca", "1"));
}

#[test]
fn one_bad_request_leaves_the_others_alone() {
    let good = event("1", 200);
    let admission = admitted(&[
        request("1", "application/cloudevents+json", &good),
        request("2", "application/cloudevents-batch+json", &format!("[{good},{{}}]")),
        request("3", "application/cloudevents-batch+json", &format!("[{good},{good}]")),
    ]);
    assert!(matches!(&admission.answers[..], [Answer::Ids(one), Answer::Problem(problem), Answer::Ids(two)]
        if one.len() == 1 && problem.index == Some(1) && two.len() == 2));
    assert_eq!(admission.entries.iter().map(|entry| split(&entry.events).unwrap().len()).sum::<usize>(), 3);
    assert!(admission
        .answers_json()
        .starts_with(r#"[{"ids":["1"]},{"problem":{"type":"urn:eventrunner:error:invalid-event""#));
}
