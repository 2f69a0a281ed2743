//! Which plan held when.

use serde::{Deserialize, Serialize};

use crate::limits::SUBSCRIPTION_CHANGES_MAX;
use crate::{Currency, Error, Period, Plan, Result, Time, Window};

/// A tenant's plans, one after the other: each holds from its time until the next one's. Before the first, nothing is
/// charged. All are in one currency, or a correction could not be added to a later invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Vec<Change>", into = "Vec<Change>")]
pub struct Subscription {
    changes: Vec<Change>,
}

/// A plan, and from when it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "SubscriptionChange"))]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// A whole minute, because that is how fine usage is known.
    pub effective_from: Time,
    pub plan: Plan,
}

// === impl Subscription ===

impl Subscription {
    pub fn new(effective_from: Time, plan: Plan) -> Result<Self> {
        Self::try_from(vec![Change { effective_from, plan }])
    }

    /// Lets `plan` hold from `effective_from` on, in place of whatever was to hold from then or later. A time before
    /// `now` is refused: what has been used has its price.
    pub fn change(&mut self, effective_from: Time, plan: Plan, now: Time) -> Result<()> {
        if effective_from < now {
            let what = format!("a plan can't take effect at {effective_from}, before now ({now})");
            return Err(Error::Subscription(what));
        }
        let kept = self.changes.iter().filter(|change| change.effective_from < effective_from).cloned();
        let changes: Vec<Change> = kept.chain([Change { effective_from, plan }]).collect();
        *self = Self::try_from(changes)?;
        Ok(())
    }

    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub fn plan_at(&self, time: Time) -> Option<&Plan> {
        self.changes.iter().rev().find(|change| change.effective_from <= time).map(|change| &change.plan)
    }

    /// The begin of the first plan.
    pub fn begins(&self) -> Time {
        self.changes.first().map_or(Time::MAX, |change| change.effective_from)
    }

    /// That of every plan.
    pub fn currency(&self) -> Option<Currency> {
        self.changes.first().map(|change| change.plan.currency())
    }

    /// The parts of `period` in which one plan holds, in order.
    pub fn parts(&self, period: Period) -> Vec<(Period, &Plan)> {
        let ends = self.changes.iter().skip(1).map(|change| change.effective_from).chain([Time::MAX]);
        self.changes
            .iter()
            .zip(ends)
            .filter_map(|(change, end)| {
                Some((Period::new(change.effective_from, end).ok()?.overlap(period)?, &change.plan))
            })
            .collect()
    }
}

impl TryFrom<Vec<Change>> for Subscription {
    type Error = Error;

    fn try_from(changes: Vec<Change>) -> Result<Self> {
        let fault = |what: String| Err(Error::Subscription(what));
        let Some(first) = changes.first() else { return fault("it has no plan".into()) };
        if changes.len() > SUBSCRIPTION_CHANGES_MAX {
            return fault(format!("it has more than {SUBSCRIPTION_CHANGES_MAX} plans"));
        }
        if let Some(change) = changes.iter().find(|change| !Window::Minute.begins_at(change.effective_from)) {
            return fault(format!("a plan takes effect at a whole minute, not at {}", change.effective_from));
        }
        if let Some([_, change]) =
            changes.array_windows::<2>().find(|[one, next]| one.effective_from >= next.effective_from)
        {
            return fault(format!("the plan from {} on does not come after the one before it", change.effective_from));
        }
        let currency = first.plan.currency();
        if let Some(change) = changes.iter().find(|change| change.plan.currency() != currency) {
            return fault(format!(
                "the plan from {} on is in {}, and the first is in {currency}",
                change.effective_from,
                change.plan.currency()
            ));
        }
        Ok(Subscription { changes })
    }
}

impl From<Subscription> for Vec<Change> {
    fn from(subscription: Subscription) -> Self {
        subscription.changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(&format!("2026-{text}:00Z")).unwrap()
    }

    fn plan(name: &str, currency: &str) -> Plan {
        Plan::from_json(&format!(r#"{{"name":"{name}","currency":"{currency}"}}"#)).unwrap()
    }

    fn parts(subscription: &Subscription) -> Vec<String> {
        let parts = subscription.parts(Period::month("2026-03").unwrap());
        parts.iter().map(|(part, plan)| format!("{} {part}", plan.name())).collect()
    }

    #[test]
    fn a_period_is_cut_where_plans_change() {
        let mut subscription = Subscription::new(at("02-10T00:00"), plan("a", "USD")).unwrap();
        assert_eq!(parts(&subscription), ["a 2026-03-01T00:00:00Z to 2026-04-01T00:00:00Z"]);
        subscription.change(at("03-10T12:30"), plan("b", "USD"), at("03-01T00:00")).unwrap();
        subscription.change(at("04-01T00:00"), plan("c", "USD"), at("03-01T00:00")).unwrap();
        let both = ["a 2026-03-01T00:00:00Z to 2026-03-10T12:30:00Z", "b 2026-03-10T12:30:00Z to 2026-04-01T00:00:00Z"];
        assert_eq!(parts(&subscription), both);
        assert_eq!(subscription.plan_at(at("03-10T12:30")).unwrap().name(), "b");
        assert_eq!(subscription.plan_at(at("02-09T23:59")), None);
        assert_eq!(subscription.parts(Period::month("2026-01").unwrap()), []);
    }

    #[test]
    fn a_change_never_touches_the_past_and_replaces_what_was_to_come() {
        let mut subscription = Subscription::new(at("03-01T00:00"), plan("a", "USD")).unwrap();
        let before = subscription.clone();
        assert!(subscription.change(at("03-10T00:00"), plan("b", "USD"), at("03-10T00:01")).is_err());
        assert!(subscription.change(at("03-20T00:00"), plan("b", "EUR"), at("03-10T00:00")).is_err());
        let late = Time::parse("2026-03-20T00:00:00.5Z").unwrap();
        assert!(subscription.change(late, plan("b", "USD"), at("03-10T00:00")).is_err());
        assert_eq!(subscription, before);
        subscription.change(at("03-20T00:00"), plan("b", "USD"), at("03-20T00:00")).unwrap();
        subscription.change(at("03-20T00:00"), plan("d", "USD"), at("03-10T00:00")).unwrap();
        assert_eq!((subscription.changes().len(), subscription.plan_at(at("03-20T00:00")).unwrap().name()), (2, "d"));
        subscription.change(at("03-15T00:00"), plan("c", "USD"), at("03-10T00:00")).unwrap();
        let both = ["a 2026-03-01T00:00:00Z to 2026-03-15T00:00:00Z", "c 2026-03-15T00:00:00Z to 2026-04-01T00:00:00Z"];
        assert_eq!(parts(&subscription), both);
    }

    #[test]
    fn what_is_stored_is_a_list_and_checked_when_read() {
        let one = r#"{"effective_from":"2026-03-01T00:00:00Z","plan":{"name":"a","currency":"USD","charges":[]}}"#;
        let subscription: Subscription = serde_json::from_str(&format!("[{one}]")).unwrap();
        assert_eq!(serde_json::to_string(&subscription).unwrap(), format!("[{one}]"));
        for (bad, says) in [
            ("[]".to_owned(), "no plan"),
            (format!("[{one},{one}]"), "does not come after"),
            (format!("[{one},{}]", one.replace("2026", "2027").replace("USD", "EUR")), "is in EUR"),
        ] {
            let error = serde_json::from_str::<Subscription>(&bad).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
