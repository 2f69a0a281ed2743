//! A log that takes so much a second and no more.
//!
//! Tenants' code may write as much as it likes. On disk, all of it would stand in the way of whatever else there is
//! synced: a stream's message, an event that is stored.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::bucket::Bucket;

/// What is kept over time.
const BYTES_PER_S: f64 = 256.0 * 1024.0;
/// What is kept at once.
const BURST_BYTES: f64 = 1024.0 * 1024.0;
/// A line that is longer counts as several. A pipe holds as much.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// While lines are left out, so long is waited for more of them: woken up for each, this would take as much of the machine
/// as whoever writes them.
const GATHER: Duration = Duration::from_millis(10);

/// Writes lines to `log` until `said` ends.
pub fn pour(said: impl Read, log: impl Write) {
    let mut said = BufReader::with_capacity(LINE_BYTES_MAX as usize, said);
    let mut log = Bounded::new(log, Instant::now());
    let mut line = Vec::new();
    loop {
        line.clear();
        if log.left_out > 0 && said.buffer().is_empty() {
            thread::sleep(GATHER);
        }
        match said.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return log.tell(),
            Ok(_) => log.line(&line, Instant::now()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                eprintln!("a log can't be read any more: {error}");
                return;
            }
        }
    }
}

/// A log with a token bucket before it.
struct Bounded<W> {
    log: W,
    bucket: Bucket,
    /// Since something was last written.
    left_out: u64,
}

// === impl Bounded ===

impl<W: Write> Bounded<W> {
    fn new(log: W, now: Instant) -> Self {
        Self { log, bucket: Bucket::new(BYTES_PER_S, BURST_BYTES, now), left_out: 0 }
    }

    /// Whether a line is written or left out. What comes after others that were left out says how many bytes they had.
    fn line(&mut self, line: &[u8], now: Instant) {
        // After a gap there must be room for more than a line or two, or there would be as many gaps as lines.
        let wanted = if self.left_out == 0 { line.len() as f64 } else { BYTES_PER_S };
        if self.bucket.level(now) < wanted {
            self.left_out += line.len() as u64;
            return;
        }
        self.tell();
        self.bucket.take(line.len());
        // A log that can't be written must not end what is logged.
        let _ = self.log.write_all(line);
    }

    /// How much was left out, if anything was.
    fn tell(&mut self) {
        let left_out = std::mem::take(&mut self.left_out);
        if left_out > 0 {
            let _ = writeln!(self.log, "[{left_out} bytes of log were left out: more than it takes]");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_at_leisure_is_kept_as_it_is() {
        let mut log = Vec::new();
        pour(&b"one\n\xff two\nno end"[..], &mut log);
        assert_eq!(log, b"one\n\xff two\nno end");
    }

    #[test]
    fn of_a_flood_as_much_is_kept_as_the_log_takes_and_the_rest_is_told() {
        let start = Instant::now();
        let mut log = Bounded::new(Vec::new(), start);
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        // 100 MiB in ten seconds.
        for n in 0..102_400_u32 {
            log.line(&line, start + Duration::from_micros(100) * n);
        }
        let kept = log.log.len();
        let may = (BURST_BYTES + 10.3 * BYTES_PER_S) as usize;
        assert!(kept <= may && kept > may / 2, "{kept} of {may}");
        log.line(b"quiet\n", start + Duration::from_secs(60));
        log.line(b"again\n", start + Duration::from_secs(60));
        let text = String::from_utf8(log.log).unwrap();
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        assert!(last[2].ends_with("left out: more than it takes]") && last[..2] == ["again", "quiet"], "{last:?}");
        let told: usize =
            text.lines().filter_map(|line| line.strip_prefix('[')?.split(' ').next()?.parse::<usize>().ok()).sum();
        let written = text.lines().filter(|line| line.starts_with('x')).count() * line.len();
        assert_eq!(told + written, 102_400 * line.len(), "nothing is gone without a word");
    }
}
