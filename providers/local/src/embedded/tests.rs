//! The set of tests that every engine is held to, on chDB in this process, and what is special here: one engine for a
//! process, its library that may be missing, and the process that is killed with it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use er_analytics::{Analytics, Code, Engine, Error, Failure, Options, Statement};
use er_metering::{Meter, Record, Window};
use er_testkit::analytics::{expected, insert_until_in, lines, month, options, record, tenant, usage};
use er_testkit::clickhouse::library;
use parking_lot::Mutex;

use super::Embedded;

const MEMORY_BYTES_MAX: u64 = 512 << 20;
const DIR: &str = "ER_TEST_ANALYTICS_DIR";
const TENANT: &str = "ER_TEST_ANALYTICS_TENANT";
const FIRST: &str = "ER_TEST_ANALYTICS_FIRST";
const CHILD: &str = "embedded::tests::the_child_inserts_until_it_is_killed";
const READER: &str = "embedded::tests::the_reader_tells_what_is_there";
const ACK: &str = "acked ";

/// The one engine of this process, and where its tables lie, for as long as a test has it.
struct Shared {
    engine: Embedded,
    _dir: tempfile::TempDir,
}

/// A test's hold of it.
struct Held(Arc<Shared>);

impl Engine for Held {
    async fn run(&self, statement: Statement) -> Result<bytes::Bytes, Failure> {
        self.0.engine.run(statement).await
    }

    fn database(&self) -> &str {
        self.0.engine.database()
    }
}

fn embedded(dir: &Path) -> Embedded {
    Embedded::new(Some(library().unwrap()), dir.to_path_buf(), MEMORY_BYTES_MAX)
}

fn shared() -> Arc<Shared> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock();
    shared.upgrade().unwrap_or_else(|| {
        let dir = tempfile::tempdir().unwrap();
        let new = Arc::new(Shared { engine: embedded(dir.path()), _dir: dir });
        *shared = Arc::downgrade(&new);
        new
    })
}

async fn start() -> Held {
    let held = Held(shared());
    // The one before it may still be closing.
    let open = || async {
        let one = Statement { on_server: true, ..Statement::new("SELECT 1") };
        Ok(held.run(one).await.ok().map(|_| ()))
    };
    er_testkit::until("this process's engine", Duration::from_secs(30), open).await.unwrap();
    held
}

er_testkit::analytics_tests!(start);

#[tokio::test]
async fn a_missing_library_is_told_with_its_mend_and_looked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let (tenant, month) = (tenant("missing"), month(0).unwrap());
    let text = lines(&[record(&tenant, "a", month.from(), &[(Meter::EventsIn, 7)]).unwrap()]).unwrap();
    for (library, says) in [(None, "`chdb_lib`"), (Some(dir.path().join("libchdb.so")), "libchdb.so")] {
        let analytics = Analytics::start(Embedded::new(library, dir.path().into(), MEMORY_BYTES_MAX), options());
        for error in [
            analytics.insert(&text).await.unwrap_err(),
            usage(&analytics, &tenant, month, Window::Day).await.unwrap_err(),
        ] {
            assert_eq!((error.code(), error.retry_after_ms().is_some()), (Code::Unavailable, true), "{error}");
            assert!(error.to_string().contains("scripts/setup chdb") && error.to_string().contains(says), "{error}");
        }
    }
}

/// A call of the child's, which the parent knows too.
fn call(tenant: &str, call: u32) -> Vec<Record> {
    let of = |place: u32| {
        let time = month(0).unwrap().from().plus_us(i64::from(place % 30) * 60_000_000).unwrap();
        let used = [(Meter::EventsIn, 1 + u64::from(place)), (Meter::BytesOut, 1_000 + u64::from(call))];
        record(tenant, &format!("c{call}.{place}"), time, &used).unwrap()
    };
    (0..200).map(of).collect()
}

fn quick() -> Options {
    Options { linger: Duration::from_millis(2), ..options() }
}

/// Not a test by itself: the process that the test below starts and kills. It goes on from the first call that was not
/// acknowledged, which may be in already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_inserts_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let Ok(first) = std::env::var(FIRST) else { return };
    let (tenant, first) = (std::env::var(TENANT).unwrap(), first.parse::<u32>().unwrap());
    let analytics = Analytics::start(embedded(dir.as_ref()), quick());
    for number in first.. {
        insert_until_in(&analytics, &lines(&call(&tenant, number)).unwrap()).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\n{ACK}{number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn sums_are_exact_though_the_process_is_killed_in_the_middle_of_it() {
    const ROUNDS: u32 = 4;
    const ROUND_CALLS: u32 = 15;
    let dir = tempfile::tempdir().unwrap();
    let tenant = tenant("killed");
    let mut next = 0;
    for round in 0..ROUNDS {
        let mut child = child(dir.path(), &tenant, next);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (started, begun) = (Instant::now(), next);
        let mut killed = false;
        for line in lines {
            // What is in the pipe at the kill was acknowledged before it.
            let Some(number) = line.unwrap().strip_prefix(ACK).map(|number| number.parse::<u32>().unwrap()) else {
                continue;
            };
            next = number + 1;
            if !killed && next - begun >= ROUND_CALLS + round {
                child.kill().unwrap();
                killed = true;
            }
        }
        assert!(killed, "the child ended by itself after {:?}: {:?}", started.elapsed(), child.wait());
        child.wait().unwrap();
    }
    // Whoever was killed last may have inserted one call that it could not acknowledge any more.
    let told = told(dir.path(), &tenant);
    let month = month(0).unwrap();
    let with = |calls: u32| {
        let records: Vec<Record> = (0..calls).flat_map(|number| call(&tenant, number)).collect();
        expected(&records, &tenant, month, Window::Minute).unwrap()
    };
    assert!(told == with(next) || told == with(next + 1), "{next} calls were acknowledged, and there is {told}");
    assert!(next >= ROUNDS * ROUND_CALLS);
}

fn child(dir: &Path, tenant: &str, first: u32) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(TENANT, tenant)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test by itself: this process has an engine already, so another one looks.
#[tokio::test]
async fn the_reader_tells_what_is_there() {
    let (Ok(dir), Err(_)) = (std::env::var(DIR), std::env::var(FIRST)) else { return };
    let tenant = std::env::var(TENANT).unwrap();
    let analytics = Analytics::start(embedded(dir.as_ref()), quick());
    let told: Result<String, Error> = usage(&analytics, &tenant, month(0).unwrap(), Window::Minute).await;
    println!("\n{ACK}{}", told.unwrap());
}

fn told(dir: &Path, tenant: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", READER, "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(TENANT, tenant)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix(ACK)).unwrap().to_owned()
}
