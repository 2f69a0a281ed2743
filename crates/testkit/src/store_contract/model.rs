//! Any sequence of puts answers as a map would. `ER_SEED` replays a run.

use std::collections::{BTreeMap, BTreeSet};

use er_event::event::filter_matches;

use super::*;
use crate::rng::Rng;

const STEPS: usize = 60;
const PUT_EVENTS_MAX: usize = 12;
const SOURCES: [&str; 3] = ["", "/s", "/s\0/"];
const IDS: usize = 6;
const TYPES: [&str; 3] = ["t", "t.x", "u"];
const DAY_S: i64 = 86_400;

/// (tenant, source, id) to what is stored.
type Model = BTreeMap<(usize, usize, usize), Stored>;

struct Stored {
    claim: u64,
    second: i64,
    ty: usize,
    text: String,
}

pub async fn any_sequence_answers_as_a_map_would(store: &impl EventStore) {
    let mut rng = Rng::new(Rng::seed("any_sequence_answers_as_a_map_would"));
    let tenants = [Own::new(store), Own::new(store)];
    let mut model = Model::new();
    for step in 0..STEPS {
        let tenant = rng.below(tenants.len());
        if rng.below(2) == 0 {
            put(&mut rng, &tenants[tenant], tenant, &mut model, step).await;
        } else {
            query(&mut rng, &tenants[tenant], tenant, &model).await;
        }
    }
    for (tenant, own) in tenants.iter().enumerate() {
        for (source, id) in SOURCES.iter().enumerate().flat_map(|(n, _)| (0..IDS).map(move |id| (n, id))) {
            let want = model.get(&(tenant, source, id)).map(|stored| stored.text.clone());
            assert_eq!(own.get(SOURCES[source], &id.to_string()).await, want);
        }
    }
}

/// Near, and days apart.
fn second(rng: &mut Rng) -> i64 {
    rng.below(20) as i64 + if rng.below(3) == 0 { rng.below(40) as i64 * DAY_S } else { 0 }
}

async fn put(rng: &mut Rng, own: &Own<'_, impl EventStore>, tenant: usize, model: &mut Model, step: usize) {
    let (mut texts, mut claims, mut want) = (Vec::new(), Runs::default(), Vec::new());
    let mut seen = BTreeSet::new();
    for index in 0..rng.below(PUT_EVENTS_MAX) {
        let (source, id, ty) = (rng.below(SOURCES.len()), rng.below(IDS), rng.below(TYPES.len()));
        let (second, claim) = (second(rng), rng.below(3) as u64);
        let data = format!(r#"","data":{{"step":{step},"index":{index}}}}}"#);
        let text = event(SOURCES[source], &id.to_string(), TYPES[ty], second);
        let text = text.strip_suffix("\"}").map(|start| format!("{start}{data}")).unwrap_or_default();
        texts.push(text.clone());
        claims.push(claim);
        let key = (tenant, source, id);
        if !seen.insert(key) || model.get(&key).is_some_and(|stored| stored.claim != claim) {
            want.push(index as u32);
        } else {
            model.insert(key, Stored { claim, second, ty, text });
        }
    }
    assert_eq!(own.store.put(&own.tenant, None, &claims, &batch(&texts)).await, Ok(want));
}

async fn query(rng: &mut Rng, own: &Own<'_, impl EventStore>, tenant: usize, model: &Model) {
    let ty = rng.pick(&[None, Some("t"), Some("t*"), Some("t.*"), Some("v")]).copied().flatten();
    let source = (rng.below(3) == 0).then(|| rng.below(SOURCES.len()));
    let since = (rng.below(3) == 0).then(|| second(rng));
    let until = (rng.below(3) == 0).then(|| second(rng));
    let limit = 1 + rng.below(6) as u32;
    let filter = Filter {
        event_type: ty.map(str::to_string),
        source: source.map(|source| SOURCES[source].to_string()),
        since: since.map(at),
        until: until.map(at),
    };
    let mut want: Vec<(i64, String)> = model
        .iter()
        .filter(|((t, s, _), stored)| {
            *t == tenant
                && source.is_none_or(|source| source == *s)
                && since.is_none_or(|since| since <= stored.second)
                && until.is_none_or(|until| stored.second < until)
                && ty.is_none_or(|ty| filter_matches(ty, TYPES[stored.ty]))
        })
        .map(|(_, stored)| (stored.second, stored.text.clone()))
        .collect();
    let texts = own.texts(&filter, limit).await;
    let seconds = parse_batch(&batch(&texts)).unwrap().iter().map(|event| second_of(event)).collect::<Vec<_>>();
    assert!(seconds.is_sorted_by(|a, b| a >= b), "newest first: {filter:?}");
    let mut got: Vec<(i64, String)> = seconds.into_iter().zip(texts).collect();
    got.sort();
    want.sort();
    assert_eq!(got, want, "{filter:?}, {limit} a page");
}

fn second_of(event: &er_event::EventRef<'_>) -> i64 {
    let us = event.time.as_deref().and_then(er_event::event::time_us).unwrap_or_default();
    (us - BASE_US) / 1_000_000
}
