//! Who is calling: API keys and tokens of the gateway, asked of the ingest component and believed for a short while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::http::{header, HeaderMap, HeaderName};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use er_event::{keys, Kind, Problem};
use er_tenant::Principal;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};

use crate::admission::Admission;

/// Keys remembered at once. Beyond that only good ones stay, and beyond that the cache starts anew rather than grow.
const KEYS_MAX: usize = 10_000;
/// Keys asked about at once: whoever invents keys must not keep the ingest component from taking events.
const QUESTIONS_MAX: usize = 2;

/// How long a caller waits for its key's turn to be asked about.
const TURN_WITHIN: Duration = Duration::from_secs(2);
const SHED_RETRY_MS: u32 = 1_000;

/// Until when it is believed, and what it is.
type Answer = (Instant, Result<Arc<Principal>, Problem>);

/// What callers are told without asking.
#[derive(Default)]
struct Known {
    answer: Option<Answer>,
    /// When nobody could be asked last, and why.
    failure: Option<(Instant, Problem)>,
}

/// What is known of one key.
#[derive(Default)]
struct Slot {
    /// The lock lets one caller ask while the others wait for its answer.
    known: AsyncMutex<Known>,
    /// The last answer was that it is good.
    good: AtomicBool,
}

/// What a caller shows, as far as it can be told without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Key,
    /// A JWT, good until then if it is good at all.
    Token {
        expires: Option<u64>,
    },
}

/// The cache of decided keys, by the key's hash: the key itself is never kept.
pub struct Keys {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    questions: Semaphore,
    /// Those about keys that were good: they don't stand in line with invented ones.
    again: Semaphore,
}

// === impl Keys ===

impl Default for Keys {
    fn default() -> Self {
        let questions = || Semaphore::new(QUESTIONS_MAX);
        Self { slots: Mutex::default(), questions: questions(), again: questions() }
    }
}

impl Keys {
    /// Decides a key or a token.
    ///
    /// # Errors
    /// 401 for a key that opens nothing; 503 or 504 when nobody could be asked.
    pub async fn principal(
        &self,
        admission: &Admission,
        api_key: &str,
        ttl: Duration,
    ) -> Result<Arc<Principal>, Problem> {
        let shape = Shape::of(api_key).ok_or_else(refused)?;
        let slot = self.slot(keys::hash(api_key));
        let came = Instant::now();
        let mut known = slot.known.lock().await;
        if let Some(told) = known.told(came) {
            return told;
        }
        let answer = match self.ask(admission, api_key, slot.good.load(Ordering::Relaxed)).await {
            Ok(principal) => Ok(Arc::new(principal)),
            Err(problem) if problem.kind == Kind::Unauthorized => Err(refused()),
            // Not an answer, so remembered for those only who waited for one meanwhile.
            Err(problem) => {
                known.failure = Some((Instant::now(), problem.clone()));
                return Err(problem);
            }
        };
        slot.good.store(answer.is_ok(), Ordering::Relaxed);
        let until = Instant::now() + shape.believed(ttl, unix_now());
        *known = Known { answer: Some((until, answer.clone())), failure: None };
        answer
    }

    /// Asks about a key in its turn. `good`: it was when last asked about.
    async fn ask(&self, admission: &Admission, api_key: &str, good: bool) -> Result<Principal, Problem> {
        let line = if good { &self.again } else { &self.questions };
        // It is never closed.
        let _turn = tokio::time::timeout(TURN_WITHIN, line.acquire()).await.map_err(|_| {
            Problem::new(Kind::Overloaded, "too many keys are asked about at the moment").retry_after_ms(SHED_RETRY_MS)
        })?;
        admission.authenticate(api_key).await
    }

    fn slot(&self, hash: String) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if slots.len() >= KEYS_MAX && !slots.contains_key(&hash) {
            slots.retain(|_, slot| slot.good.load(Ordering::Relaxed));
            if slots.len() >= KEYS_MAX {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(hash).or_default())
    }
}

// === impl Known ===

impl Known {
    /// What a caller is told that came then: an answer that is believed still, or what kept another from one while this
    /// one waited. Were each to ask as well, the last would wait for all before it.
    fn told(&self, came: Instant) -> Option<Result<Arc<Principal>, Problem>> {
        if let Some((until, answer)) = &self.answer {
            if Instant::now() < *until {
                return Some(answer.clone());
            }
        }
        let (at, problem) = self.failure.as_ref()?;
        (*at >= came).then(|| Err(problem.clone()))
    }
}

// === impl Shape ===

impl Shape {
    /// None for what nobody need be asked about.
    fn of(credential: &str) -> Option<Self> {
        if keys::parse(credential).is_some() {
            return Some(Self::Key);
        }
        let mut parts = credential.split('.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        let url_safe = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if parts.next().is_some() || ![header, claims, signature].into_iter().all(url_safe) {
            return None;
        }
        // Not believed: whether the token is good is for the component to say, which checks its signature.
        #[derive(serde::Deserialize)]
        struct Claims {
            exp: Option<u64>,
        }
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
        Some(Self::Token { expires: claims.exp })
    }

    /// How long an answer is believed: never beyond what a token says of itself.
    fn believed(self, ttl: Duration, unix_now: Duration) -> Duration {
        match self {
            Self::Token { expires: Some(expires) } => ttl.min(Duration::from_secs(expires).saturating_sub(unix_now)),
            Self::Key | Self::Token { expires: None } => ttl,
        }
    }
}

/// What headers, or metadata, show.
pub fn credential(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    keys::presented(text(header::AUTHORIZATION), text(HeaderName::from_static("x-api-key")))
}

/// The same words whatever is wrong with the key.
pub fn refused() -> Problem {
    Problem::new(Kind::Unauthorized, "the API key is missing or opens nothing")
        .mend("Send `Authorization: Bearer <key>` or `X-API-Key: <key>`; keys come from POST /api/v1/keys.")
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        ["{\"alg\":\"RS256\"}", claims, "signature"].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
    }

    #[test]
    fn invented_keys_push_no_good_one_out() {
        let (keys, now) = (Keys::default(), Instant::now());
        let principal = Principal {
            tenant: "acme".into(),
            role: er_event::keys::Role::Publisher,
            key: "k".into(),
            name: "n".into(),
            quota: er_tenant::Quota::default(),
        };
        let good = keys.slot("good".into());
        good.known.try_lock().unwrap().answer = Some((now, Ok(Arc::new(principal))));
        good.good.store(true, Ordering::Relaxed);
        // Nor while it is asked about again.
        let asking = good.known.try_lock().unwrap();
        for n in 0..3 * KEYS_MAX {
            keys.slot(n.to_string()).known.try_lock().unwrap().answer = Some((now, Err(refused())));
        }
        drop(asking);
        let slots = keys.slots.lock();
        assert!(slots.len() <= KEYS_MAX);
        assert!(slots["good"].known.try_lock().unwrap().answer.is_some());
    }

    #[test]
    fn a_failure_is_told_to_those_who_waited_meanwhile_and_to_nobody_later() {
        let (came, now) = (Instant::now(), Instant::now());
        let away = Problem::new(Kind::Unavailable, "nobody answers");
        let mut known = Known { answer: None, failure: Some((now, away.clone())) };
        assert!(matches!(known.told(came), Some(Err(problem)) if problem == away));
        assert!(known.told(now + Duration::from_millis(1)).is_none());
        // One that is known by then is told to anybody.
        known.answer = Some((now + Duration::from_secs(60), Err(refused())));
        assert!(matches!(known.told(came), Some(Err(problem)) if problem == refused()));
    }

    #[test]
    fn a_key_and_a_token_are_asked_about_and_nothing_else_is() {
        assert_eq!(Shape::of(&keys::format("acme", &[7; 32])), Some(Shape::Key));
        assert_eq!(Shape::of(&token("{\"exp\":1714979289}")), Some(Shape::Token { expires: Some(1_714_979_289) }));
        assert_eq!(Shape::of(&token("{\"sub\":\"x\"}")), Some(Shape::Token { expires: None }));
        let cut = token("{}").rsplit_once('.').map(|(start, _)| start.to_string()).unwrap();
        for none in ["", "er_acme_x", "a.b.c", "..", &cut, &format!("{cut}."), &token("[]"), &token("{\"exp\":-1}")] {
            assert_eq!(Shape::of(none), None, "{none}");
        }
        assert_eq!(Shape::of(&format!("{}.x", token("{}"))), None);
    }

    #[test]
    fn nothing_is_believed_beyond_the_end_of_its_token() {
        let (ttl, now) = (Duration::from_secs(3), Duration::from_secs(1_000));
        let until = |expires| Shape::Token { expires: Some(expires) }.believed(ttl, now);
        assert_eq!([until(999), until(1_000), until(1_002), until(2_000)].map(|left| left.as_secs()), [0, 0, 2, 3]);
        assert_eq!(Shape::Token { expires: None }.believed(ttl, now), ttl);
        assert_eq!(Shape::Key.believed(ttl, now), ttl);
    }

    #[test]
    fn credentials_are_found_in_either_place() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(HeaderName::from_static(name), header::HeaderValue::from_static(value))])
        };
        assert_eq!(credential(&headers("authorization", "bearer  k ")), Some("k"));
        assert_eq!(credential(&headers("x-api-key", "k")), Some("k"));
        assert_eq!(credential(&headers("authorization", "Basic k")), None);
        assert_eq!(credential(&HeaderMap::new()), None);
    }
}
