//! Token buckets of bytes.

use std::time::{Duration, Instant};

/// So many bytes at once, and so many more with every second.
pub struct Bucket {
    bytes_per_s: f64,
    burst_bytes: f64,
    bytes: f64,
    at: Instant,
}

// === impl Bucket ===

impl Bucket {
    /// One that is full at `now`.
    pub fn new(bytes_per_s: f64, burst_bytes: f64, now: Instant) -> Self {
        Self { bytes_per_s, burst_bytes, bytes: burst_bytes, at: now }
    }

    /// How many bytes are in it; after more were taken than that, how many it owes.
    pub fn level(&mut self, now: Instant) -> f64 {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.bytes_per_s;
        self.at = now;
        self.bytes = (self.bytes + earned).min(self.burst_bytes);
        self.bytes
    }

    pub fn take(&mut self, bytes: usize) {
        self.bytes -= bytes as f64;
    }

    /// How long until it owes nothing.
    pub fn debt(&mut self, now: Instant) -> Duration {
        Duration::from_secs_f64((-self.level(now)).max(0.0) / self.bytes_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_beyond_it_is_waited_for() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000.0, 500.0, start);
        bucket.take(500);
        assert_eq!(bucket.debt(start), Duration::ZERO);
        bucket.take(250);
        assert_eq!(bucket.debt(start), Duration::from_millis(250));
        assert_eq!(bucket.debt(start + Duration::from_millis(100)), Duration::from_millis(150));
        assert_eq!(bucket.debt(start + Duration::from_millis(250)), Duration::ZERO);
        // It does not overflow.
        assert!((bucket.level(start + Duration::from_secs(60)) - 500.0).abs() < 1e-6);
    }
}
