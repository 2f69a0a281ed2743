//! Decisions that were made, by the question's text. Bounded: two generations, of which the older is dropped whole when
//! the younger is full, so that what is asked again and again stays and nothing else has to be counted.

use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::Decision;

/// So that threads seldom wait for each other.
const SHARDS: usize = 16;

/// Belongs to one revision: there is nothing to make invalid, it is dropped with what made it.
#[derive(Debug)]
pub struct Cache {
    /// Keyed anew in each process: what clients send must not choose who collides.
    hasher: RandomState,
    shards: Vec<Mutex<Generations>>,
    generation_max: usize,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Box<str>, Arc<Decision>>,
    old: HashMap<Box<str>, Arc<Decision>>,
}

// === impl Cache ===

impl Cache {
    /// Remembers at most `decisions`.
    pub fn new(decisions: usize) -> Self {
        // Fewer than that are not worth sharing out, and the bound is kept exactly.
        let shards = if decisions < 4 * SHARDS { 1 } else { SHARDS };
        Self {
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            generation_max: decisions / shards / 2,
        }
    }

    pub fn get(&self, question: &str) -> Option<Arc<Decision>> {
        let mut shard = self.shard(question)?;
        if let Some(decision) = shard.young.get(question) {
            return Some(Arc::clone(decision));
        }
        let (question, decision) = shard.old.remove_entry(question)?;
        shard.insert(question, Arc::clone(&decision), self.generation_max);
        Some(decision)
    }

    pub fn put(&self, question: &str, decision: &Arc<Decision>) {
        if self.generation_max > 0 {
            if let Some(mut shard) = self.shard(question) {
                shard.insert(question.into(), Arc::clone(decision), self.generation_max);
            }
        }
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock()).map(|shard| shard.young.len() + shard.old.len()).sum()
    }

    fn shard(&self, question: &str) -> Option<MutexGuard<'_, Generations>> {
        let hash = self.hasher.hash_one(question) as usize;
        self.shards.get(hash % self.shards.len()).map(Mutex::lock)
    }
}

// === impl Generations ===

impl Generations {
    fn insert(&mut self, question: Box<str>, decision: Arc<Decision>, generation_max: usize) {
        if self.young.len() >= generation_max && !self.young.contains_key(&question) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(question, decision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(reason: &str) -> Arc<Decision> {
        Arc::new(Decision { allow: true, reason: reason.into(), revision: "r".into(), failure: None })
    }

    #[test]
    fn what_was_put_is_found_and_nothing_else() {
        let cache = Cache::new(100);
        cache.put("a", &decision("a"));
        cache.put("b", &decision("b"));
        assert_eq!(cache.get("a").unwrap().reason, "a");
        assert_eq!(cache.get("b").unwrap().reason, "b");
        assert!(cache.get("c").is_none());
    }

    #[test]
    fn it_never_holds_more_than_it_may() {
        for max in [0, 1, 2, 10, 64, 1000] {
            let cache = Cache::new(max);
            for n in 0..5_000 {
                cache.put(&n.to_string(), &decision("x"));
                assert!(cache.len() <= max, "{} of {max}", cache.len());
            }
        }
    }

    #[test]
    fn what_is_asked_again_and_again_stays() {
        let cache = Cache::new(10);
        cache.put("often", &decision("x"));
        for n in 0..1_000 {
            cache.put(&n.to_string(), &decision("x"));
            assert!(cache.get("often").is_some(), "after {n}");
        }
    }
}
