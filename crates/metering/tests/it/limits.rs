//! Every limit on both its sides, where no other test has it.

use er_metering::limits::{PLAN_CHARGES_MAX, PLAN_NAME_CHARS_MAX, PLAN_TIERS_MAX, SUBSCRIPTION_CHANGES_MAX};
use er_metering::{Plan, Subscription};
use proptest::prelude::*;

use crate::kit::read;

fn tiers(count: usize) -> String {
    let mut tiers: Vec<String> = (1..count).map(|up_to| format!(r#"{{"up_to":{up_to},"amount":"1"}}"#)).collect();
    tiers.push(r#"{"amount":"1"}"#.into());
    format!(
        r#"{{"name":"p","currency":"USD","charges":[{{"meter":"events_in","price":{{"volume":[{}]}}}}]}}"#,
        tiers.join(",")
    )
}

#[test]
fn a_plan_has_so_many_tiers_and_letters() {
    assert!(Plan::from_json(&tiers(PLAN_TIERS_MAX)).is_ok() && Plan::from_json(&tiers(PLAN_TIERS_MAX + 1)).is_err());
    let named = |letters: usize| Plan::from_json(&format!(r#"{{"name":"{}","currency":"USD"}}"#, "ä".repeat(letters)));
    assert!(named(PLAN_NAME_CHARS_MAX).is_ok() && named(PLAN_NAME_CHARS_MAX + 1).is_err());
    let charge = r#"{"meter":"events_in","price":{"per_unit":{"amount":"1"}}}"#;
    let charges = [charge; PLAN_CHARGES_MAX + 1].join(",");
    let error = Plan::from_json(&format!(r#"{{"name":"p","currency":"USD","charges":[{charges}]}}"#)).unwrap_err();
    assert_eq!(error.to_string(), "the plan is not valid: charges: there are 9; charge each meter once");
}

#[test]
fn a_subscription_has_so_many_plans() {
    let changes = |count: usize| {
        let change = |day: usize| {
            let (year, month) = (2000 + day / 12, day % 12 + 1);
            format!(r#"{{"effective_from":"{year}-{month:02}-01T00:00:00Z","plan":{{"name":"p","currency":"USD"}}}}"#)
        };
        serde_json::from_str::<Subscription>(&format!("[{}]", (0..count).map(change).collect::<Vec<_>>().join(",")))
    };
    assert_eq!(changes(SUBSCRIPTION_CHANGES_MAX).unwrap().changes().len(), SUBSCRIPTION_CHANGES_MAX);
    assert!(changes(SUBSCRIPTION_CHANGES_MAX + 1).unwrap_err().to_string().contains("more than 1024"));
}

proptest! {
    #[test]
    fn a_plan_with_anything_in_it_is_refused_or_good_and_never_a_panic(
        place: prop::sample::Index, length in 0..12_usize, put in "[-0-9.{}\",:\\[\\]a-z]{0,12}",
    ) {
        let good = read("tests/data/subscription.json");
        let from = place.index(good.len() - length);
        let text = format!("{}{put}{}", &good[..from], &good[from + length..]);
        if let Ok(subscription) = serde_json::from_str::<Subscription>(&text) {
            let again = serde_json::to_string(&subscription).unwrap();
            prop_assert_eq!(serde_json::from_str::<Subscription>(&again).unwrap(), subscription);
        }
    }
}
