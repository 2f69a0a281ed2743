//! Events that rules changed or made: the checks of what comes from outside, once more.

use super::emitted::sentence;
use super::structured::one;

/// Whether the event is one that the platform would let in. The error is one sentence for whoever wrote the rule.
pub fn check_ruled(event: &str) -> Result<(), String> {
    one(event).and_then(|event| event.complete(true)).map_err(|problem| sentence(&problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one() {
        assert_eq!(check_ruled(r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":[1]}"#), Ok(()));
        for (event, what) in [
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":""}"#, "`type` is empty"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":7}"#, "`type`"),
            (r#"{"specversion":"1.0","id":"1","source":"/s"}"#, "`type` is missing"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":"io.eventrunner.raw"}"#, "the platform's own"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","No":"x"}"#, "attribute's name"),
        ] {
            let said = check_ruled(event).unwrap_err();
            assert!(said.contains(what), "{said}");
        }
    }
}
