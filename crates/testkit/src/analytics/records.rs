//! Records to insert, and an engine whose answers get lost.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use er_analytics::{system_clock, Engine, Failure, Statement};
use er_metering::{Meter, Period, Quantities, Record, Time, Window};

/// Runs each statement, and then loses the answers of the first inserts.
#[derive(Clone)]
pub struct LostAnswers<E> {
    engine: E,
    left: Arc<AtomicU32>,
}

// === impl LostAnswers ===

impl<E> LostAnswers<E> {
    pub fn new(engine: E, lost: u32) -> Self {
        Self { engine, left: Arc::new(AtomicU32::new(lost)) }
    }
}

impl<E: Engine> Engine for LostAnswers<E> {
    async fn run(&self, statement: Statement) -> Result<Bytes, Failure> {
        let is_block = statement.rows.is_some();
        let answer = self.engine.run(statement).await?;
        let lose = |left: u32| left.checked_sub(1);
        if is_block && self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, lose).is_ok() {
            return Err(Failure::Silent("the answer was lost".into()));
        }
        Ok(answer)
    }

    fn database(&self) -> &str {
        self.engine.database()
    }
}

/// A tenant that no test had before, on a server that keeps what it has.
#[must_use]
pub fn tenant(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    format!("{name}-{since:x}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The calendar month so many months ago.
///
/// # Errors
/// Before 1970.
pub fn month(ago: u32) -> anyhow::Result<Period> {
    let mut start = Window::Month.start(system_clock()());
    for _ in 0..ago {
        start = Window::Month.start(start.plus_us(-1)?);
    }
    Ok(Window::Month.of(start)?)
}

/// A record of the minute that `time` is in.
///
/// # Errors
/// When there can't be such a record.
pub fn record(tenant: &str, id: &str, time: Time, used: &[(Meter, u64)]) -> anyhow::Result<Record> {
    let mut quantities = Quantities::default();
    for (meter, quantity) in used {
        quantities = quantities.with(*meter, *quantity)?;
    }
    Ok(Record::new(tenant, id, time, quantities)?)
}

/// As a call has them.
///
/// # Errors
/// When they can't be written.
pub fn lines(records: &[Record]) -> anyhow::Result<String> {
    Ok(records.iter().map(Record::to_line).collect::<Result<Vec<_>, _>>()?.join("\n"))
}
