//! `kill -9` in the middle of the load: every put that returned is there, and the store opens by itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;

const DIR: &str = "ER_TEST_CRASH_DIR";
const ROUND: &str = "ER_TEST_CRASH_ROUND";
const CHILD: &str = "store::tests::crash::the_child_writes_until_it_is_killed";
/// Marks a line of ours among those of the test harness.
const ACK: &str = "acked ";
const ROUNDS: u32 = 4;
const WRITERS: u32 = 4;
const PUT_EVENTS: u32 = 64;

/// Not a test by itself: the process that the test below starts and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_writes_until_it_is_killed() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let round = std::env::var(ROUND).unwrap();
    let store = open(dir.as_ref(), &Arc::new(AtomicI64::new(NOW_US))).unwrap();
    let writers = (0..WRITERS).map(|writer| {
        let (store, round) = (store.clone(), round.clone());
        tokio::spawn(async move {
            let pad = "x".repeat(600);
            for n in 0.. {
                let put = format!("{round}-{writer}-{n}");
                let events: Vec<_> = (0..PUT_EVENTS)
                    .map(|k| {
                        event("/s", &format!("{put}-{k}"), "t", i64::from(n))
                            .replace("\"t\"", &format!("\"t\",\"pad\":\"{pad}\""))
                    })
                    .collect();
                if put_all(&store, "acme", &events).await.is_ok() {
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\n{ACK}{put}").unwrap();
                    out.flush().unwrap();
                }
            }
        })
    });
    futures::future::join_all(writers).await;
}

#[tokio::test]
async fn no_acknowledged_event_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked = Vec::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
            .env(DIR, dir.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let started = Instant::now();
        // Long enough for flushes and compaction to be under way in the later rounds.
        let load = Duration::from_millis(400 + 300 * u64::from(round));
        let mut killed = false;
        for line in lines {
            // What is in the pipe at the kill was acknowledged before it.
            acked.extend(line.unwrap().strip_prefix(ACK).map(str::to_string));
            if !killed && started.elapsed() > load {
                child.kill().unwrap();
                killed = true;
            }
        }
        assert!(killed, "the child ended by itself: {:?}", child.wait());
        child.wait().unwrap();

        let store = open(dir.path(), &Arc::new(AtomicI64::new(NOW_US))).unwrap();
        for put in &acked {
            for k in [0, PUT_EVENTS - 1] {
                assert!(store.get("acme", "/s", &format!("{put}-{k}")).await.unwrap().is_some(), "{put}-{k} is lost");
            }
        }
        store.close().await;
    }
    assert!(acked.len() > ROUNDS as usize, "{} puts are too few to tell", acked.len());
}
