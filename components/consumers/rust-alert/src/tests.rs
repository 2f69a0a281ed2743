use super::*;

fn event(event_type: &str, data: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"d-1","source":"https://github.com/octo/hello","subject":"octo","type":"{event_type}","data":{data}}}"#
    )
}

fn finding(event_type: &str, data: &str) -> Option<(String, String, String)> {
    let data: Box<RawValue> = serde_json::from_str(data).unwrap();
    let finding = github::look_at(event_type, Some(&data)).unwrap()?;
    Some((finding.severity.to_string(), finding.title, finding.url))
}

const REPOSITORY: &str = r#""repository":{"full_name":"octo/hello","html_url":"https://github.com/octo/hello"}"#;

#[test]
fn failed_runs_are_worth_an_alert_and_others_are_not() {
    let run = |conclusion: &str| {
        let data = format!(
            r#"{{"action":"completed","workflow_run":{{"name":"CI","conclusion":{conclusion},"html_url":"https://run"}},{REPOSITORY}}}"#
        );
        finding("com.github.workflow_run.completed", &data)
    };
    assert_eq!(run(r#""failure""#), Some(("medium".into(), "octo/hello: CI failed".into(), "https://run".into())));
    assert_eq!(run(r#""success""#), None);
    assert_eq!(run("null"), None);
}

#[test]
fn each_kind_of_danger_is_seen() {
    let seen = |event_type: &str, data: &str| {
        finding(&format!("com.github.{event_type}"), &format!("{{{data},{REPOSITORY}}}")).unwrap().0
    };
    assert_eq!(seen("check_run.completed", r#""check_run":{"name":"lint","conclusion":"timed_out"}"#), "medium");
    let advisory = r#""alert":{"html_url":"u","security_advisory":{"summary":"s","severity":"critical"}}"#;
    assert_eq!(seen("dependabot_alert.created", advisory), "critical");
    assert_eq!(seen("secret_scanning_alert.created", r#""alert":{"secret_type":"github_token"}"#), "critical");
    let rule = r#""alert":{"html_url":"u","rule":{"description":"d","security_severity_level":"high"}}"#;
    assert_eq!(seen("code_scanning_alert.created", rule), "high");
    assert_eq!(seen("branch_protection_rule.deleted", r#""rule":{"name":"main"}"#), "high");
    assert_eq!(seen("repository.publicized", r#""action":"publicized""#), "high");
    assert_eq!(seen("push", r#""forced":true,"ref":"refs/heads/main","compare":"https://c""#), "low");
}

#[test]
fn everyday_events_and_our_own_alerts_are_left_alone() {
    assert_eq!(finding("com.github.push", &format!(r#"{{"forced":false,"ref":"r",{REPOSITORY}}}"#)), None);
    assert_eq!(finding("com.github.star.created", "{}"), None);
    assert_eq!(finding("alert", r#"{"severity":"high"}"#), None);
    assert!(matches!(github::look_at("com.github.push", None), Ok(None)));
}

#[test]
fn one_bad_event_fails_alone() {
    let batch = format!(
        "[{},{},{}]",
        event("com.github.star.created", "1"),
        event("com.github.push", r#"{"forced":"yes"}"#),
        r#"{"id":"d-2","type":7}"#
    );
    let (alerts, failures) = look_through(&batch).unwrap();
    assert_eq!(alerts, None);
    let ids: Vec<_> = failures.iter().map(|failure| failure.id.as_str()).collect();
    assert_eq!(ids, ["d-1", "d-2"]);
    assert!(look_through("{").is_err());
}

// `alert` also logs, which only a host can do: its JSON is tried here without.
#[test]
fn an_alert_names_the_event_it_comes_from() {
    let alert = AlertEvent {
        r#type: "alert",
        source: SOURCE,
        id: "https://github.com/octo/hello#d-1".into(),
        subject: None,
        data: Data {
            finding: Finding { severity: github::Severity::High, title: "t".into(), url: "u".into() },
            event: Origin { r#type: "com.github.push", source: "https://github.com/octo/hello", id: "d-1" },
        },
    };
    assert_eq!(
        serde_json::to_string(&alert).unwrap(),
        r#"{"type":"alert","source":"/consumers/rust-alert","id":"https://github.com/octo/hello#d-1","data":{"severity":"high","title":"t","url":"u","event":{"type":"com.github.push","source":"https://github.com/octo/hello","id":"d-1"}}}"#
    );
}
