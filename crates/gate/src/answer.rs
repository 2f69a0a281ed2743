//! Refusals in the words of the interface that was asked.

use bytes::Bytes;
use serde::Serialize;
use wadm_types::api::{DeployModelResponse, DeployResult, PutModelResponse, PutResult};
use wasmcloud_control_interface::CtlResponse;

use crate::judge::Verdict;

/// `refused by policy: <reason> (policy <revision>)`; of several refusals each stands on a line of its own.
#[must_use]
pub fn text(verdict: &Verdict) -> String {
    let policy = match &*verdict.revision {
        "" => String::new(),
        revision => format!(" (policy {revision})"),
    };
    match verdict.refusals.as_slice() {
        [one] => format!("refused by policy: {}: {}{policy}", one.about, one.reason),
        many => {
            let lines: Vec<String> = many.iter().map(|one| format!("\n- {}: {}", one.about, one.reason)).collect();
            format!("refused by policy{policy}:{}", lines.concat())
        }
    }
}

/// As a host answers what it could not do.
#[must_use]
pub fn control(message: &str) -> Bytes {
    json(&CtlResponse::<()>::error(message))
}

/// As wadm answers a manifest that it does not take.
#[must_use]
pub fn put(message: &str) -> Bytes {
    json(&PutModelResponse {
        result: PutResult::Error,
        total_versions: 0,
        current_version: String::new(),
        message: message.to_owned(),
        name: String::new(),
    })
}

/// As wadm answers a deployment that it does not make.
#[must_use]
pub fn deploy(name: &str, message: &str) -> Bytes {
    json(&DeployModelResponse {
        result: DeployResult::Error,
        message: message.to_owned(),
        name: name.to_owned(),
        version: None,
    })
}

/// What all of wadm's answers have in common, and what whoever asks for versions must find to read the message at all.
#[must_use]
pub fn wadm(message: &str) -> Bytes {
    json(&serde_json::json!({ "result": "error", "message": message, "versions": [] }))
}

/// To a host's question whether something may start. A refusal has no `permitted`: a host remembers answers for ever, and
/// what is refused today may be allowed tomorrow. One that it can't read it takes as a refusal, and asks again.
#[must_use]
pub fn start(request_id: &str, message: Result<(), &str>) -> Bytes {
    match message {
        Ok(()) => json(&serde_json::json!({ "requestId": request_id, "permitted": true })),
        Err(message) => json(&serde_json::json!({ "requestId": request_id, "message": message })),
    }
}

fn json(answer: &impl Serialize) -> Bytes {
    // What can't be written can't be read either: a refusal all the same.
    serde_json::to_vec(answer).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;
    use crate::judge::Refusal;

    fn verdict(refusals: &[(&str, &str)], revision: &str) -> Verdict {
        let refusal = |(about, reason): &(&str, &str)| Refusal { about: (*about).into(), reason: (*reason).into() };
        Verdict { refusals: refusals.iter().map(refusal).collect(), revision: revision.into() }
    }

    fn read(answer: &Bytes) -> Value {
        serde_json::from_slice(answer).unwrap()
    }

    #[test]
    fn one_refusal_is_a_sentence_and_many_are_a_list() {
        let one = verdict(&[("link a/b -> c/d (kv)", "nothing allows it")], "12.34");
        assert_eq!(text(&one), "refused by policy: link a/b -> c/d (kv): nothing allows it (policy 12.34)");
        let two = verdict(&[("link x", "no"), ("component y", "never")], "12.34");
        assert_eq!(text(&two), "refused by policy (policy 12.34):\n- link x: no\n- component y: never");
        assert_eq!(text(&verdict(&[("x", "no policy is loaded")], "")), "refused by policy: x: no policy is loaded");
    }

    #[test]
    fn each_interface_is_answered_in_its_own_words() {
        assert_eq!(read(&control("no")), json!({"success": false, "message": "no"}));
        let put = read(&put("no"));
        assert_eq!((&put["result"], &put["message"]), (&json!("error"), &json!("no")));
        let deploy = read(&deploy("app", "no"));
        assert_eq!(
            (&deploy["result"], &deploy["message"], &deploy["name"]),
            (&json!("error"), &json!("no"), &json!("app"))
        );
        assert_eq!(read(&start("1", Ok(()))), json!({"requestId": "1", "permitted": true}));
    }

    #[test]
    fn a_host_does_not_remember_a_refused_start() {
        assert_eq!(read(&start("1", Err("no"))).get("permitted"), None);
    }
}
