//! What can be set, with its defaults.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use er_metering::Time;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Time + Send + Sync>;

/// Rows of one block, and how long the first of them waits for others. Both are what the engine is good at: a part on
/// the disk for each block.
pub const BLOCK_ROWS_MAX: usize = 10_000;
pub const LINGER_MAX: Duration = Duration::from_secs(1);

/// Limits and deadlines.
#[derive(Clone)]
pub struct Options {
    /// How long the first record of a block waits for others.
    pub linger: Duration,
    /// Records and bytes that may wait for their block to be durable; further calls are refused.
    pub buffer_rows_max: usize,
    pub buffer_bytes_max: usize,
    /// One try to insert a block.
    pub try_timeout: Duration,
    /// Tries of a block before its callers are told.
    pub tries_max: u32,
    /// How long a call to insert takes at most.
    pub insert_timeout: Duration,
    /// How long a question takes at most.
    pub query_timeout: Duration,
    pub clock: Clock,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            linger: LINGER_MAX,
            buffer_rows_max: 100_000,
            buffer_bytes_max: 32 << 20,
            try_timeout: Duration::from_secs(4),
            tries_max: 3,
            insert_timeout: Duration::from_secs(15),
            query_timeout: Duration::from_secs(8),
            clock: system_clock(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("linger", &self.linger)
            .field("buffer_rows_max", &self.buffer_rows_max)
            .field("buffer_bytes_max", &self.buffer_bytes_max)
            .field("try_timeout", &self.try_timeout)
            .field("tries_max", &self.tries_max)
            .field("insert_timeout", &self.insert_timeout)
            .field("query_timeout", &self.query_timeout)
            .finish_non_exhaustive()
    }
}

/// The machine's.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_us(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)).unwrap_or(Time::MAX)
    })
}
