//! Bringing a database up to date.

use er_analytics::{Analytics, Code, Engine as _, Error, Statement, FILES, VERSION};
use er_metering::Meter;
use er_testkit::analytics::{lines, month, options, record, tenant};

use crate::kit::{database, engine, shared};

const VERSIONS: &str = "SELECT version, name FROM schema_versions ORDER BY version";

#[tokio::test]
async fn an_empty_server_is_brought_up_to_date_by_whoever_comes_first() {
    let (server, database) = (shared(), database("empty"));
    let providers: Vec<_> = (0..4).map(|_| Analytics::start(engine(&server, &database), options())).collect();
    for prepared in futures::future::join_all(providers.iter().map(Analytics::prepare)).await {
        prepared.unwrap();
    }
    let engine = engine(&server, &database);
    let noted = engine.run(Statement::new("SELECT DISTINCT version, name FROM schema_versions ORDER BY version"));
    let files = FILES[1..].iter().map(|file| format!("{}\t{}\n", file.version, file.name)).collect::<String>();
    assert_eq!(noted.await.unwrap(), files);
    drop_database(&engine).await;
}

#[tokio::test]
async fn a_database_that_is_up_to_date_is_left_as_it_is() {
    let (server, database) = (shared(), database("again"));
    let (tenant, month) = (tenant("kept"), month(0).unwrap());
    let records = lines(&[record(&tenant, "a", month.from(), &[(Meter::EventsIn, 7)]).unwrap()]).unwrap();
    let first = Analytics::start(engine(&server, &database), options());
    first.insert(&records).await.unwrap();
    let before = first.engine().run(Statement::new(VERSIONS)).await.unwrap();
    let second = Analytics::start(engine(&server, &database), options());
    second.prepare().await.unwrap();
    assert_eq!(second.engine().run(Statement::new(VERSIONS)).await.unwrap(), before);
    let count = second.engine().run(Statement::new("SELECT sum(events_in) FROM tenant_usage")).await.unwrap();
    assert_eq!(count, "7\n");
    drop_database(second.engine()).await;
}

#[tokio::test]
async fn a_newer_database_is_refused_by_name() {
    let (server, database) = (shared(), database("newer"));
    let analytics = Analytics::start(engine(&server, &database), options());
    analytics.prepare().await.unwrap();
    let newer = format!("INSERT INTO schema_versions (version, name) SELECT {}, 'of tomorrow'", VERSION + 1);
    analytics.engine().run(Statement::new(newer)).await.unwrap();
    let late = Analytics::start(engine(&server, &database), options());
    let (tenant, month) = (tenant("late"), month(0).unwrap());
    let records = lines(&[record(&tenant, "a", month.from(), &[(Meter::EventsIn, 7)]).unwrap()]).unwrap();
    for refused in [late.prepare().await, late.insert(&records).await] {
        let refused = refused.unwrap_err();
        assert_eq!(refused, Error::Newer { database: database.clone(), found: VERSION + 1, known: VERSION });
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(refused.to_string().contains(&database), "{refused}");
    }
    drop_database(late.engine()).await;
}

#[tokio::test]
async fn tables_that_were_taken_away_come_back() {
    let (server, database) = (shared(), database("taken"));
    let analytics = Analytics::start(engine(&server, &database), options());
    let (tenant, month) = (tenant("taken"), month(0).unwrap());
    let records = lines(&[record(&tenant, "a", month.from(), &[(Meter::EventsIn, 7)]).unwrap()]).unwrap();
    analytics.insert(&records).await.unwrap();
    drop_database(analytics.engine()).await;
    analytics.insert(&records).await.unwrap();
    let count = analytics.engine().run(Statement::new("SELECT sum(events_in) FROM tenant_usage")).await.unwrap();
    assert_eq!(count, "7\n");
    drop_database(analytics.engine()).await;
}

#[tokio::test]
async fn columns_tell_their_units() {
    let (server, database) = (shared(), database("units"));
    let analytics = Analytics::start(engine(&server, &database), options());
    analytics.prepare().await.unwrap();
    let silent = "SELECT count() FROM system.columns WHERE database = currentDatabase() AND comment = '' \
                  AND table IN ('tenant_usage', 'events_by_minute')";
    assert_eq!(analytics.engine().run(Statement::new(silent)).await.unwrap(), "0\n");
    drop_database(analytics.engine()).await;
}

async fn drop_database(engine: &er_provider_clickhouse::ClickHouse) {
    let drop = Statement::new(format!("DROP DATABASE {}", engine.database()));
    engine.run(Statement { on_server: true, ..drop }).await.unwrap();
}
