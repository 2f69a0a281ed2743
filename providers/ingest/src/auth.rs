//! Who is calling: API keys, asked of the ingest component and believed for a short while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use er_event::{keys, Kind, Problem};
use er_tenant::Principal;
use tokio::sync::Mutex as AsyncMutex;

use crate::admission::Admission;

/// Keys remembered at once; beyond that the cache starts anew rather than grow.
const KEYS_MAX: usize = 10_000;

/// What is known of one key. The inner lock lets one caller ask while the others wait for its answer.
type Slot = Arc<AsyncMutex<Option<(Instant, Result<Arc<Principal>, Problem>)>>>;

/// The cache of decided keys, by the key's hash: the key itself is never kept.
#[derive(Default)]
pub struct Keys {
    slots: Mutex<HashMap<String, Slot>>,
}

// === impl Keys ===

impl Keys {
    /// Decides a key.
    ///
    /// # Errors
    /// 401 for a key that opens nothing; 503 or 504 when nobody could be asked.
    pub async fn principal(
        &self,
        admission: &Admission,
        api_key: &str,
        ttl: Duration,
    ) -> Result<Arc<Principal>, Problem> {
        if keys::parse(api_key).is_none() {
            return Err(refused());
        }
        let slot = {
            let mut slots = lock(&self.slots);
            if slots.len() >= KEYS_MAX {
                slots.clear();
            }
            Arc::clone(slots.entry(keys::hash(api_key)).or_default())
        };
        let mut known = slot.lock().await;
        if let Some((at, answer)) = known.as_ref() {
            if at.elapsed() < ttl {
                return answer.clone();
            }
        }
        let answer = match admission.authenticate(api_key).await {
            Ok(principal) => Ok(Arc::new(principal)),
            Err(problem) if problem.kind == Kind::Unauthorized => Err(refused()),
            // Not an answer, so not remembered.
            Err(problem) => return Err(problem),
        };
        *known = Some((Instant::now(), answer.clone()));
        answer
    }
}

/// The same words whatever is wrong with the key.
pub fn refused() -> Problem {
    Problem::new(Kind::Unauthorized, "the API key is missing or opens nothing")
        .mend("Send `Authorization: Bearer <key>` or `X-API-Key: <key>`; keys come from POST /api/v1/keys.")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
