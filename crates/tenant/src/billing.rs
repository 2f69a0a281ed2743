//! Where plans, subscriptions and invoices rest. Owns: keys. Does not own: what they say (crate `er-metering`).

/// Bucket of all that billing keeps.
pub const BILLING_BUCKET: &str = "ER_BILLING";
/// Every plan that is on offer, as a filter over [`BILLING_BUCKET`].
pub const EVERY_PLAN: &str = "plan.*";
/// Every tenant's subscription, as a filter over [`BILLING_BUCKET`].
pub const EVERY_SUBSCRIPTION: &str = "subscription.*";
/// The end of the last month that is closed for every tenant, and how far the next one is.
pub const CLOSED_PATH: &str = "closed";
/// A plan's name as a key.
pub const PLAN_KEY_CHARS_MAX: usize = 40;

/// Where a plan on offer rests.
pub fn plan_path(name: &str) -> String {
    format!("plan.{name}")
}

/// Where a tenant's plans rest, one after the other.
pub fn subscription_path(tenant: &str) -> String {
    format!("subscription.{tenant}")
}

/// Whose subscription rests there.
pub fn tenant_of_subscription(key: &str) -> Option<&str> {
    key.strip_prefix("subscription.")
}

/// Where an invoice rests. In the order of keys a tenant's invoices are in the order of time.
pub fn invoice_path(tenant: &str, month: &str, sequence: u32) -> String {
    format!("invoice.{tenant}.{month}.{sequence:06}")
}

/// Every invoice of a tenant, as a filter over [`BILLING_BUCKET`].
pub fn invoices_of(tenant: &str) -> String {
    format!("invoice.{tenant}.*.*")
}

/// Whether a plan may be on offer under this name: what a key may be made of, and a URL.
pub fn valid_plan_key(name: &str) -> bool {
    (1..=PLAN_KEY_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invoices_are_in_the_order_of_time() {
        let paths = [("2025-12", 2), ("2026-01", 1), ("2026-01", 9), ("2026-01", 10)];
        let paths = paths.map(|(month, sequence)| invoice_path("acme", month, sequence));
        assert!(paths.is_sorted(), "{paths:?}");
    }

    #[test]
    fn a_plan_is_named_by_what_a_key_may_be_made_of() {
        for (name, good) in
            [("team", true), ("team-2", true), ("", false), ("Team", false), ("a.b", false), ("a*", false)]
        {
            assert_eq!(valid_plan_key(name), good, "{name}");
        }
        assert!(
            valid_plan_key(&"a".repeat(PLAN_KEY_CHARS_MAX)) && !valid_plan_key(&"a".repeat(PLAN_KEY_CHARS_MAX + 1))
        );
    }
}
