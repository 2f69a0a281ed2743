//! Any sequence of puts answers as a map would. A failing case is kept in `proptest-regressions/` and runs again.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// (tenant, source, id) to (second, type, text, claim).
type Model = BTreeMap<(usize, usize, usize), (i64, usize, String, u64)>;

const TENANTS: [&str; 3] = ["a", "a-b", "aa"];
const SOURCES: [&str; 3] = ["", "/s", "/s\0/"];
const TYPES: [&str; 3] = ["t", "t.x", "u"];

#[derive(Debug, Clone)]
enum Step {
    Put(usize, Vec<(usize, usize, i64, usize, u64)>),
    Query(usize, Option<usize>, bool, Option<usize>, Option<i64>, Option<i64>, u32),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let seconds = || -5..15i64;
    prop_oneof![
        6 => (0..3usize, prop::collection::vec((0..3usize, 0..6usize, seconds(), 0..3usize, 0..2u64), 0..12)).prop_map(|(tenant, events)| Step::Put(tenant, events)),
        6 => (0..3usize, prop::option::of(0..3usize), any::<bool>(), prop::option::of(0..3usize), prop::option::of(seconds()), prop::option::of(seconds()), 1..6u32)
            .prop_map(|(tenant, ty, prefix, source, since, until, limit)| Step::Query(tenant, ty, prefix, source, since, until, limit)),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_a_map_would(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps))?;
    }
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut world = World::new();
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Put(tenant, events) => {
                let texts: Vec<_> = events
                    .iter()
                    .map(|(source, id, second, ty, _)| event(SOURCES[*source], &id.to_string(), TYPES[*ty], *second))
                    .collect();
                let claims: Runs = events.iter().map(|(.., claim)| *claim).collect();
                let known = world.store.put(TENANTS[tenant], None, &claims, &batch(&texts)).await.unwrap();
                let mut expected = Vec::new();
                let mut earlier = BTreeSet::new();
                for (place, ((source, id, second, ty, claim), text)) in events.into_iter().zip(texts).enumerate() {
                    let key = (tenant, source, id);
                    let others = model.get(&key).is_some_and(|(.., first)| *first != claim);
                    if !earlier.insert(key) || others {
                        expected.push(u32::try_from(place).unwrap());
                    } else {
                        model.insert(key, (second, ty, text, claim));
                    }
                }
                prop_assert_eq!(known, expected);
            }
            Step::Query(tenant, ty, prefix, source, since, until, limit) => {
                let filter = Filter {
                    event_type: ty.map(|ty| format!("{}{}", TYPES[ty], if prefix { "*" } else { "" })),
                    source: source.map(|source| SOURCES[source].to_string()),
                    since_us: since.and_then(at),
                    until_us: until.and_then(at),
                };
                let type_fits = |ty: usize| match &filter.event_type {
                    None => true,
                    Some(filter) => er_event::event::filter_matches(filter, TYPES[ty]),
                };
                let mut want: Vec<_> = model
                    .iter()
                    .filter(|((t, s, _), (second, ty, ..))| {
                        *t == tenant
                            && source.is_none_or(|source| source == *s)
                            && since.is_none_or(|since| since <= *second)
                            && until.is_none_or(|until| *second < until)
                            && type_fits(*ty)
                    })
                    .map(|(_, (second, _, text, _))| (*second, text.clone()))
                    .collect();
                let (mut got, mut cursor) = (Vec::new(), None);
                loop {
                    let page = world.store.query(TENANTS[tenant], filter.clone(), cursor, limit).await.unwrap();
                    let events = er_event::event::split(&page.events).unwrap();
                    prop_assert!(events.len() <= limit as usize);
                    got.extend(events.into_iter().map(|text| {
                        let event = er_event::EventRef::parse(text).unwrap();
                        let us = er_event::event::time_us(event.time.as_deref().unwrap()).unwrap();
                        ((us - NOW_US) / 1_000_000, text.to_string())
                    }));
                    cursor = page.cursor;
                    if cursor.is_none() {
                        break;
                    }
                }
                prop_assert!(got.windows(2).all(|pair| pair[0].0 >= pair[1].0), "newest first");
                got.sort();
                want.sort();
                prop_assert_eq!(got, want);
            }
            Step::Reopen => world.reopen().await,
        }
    }
    for ((tenant, source, id), (_, _, text, _)) in &model {
        let got = world.get(TENANTS[*tenant], SOURCES[*source], &id.to_string()).await;
        prop_assert_eq!(got.as_ref(), Some(text));
    }
    Ok(())
}
