//! Who may call the engine: fewer at once than it has instances, and whose calls don't end in time only beside their like.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ack;

/// Calls of all shards at once, of those whose last call ended in time.
const QUICK_MAX: usize = 16;
/// Calls at once of those whose last did not, of each tenant one. Together they are well below the engine's instances (32 in the
/// manifests): it is probed and read from as well, and is for a while at calls that nobody waits for any more.
const OVERDUE_MAX: usize = 4;
/// How long a call may go on after nobody waits for it any more: until its host's execution limit (30 s). The first times it may
/// be a part that stands still for a moment.
const LINGERS_MIN: Duration = Duration::from_secs(5);
const LINGERS_MAX: Duration = Duration::from_secs(25);

/// Permits to call the engine. A clone is a handle to the same.
#[derive(Debug, Clone)]
pub struct Permits {
    quick: Arc<Semaphore>,
    overdue: Arc<Semaphore>,
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    /// By tenant and shard: how many calls in a row did not end in time.
    overdue: HashMap<(String, u32), u64>,
    /// One at a time of each tenant.
    own: HashMap<String, Weak<Semaphore>>,
}

/// A call that may be made.
#[derive(Debug)]
pub struct Permit {
    permits: Permits,
    tenant: String,
    shard: u32,
    /// Where its last call did not end in time: its turn among the tenant's own.
    own: Option<OwnedSemaphorePermit>,
    turn: Option<OwnedSemaphorePermit>,
}

// === impl Permits ===

impl Default for Permits {
    fn default() -> Self {
        let of = |calls| Arc::new(Semaphore::new(calls));
        Self { quick: of(QUICK_MAX), overdue: of(OVERDUE_MAX), table: Arc::default() }
    }
}

impl Permits {
    /// Waits until a tenant's batch of a shard may be given to the engine.
    pub async fn begin(&self, tenant: &str, shard: u32) -> Permit {
        let own = self.table.lock().own(tenant, shard);
        // None of them is ever closed.
        let own = match own {
            None => None,
            Some(own) => own.acquire_owned().await.ok(),
        };
        let all = if own.is_some() { &self.overdue } else { &self.quick };
        let turn = Arc::clone(all).acquire_owned().await.ok();
        Permit { permits: self.clone(), tenant: tenant.to_owned(), shard, own, turn }
    }
}

// === impl Table ===

impl Table {
    /// None where its last call ended in time.
    fn own(&mut self, tenant: &str, shard: u32) -> Option<Arc<Semaphore>> {
        self.overdue.get(&(tenant.to_owned(), shard))?;
        self.own.retain(|_, own| own.strong_count() > 0);
        let there = self.own.get(tenant).and_then(Weak::upgrade);
        Some(there.unwrap_or_else(|| {
            let own = Arc::new(Semaphore::new(1));
            self.own.insert(tenant.to_owned(), Arc::downgrade(&own));
            own
        }))
    }

    /// Notes how a call ended, and how many before it did not end in time.
    fn note(&mut self, tenant: &str, shard: u32, overdue: bool) -> u64 {
        let key = (tenant.to_owned(), shard);
        if !overdue {
            return self.overdue.remove(&key).unwrap_or_default();
        }
        let times = self.overdue.entry(key).or_default();
        *times += 1;
        *times - 1
    }
}

// === impl Permit ===

impl Permit {
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The call ended. `overdue`: it is not waited for any more, and may go on.
    pub fn end(self, overdue: bool) {
        let before = self.permits.table.lock().note(&self.tenant, self.shard, overdue);
        // The first may be an answer that was lost, or a part that stood still: others are not made to wait for it.
        if overdue && self.own.is_some() {
            tokio::spawn(async move {
                tokio::time::sleep(ack::backoff(LINGERS_MIN, LINGERS_MAX, before)).await;
                drop((self.own, self.turn));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn now(permits: &Permits, tenant: &str, shard: u32) -> Option<Permit> {
        permits.begin(tenant, shard).now_or_never()
    }

    #[tokio::test(start_paused = true)]
    async fn whose_calls_do_not_end_in_time_have_one_at_a_time_and_leave_the_rest_to_others() {
        let permits = Permits::default();
        for shard in 0..4 {
            now(&permits, "slow", shard).unwrap().end(true);
        }
        let first = now(&permits, "slow", 0).unwrap();
        assert!(now(&permits, "slow", 1).is_none(), "one of a tenant");
        first.end(true);
        assert!(now(&permits, "slow", 1).is_none(), "it may be at it still");
        let quick: Vec<Permit> = (0..QUICK_MAX).filter_map(|n| now(&permits, &n.to_string(), 0)).collect();
        assert_eq!(quick.len(), QUICK_MAX);
        assert!(now(&permits, "other", 0).is_none());
        let second = permits.begin("slow", 1).await;
        second.end(false);
        drop(quick);
        assert!(permits.begin("slow", 1).await.own.is_none(), "it ended in time");
        assert!(permits.begin("slow", 0).await.own.is_some(), "that shard's did not");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_waited_for_the_longer_the_more_often_it_did_not_end() {
        let permits = Permits::default();
        let mut waited = Vec::new();
        for _ in 0..6 {
            let began = tokio::time::Instant::now();
            permits.begin("slow", 0).await.end(true);
            waited.push(began.elapsed().as_secs());
        }
        assert_eq!(waited, [0, 0, 5, 10, 20, 25]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_with_such_calls_are_few_at_once() {
        let permits = Permits::default();
        let tenants: Vec<String> = (0..=OVERDUE_MAX).map(|n| n.to_string()).collect();
        tenants.iter().for_each(|tenant| now(&permits, tenant, 0).unwrap().end(true));
        let mut under_way: Vec<Permit> = tenants.iter().filter_map(|tenant| now(&permits, tenant, 0)).collect();
        assert_eq!(under_way.len(), OVERDUE_MAX);
        under_way.pop().unwrap().end(false);
        assert!(now(&permits, &tenants[OVERDUE_MAX], 0).is_some());
        assert!(permits.table.lock().own.len() <= OVERDUE_MAX + 1);
    }
}
