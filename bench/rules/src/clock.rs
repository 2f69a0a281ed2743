//! Time as CPU time of this process, which neighbours on the machine don't lengthen, and how often to look at it.

use std::time::Duration;

use rustix::time::{clock_gettime, ClockId};

/// So much work goes between two looks at the clock.
const CHUNK: Duration = Duration::from_millis(2);
/// By so much [`Pace::brief`] is shorter.
const BRIEF: u32 = 5;

/// How long a figure is measured.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub warm_up: Duration,
    pub run: Duration,
    pub runs: usize,
}

/// Of several runs: the middle one, and how far they lie apart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Middle {
    pub median: f64,
    /// Largest minus smallest, in hundredths of the median.
    pub spread_percent: f64,
}

/// What the process has used of a core, all its threads together.
fn used() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

// === impl Pace ===

impl Pace {
    /// For figures that nobody waits for.
    pub fn brief(&self) -> Self {
        Self { warm_up: self.warm_up / BRIEF, run: self.run / BRIEF, runs: self.runs }
    }

    /// Microseconds of one call of `work`.
    pub fn measure(&self, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Middle> {
        let chunk = self.warm_up(&mut work)?;
        let mut runs = Vec::with_capacity(self.runs);
        for _ in 0..self.runs {
            let (started, mut calls) = (used(), 0_u64);
            let took = loop {
                for _ in 0..chunk {
                    work()?;
                }
                calls += chunk;
                let took = used().saturating_sub(started);
                if took >= self.run {
                    break took;
                }
            };
            runs.push(took.as_secs_f64() * 1e6 / calls as f64);
        }
        Ok(Middle::of(&runs))
    }

    /// How many calls make a chunk.
    fn warm_up(&self, work: &mut impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<u64> {
        let (started, mut calls) = (used(), 0_u64);
        loop {
            work()?;
            calls += 1;
            let took = used().saturating_sub(started);
            if took >= self.warm_up {
                let chunk = CHUNK.as_secs_f64() * calls as f64 / took.as_secs_f64();
                return Ok(chunk.max(1.0) as u64);
            }
        }
    }
}

// === impl Middle ===

impl Middle {
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = match sorted.len() {
            0 => return Self::default(),
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        };
        let range = sorted[sorted.len() - 1] - sorted[0];
        Self { median, spread_percent: if median == 0.0 { 0.0 } else { 100.0 * range / median } }
    }

    /// An event's share, where it was a batch that was measured.
    pub fn shared(self, events: usize) -> Self {
        Self { median: self.median / events as f64, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_runs_and_their_spread() {
        assert_eq!(Middle::of(&[90.0, 110.0, 100.0]), Middle { median: 100.0, spread_percent: 20.0 });
        assert_eq!(Middle::of(&[1.0, 3.0]).median, 2.0);
        assert_eq!(Middle::of(&[]), Middle::default());
    }

    #[test]
    fn work_is_timed_by_what_it_uses() {
        let pace = Pace { warm_up: Duration::from_millis(1), run: Duration::from_millis(5), runs: 3 };
        let mut sum = 0_u64;
        let middle = pace.measure(|| {
            sum = (0..1_000_u64).fold(sum, |sum, each| sum.wrapping_add(std::hint::black_box(each)));
            Ok(())
        });
        let median = middle.unwrap().median;
        assert!(median > 0.01 && median < 1_000.0, "{median}");
    }
}
