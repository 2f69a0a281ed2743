//! The library itself, as far as the analytics' tests do not see it: one engine a process, and a short queue before it.

// Clippy allows these in test functions only, not in their helpers.
#![allow(clippy::unwrap_used)]

use er_chdb::{Chdb, Error, OpenError, Options, Query};
use er_testkit::clickhouse::library;

fn select(sql: &str) -> Query {
    Query { sql: sql.into(), format: "TabSeparated".into(), ..Query::default() }
}

/// Of each thread of this process how far it stands back (proc(5), the 19th field).
fn niceness() -> Vec<i32> {
    let stats = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path().join("stat"));
    let nice = |stat: String| stat.rsplit_once(')')?.1.split_whitespace().nth(16)?.parse().ok();
    stats.filter_map(|stat| nice(std::fs::read_to_string(stat).ok()?)).collect()
}

/// In one test, for the process has one engine.
#[tokio::test]
async fn a_process_has_one_engine_that_keeps_what_it_has_and_does_one_thing_at_a_time() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let nowhere = Options::new(dir.path().join("libchdb.so"), dir.path());
    assert!(matches!(Chdb::open(nowhere).await, Err(OpenError::Load { .. })));

    let options = Options { waiting_max: 1, ..Options::new(library().unwrap(), dir.path()) };
    let chdb = Chdb::open(options.clone()).await.unwrap();
    let second = Chdb::open(Options::new(library().unwrap(), other.path())).await;
    assert_eq!(second.err(), Some(OpenError::Taken));

    // The engine stands back with all its threads, and nobody else does.
    let nice = niceness();
    assert!(nice.iter().filter(|nice| **nice == 10).count() > 2 && nice.contains(&0), "{nice:?}");

    let odd = "a`b\\c";
    chdb.run(select("CREATE DATABASE `a\\`b\\\\c`")).await.unwrap();
    let inside = |sql: &str| Query { database: Some(odd.into()), ..select(sql) };
    chdb.run(inside("CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n")).await.unwrap();
    let rows = Query { format: "RowBinary".into(), rows: Some(vec![7, 8]), ..inside("INSERT INTO t (n)") };
    chdb.run(rows).await.unwrap();
    let half = Query { format: "RowBinary".into(), rows: Some(vec![7]), ..inside("INSERT INTO t (n, m)") };
    assert!(matches!(chdb.run(half).await, Err(Error::Refused { code: 16, .. })));
    assert!(matches!(chdb.run(select("SELECT * FROM t")).await, Err(Error::Refused { code: 60, .. })));
    let param = Query { params: vec![("s".into(), "it\\\\s".into())], ..select("SELECT {s:String} = 'it\\\\s'") };
    assert_eq!(chdb.run(param).await.unwrap(), b"1\n");

    // One that takes a while, one that waits, and no room for a third.
    let long = select("SELECT count() FROM numbers(1000000000) WHERE NOT ignore(sipHash64(number)) SETTINGS max_threads = 1, max_execution_time = 1");
    let (long, busy) = tokio::join!(chdb.run(long), async {
        let waiting = (0..8).map(|_| chdb.run(select("SELECT 1")));
        let answers = futures::future::join_all(waiting).await;
        answers.into_iter().filter(|answer| *answer == Err(Error::Busy)).count()
    });
    assert!(matches!(long, Ok(_) | Err(Error::Refused { code: 159, .. })), "{long:?}");
    assert!(busy >= 6, "{busy}");

    chdb.close();
    assert_eq!(chdb.run(select("SELECT 1")).await, Err(Error::Closed));
    let again = Chdb::open(options).await.unwrap();
    assert_eq!(again.run(inside("SELECT sum(n) FROM t")).await.unwrap(), b"15\n");
}
