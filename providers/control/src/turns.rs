//! Who is next: one worker of a consumer at a time, and one trial of a tenant.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use crate::Error;

/// A turn for each name.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// Places for trials. A tenant has one of them, or waits for one, but not for more at once: whoever has many trials holds
/// up a neighbour's for one.
pub struct Trials {
    places: Arc<Semaphore>,
    tenants: Turns,
}

/// A trial's, for as long as it is kept.
pub struct Place {
    _place: OwnedSemaphorePermit,
    _turn: OwnedMutexGuard<()>,
}

// === impl Turns ===

impl Turns {
    pub fn of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock();
        // Those that nobody waits for are dropped, or there would be one for each that ever was.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(name.to_owned()).or_default())
    }
}

// === impl Trials ===

impl Trials {
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), tenants: Turns::default() }
    }

    pub async fn place(&self, tenant: &str) -> Result<Place, Error> {
        let turn = self.tenants.of(tenant).lock_owned().await;
        let place = Arc::clone(&self.places).acquire_owned().await;
        Ok(Place { _place: place.map_err(|e| Error::Internal(e.to_string()))?, _turn: turn })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenant_with_many_trials_holds_up_a_neighbour_for_one() {
        let trials = Arc::new(Trials::new(1));
        let order = Arc::new(Mutex::new(Vec::new()));
        let running = trials.place("acme").await.unwrap();
        let mut waiting = Vec::new();
        for tenant in ["acme", "acme", "acme", "globex"] {
            let (trials, order) = (Arc::clone(&trials), Arc::clone(&order));
            waiting.push(tokio::spawn(async move {
                let _place = trials.place(tenant).await.unwrap();
                order.lock().push(tenant);
            }));
            // It waits before the next one does.
            tokio::task::yield_now().await;
        }
        drop(running);
        for one in waiting {
            one.await.unwrap();
        }
        assert_eq!(*order.lock(), ["globex", "acme", "acme", "acme"]);
    }

    #[test]
    fn a_turn_that_nobody_has_or_waits_for_is_forgotten() {
        let turns = Turns::default();
        let kept = turns.of("a");
        drop(turns.of("b"));
        let again = turns.of("a");
        assert!(Arc::ptr_eq(&kept, &again));
        assert_eq!(turns.0.lock().len(), 1);
    }
}
