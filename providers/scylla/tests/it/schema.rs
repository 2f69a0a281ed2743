//! Migrations, and what the tables hold, seen past the store.

use er_event::Runs;
use er_provider_scylla::store::{Error, Options, Store, SCHEMA_VERSION};
use er_testkit::until;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::common::{batch, event, fresh, open, options, READY_WITHIN};

async fn session() -> Session {
    SessionBuilder::new().known_nodes(options().nodes).build().await.unwrap()
}

async fn column<T>(session: &Session, query: &str) -> Vec<T>
where
    T: for<'f, 'm> scylla::deserialize::value::DeserializeValue<'f, 'm>,
{
    let rows = session.query_unpaged(query, ()).await.unwrap().into_rows_result().unwrap();
    rows.rows::<(T,)>().unwrap().map(|row| row.unwrap().0).collect()
}

/// A keyspace of a test's own.
fn own() -> Options {
    Options { keyspace: fresh("er_"), ..options() }
}

#[tokio::test]
async fn stores_that_start_at_once_migrate_a_fresh_keyspace_together() {
    let own = own();
    let stores = futures::future::join_all((0..3).map(|_| open(own.clone()))).await;
    for (claim, store) in stores.iter().enumerate() {
        let left = store.put("acme", None, &Runs::of(1, claim as u64), &batch([1])).await.unwrap();
        assert_eq!(left.is_empty(), claim == 0);
    }
    // And one that finds it done.
    assert_eq!(open(own.clone()).await.get("acme", "/s", "1").await, Ok(Some(event(1))));
    let session = session().await;
    let keyspace = &own.keyspace;
    let versions: Vec<i32> = column(&session, &format!("SELECT version FROM {keyspace}.schema_migrations")).await;
    assert_eq!(versions, (1..=SCHEMA_VERSION).collect::<Vec<_>>());
    session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_is_newer_than_the_program_is_refused_and_left_alone() {
    let own = own();
    drop(open(own.clone()).await);
    let session = session().await;
    let keyspace = own.keyspace.clone();
    let newer = SCHEMA_VERSION + 1;
    let insert =
        format!("INSERT INTO {keyspace}.schema_migrations (store, version, name) VALUES ('events', {newer}, 'x')");
    session.query_unpaged(insert, ()).await.unwrap();
    let store = Store::open(own);
    let refused = until("the refusal", READY_WITHIN, || async {
        let refused = store.get("acme", "/s", "1").await;
        Ok(refused.err().filter(|error| matches!(error, Error::SchemaNewer { .. })))
    });
    let refused = refused.await.unwrap();
    assert_eq!(refused, Error::SchemaNewer { keyspace: keyspace.clone(), found: newer, known: SCHEMA_VERSION });
    assert_eq!(store.check().await, Err(refused.clone()));
    let text = refused.to_string();
    assert!(text.contains(&format!("version {newer}")) && text.contains(&format!("up to {SCHEMA_VERSION}")), "{text}");
    // It goes on by itself once that is mended.
    let delete = format!("DELETE FROM {keyspace}.schema_migrations WHERE store = 'events' AND version = {newer}");
    session.query_unpaged(delete, ()).await.unwrap();
    tokio::time::timeout(READY_WITHIN, store.ready()).await.unwrap().unwrap();
    assert_eq!(store.get("acme", "/s", "1").await, Ok(None));
    session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await.unwrap();
}

#[tokio::test]
async fn every_row_has_the_time_to_live_of_its_put() {
    let own = own();
    let store = open(Options { retention_h: 5, ..own.clone() }).await;
    store.put("acme", Some(100), &Runs::of(1, 1), &batch([1])).await.unwrap();
    store.put("acme", None, &Runs::of(1, 1), &batch([2])).await.unwrap();
    let session = session().await;
    let keyspace = &own.keyspace;
    let near = |ttl: Vec<i32>, hours: i32| {
        assert!(!ttl.is_empty() && ttl.iter().all(|ttl| (hours * 3600 - 60..=hours * 3600).contains(ttl)), "{ttl:?}");
    };
    for (id, hours) in [("1", 100), ("2", 5)] {
        for column_name in ["claim", "time_us", "event"] {
            let query = format!(
                "SELECT TTL({column_name}) FROM {keyspace}.events_by_key WHERE tenant = 'acme' AND source = '/s' AND id = '{id}'"
            );
            near(column(&session, &query).await, hours);
        }
        let query = format!("SELECT TTL(type) FROM {keyspace}.events_by_time WHERE id = '{id}' ALLOW FILTERING");
        near(column(&session, &query).await, hours);
    }
    // A row of `days` has nothing but its key, whose time-to-live CQL does not tell; that there is one for each length
    // is what keeps the shorter from ending the longer.
    let mut kept: Vec<i32> = column(&session, &format!("SELECT keep_h FROM {keyspace}.days")).await;
    kept.sort_unstable();
    assert_eq!(kept, [5, 100]);
    session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await.unwrap();
}

#[tokio::test]
async fn a_busy_day_lies_in_many_partitions() {
    let own = own();
    let store = open(own.clone()).await;
    store.put("acme", None, &Runs::of(256, 1), &batch(0..256)).await.unwrap();
    let session = session().await;
    let keyspace = &own.keyspace;
    let mut buckets: Vec<i8> = column(&session, &format!("SELECT bucket FROM {keyspace}.events_by_time")).await;
    assert_eq!(buckets.len(), 256);
    buckets.sort_unstable();
    buckets.dedup();
    assert_eq!(buckets, (0..16).collect::<Vec<_>>());
    session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await.unwrap();
}
