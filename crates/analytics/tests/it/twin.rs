//! An engine in memory: it takes blocks as they come, and fails as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use er_analytics::{Engine, Failure, Statement};
use tokio::sync::Semaphore;

/// What becomes of an insert.
#[derive(Debug, Clone)]
pub enum Fate {
    Done,
    /// Done, but nobody hears of it.
    DoneInSilence,
    Refused(i32),
    /// Never answered.
    Hangs,
}

#[derive(Debug, Default)]
struct Seen {
    /// Rows and text of each insert, failed ones included.
    inserts: Vec<(usize, String)>,
    /// Statements that make tables.
    creates: usize,
    fates: VecDeque<Fate>,
    version: u32,
}

#[derive(Debug, Clone)]
pub struct Twin {
    seen: Arc<Mutex<Seen>>,
    /// Inserts wait for one of these.
    gate: Arc<Semaphore>,
}

// === impl Twin ===

impl Twin {
    /// Meets the first inserts with these fates, and lets later ones be done.
    pub fn new(fates: impl IntoIterator<Item = Fate>) -> Self {
        let seen = Seen { fates: fates.into_iter().collect(), ..Seen::default() };
        Self { seen: Arc::new(Mutex::new(seen)), gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)) }
    }

    /// Lets no insert through until [`Twin::open`].
    pub fn shut() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::new([]) }
    }

    pub fn open(&self) {
        self.gate.add_permits(1 << 20);
    }

    pub fn with_version(self, version: u32) -> Self {
        self.seen.lock().unwrap().version = version;
        self
    }

    /// Rows of each insert.
    pub fn blocks(&self) -> Vec<usize> {
        self.seen.lock().unwrap().inserts.iter().map(|(rows, _)| *rows).collect()
    }

    pub fn inserts(&self) -> Vec<String> {
        self.seen.lock().unwrap().inserts.iter().map(|(_, sql)| sql.clone()).collect()
    }

    pub fn creates(&self) -> usize {
        self.seen.lock().unwrap().creates
    }
}

impl Engine for Twin {
    async fn run(&self, statement: Statement) -> Result<Bytes, Failure> {
        let Some(rows) = statement.rows else {
            let mut seen = self.seen.lock().unwrap();
            seen.creates += usize::from(statement.sql.starts_with("CREATE"));
            let is_version = statement.sql.contains("max(version)");
            return Ok(if is_version { format!("{}\n", seen.version).into() } else { Bytes::new() });
        };
        let _through = self.gate.acquire().await.unwrap();
        let fate = {
            let mut seen = self.seen.lock().unwrap();
            seen.inserts.push((count(&rows), statement.sql.into_owned()));
            seen.fates.pop_front().unwrap_or(Fate::Done)
        };
        match fate {
            Fate::Done => Ok(Bytes::new()),
            Fate::DoneInSilence => Err(Failure::Silent("the connection broke".into())),
            Fate::Refused(code) => Err(Failure::refused(&format!("Code: {code}. DB::Exception: no"))),
            Fate::Hangs => std::future::pending().await,
        }
    }

    fn database(&self) -> &str {
        "twin"
    }
}

/// Rows in RowBinary, whose texts are all shorter than 128 bytes here.
fn count(mut rows: &[u8]) -> usize {
    let mut count = 0;
    while !rows.is_empty() {
        let tenant = usize::from(rows[0]);
        let id = usize::from(rows[1 + tenant + 4]);
        rows = &rows[1 + tenant + 4 + 1 + id + 64..];
        count += 1;
    }
    count
}

/// Lines of so many records, `name` making them different from others'.
pub fn lines(name: &str, count: usize) -> String {
    let line = |place: usize| {
        format!(r#"{{"id":"{name}.{place}","tenant":"acme","minute":"2026-04-01T09:00:00Z","used":{{"events_in":1}}}}"#)
    };
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}
