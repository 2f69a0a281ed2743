//! How many events a tenant may send: a token bucket each, in events.

use std::collections::HashMap;
use std::time::Instant;

use er_tenant::Quota;
use parking_lot::Mutex;

/// Buckets kept at once. A tenant whose bucket is forgotten starts with a full one.
const TENANTS_MAX: usize = 100_000;

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Where a tenant with a quota stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Events that may go at once.
    pub burst: u64,
    /// Seconds in which as many come again.
    pub window_s: u64,
    pub left: u64,
    /// Seconds until there are more, or all of them again.
    pub reset_s: u64,
}

/// Token buckets by tenant.
#[derive(Debug, Default)]
pub struct Quotas {
    buckets: Mutex<HashMap<String, Bucket>>,
    /// Events a second of a tenant that has no quota of its own; 0: as many as it likes.
    others_per_s: u32,
}

// === impl Quotas ===

impl Quotas {
    pub fn new(others_per_s: u32) -> Self {
        Self { others_per_s, ..Self::default() }
    }

    /// Whether the tenant may send now. How many events a request holds is known only after it was admitted, so
    /// that one request may overdraw; the debt is paid before the next passes.
    ///
    /// # Errors
    /// Milliseconds until it may.
    pub fn check(&self, tenant: &str, quota: &Quota, now: Instant) -> Result<(), u32> {
        let Some((rate, burst)) = self.limits(quota) else {
            return Ok(());
        };
        self.with(tenant, burst, |bucket| {
            bucket.earn(rate, burst, now);
            if bucket.tokens >= 1.0 {
                return Ok(());
            }
            let wait_s = (1.0 - bucket.tokens) / rate;
            Err((wait_s * 1000.0).ceil().min(f64::from(u32::MAX)) as u32)
        })
    }

    /// Charges events that were admitted.
    pub fn charge(&self, tenant: &str, quota: &Quota, events: usize) {
        if let Some((_, burst)) = self.limits(quota) {
            self.with(tenant, burst, |bucket| bucket.tokens -= events as f64);
        }
    }

    /// None for who has no quota.
    pub fn standing(&self, tenant: &str, quota: &Quota, now: Instant) -> Option<Standing> {
        let (rate, burst) = self.limits(quota)?;
        let tokens = self.with(tenant, burst, |bucket| {
            bucket.earn(rate, burst, now);
            bucket.tokens
        });
        let wanted = if tokens < 1.0 { 1.0 } else { burst };
        Some(Standing {
            burst: burst as u64,
            window_s: ((burst / rate).ceil() as u64).max(1),
            left: tokens.max(0.0) as u64,
            reset_s: ((wanted - tokens) / rate).ceil().max(0.0) as u64,
        })
    }

    /// Events a second, and at once.
    fn limits(&self, quota: &Quota) -> Option<(f64, f64)> {
        let own = quota.events_per_s.map(|rate| (rate, quota.burst.unwrap_or(rate)));
        let (rate, burst) = own.unwrap_or((self.others_per_s, self.others_per_s));
        (rate > 0).then(|| (f64::from(rate), f64::from(burst.max(1))))
    }

    fn with<R>(&self, tenant: &str, burst: f64, f: impl FnOnce(&mut Bucket) -> R) -> R {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= TENANTS_MAX {
            buckets.clear();
        }
        let bucket = buckets.entry(tenant.to_string()).or_insert_with(|| Bucket { tokens: burst, at: Instant::now() });
        f(bucket)
    }
}

// === impl Bucket ===

impl Bucket {
    fn earn(&mut self, rate: f64, burst: f64, now: Instant) {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        self.tokens = (self.tokens + earned).min(burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn quota(events_per_s: u32, burst: u32) -> Quota {
        Quota { events_per_s: Some(events_per_s), burst: Some(burst), keep_h: None }
    }

    #[test]
    fn a_tenant_without_a_quota_is_never_held_up() {
        let quotas = Quotas::default();
        let free = Quota::default();
        quotas.charge("t", &free, 1_000_000);
        assert_eq!(quotas.check("t", &free, Instant::now()), Ok(()));
    }

    #[test]
    fn a_tenant_without_a_quota_may_have_that_of_all_others() {
        let (quotas, start) = (Quotas::new(50), Instant::now());
        quotas.charge("t", &Quota::default(), 75);
        assert!((500..=540).contains(&quotas.check("t", &Quota::default(), start).unwrap_err()));
        assert_eq!(quotas.standing("t", &Quota::default(), start).map(|standing| standing.burst), Some(50));
        // Its own is its own.
        assert_eq!(quotas.standing("own", &quota(100, 200), start).map(|standing| standing.burst), Some(200));
    }

    #[test]
    fn a_debt_is_paid_before_the_next_request_passes() {
        let quotas = Quotas::default();
        let quota = quota(100, 10);
        let start = Instant::now();
        assert_eq!(quotas.check("t", &quota, start), Ok(()));
        quotas.charge("t", &quota, 60);
        let wait = quotas.check("t", &quota, start).unwrap_err();
        assert!((500..=520).contains(&wait), "{wait}");
        let later = start + Duration::from_millis(u64::from(wait) + 1);
        assert_eq!(quotas.check("t", &quota, later), Ok(()));
        assert_eq!(quotas.check("other", &quota, start), Ok(()));
    }

    #[test]
    fn where_a_tenant_stands_is_what_it_may_do_next() {
        let quotas = Quotas::default();
        let (quota, start) = (quota(10, 100), Instant::now());
        let standing = |now| quotas.standing("t", &quota, now).unwrap();
        assert_eq!(standing(start), Standing { burst: 100, window_s: 10, left: 100, reset_s: 0 });
        quotas.charge("t", &quota, 70);
        assert_eq!(standing(start), Standing { burst: 100, window_s: 10, left: 30, reset_s: 7 });
        quotas.charge("t", &quota, 50);
        // Twenty are owed, and one more must be there.
        assert_eq!(standing(start), Standing { burst: 100, window_s: 10, left: 0, reset_s: 3 });
        assert_eq!(standing(start + Duration::from_secs(3)).left, 10);
        assert_eq!(quotas.standing("t", &Quota::default(), start), None);
    }

    #[test]
    fn ten_times_the_quota_gets_the_quota_and_the_neighbour_its_own() {
        let quotas = Quotas::default();
        let quota = quota(10, 10);
        let start = Instant::now();
        let round = |tenant: &str, times: u32, n: u32| {
            let now = start + Duration::from_millis(100) * n;
            (0..times)
                .filter(|_| {
                    let may = quotas.check(tenant, &quota, now).is_ok();
                    if may {
                        quotas.charge(tenant, &quota, 1);
                    }
                    may
                })
                .count()
        };
        let (mut greedy, mut neighbour) = (0, 0);
        for n in 0..100 {
            greedy += round("greedy", 10, n);
            neighbour += round("neighbour", 1, n);
        }
        // A burst of ten, and ten a second for the 9.9 s after the first round.
        assert!((105..=110).contains(&greedy), "{greedy}");
        assert_eq!(neighbour, 100);
    }
}
