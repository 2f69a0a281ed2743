//! Events that rules changed or made: the checks of what comes from outside, once more.

use super::emitted::sentence;
use super::structured::one;

/// Whether the event is one that the platform would let in; of the types that are the platform's own, it may keep the one
/// that it had, `before`. The error is one sentence for whoever wrote the rule.
pub fn check_ruled(event: &str, before: Option<&str>) -> Result<(), String> {
    let checked = one(event).and_then(|mut event| {
        event.complete(true)?;
        match event.own_type.take() {
            Some(problem) if event.event_type.as_deref() != before => Err(problem),
            _ => Ok(()),
        }
    });
    checked.map_err(|problem| sentence(&problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one() {
        assert_eq!(check_ruled(r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":[1]}"#, None), Ok(()));
        let mapped = r#"{"specversion":"1.0","id":"1","source":"/s","type":"io.eventrunner.json","data":[1]}"#;
        assert_eq!(check_ruled(mapped, Some("io.eventrunner.json")), Ok(()));
        assert!(check_ruled(mapped, Some("t")).is_err());
        for (event, what) in [
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":""}"#, "`type` is empty"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":7}"#, "`type`"),
            (r#"{"specversion":"1.0","id":"1","source":"/s"}"#, "`type` is missing"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":"io.eventrunner.raw"}"#, "the platform's own"),
            (r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","No":"x"}"#, "attribute's name"),
        ] {
            let said = check_ruled(event, Some("t")).unwrap_err();
            assert!(said.contains(what), "{said}");
        }
    }
}
