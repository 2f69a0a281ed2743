//! Medians, quantiles, spreads.

/// Of several runs: the middle one, and how far they lie apart.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Middle {
    pub median: f64,
    /// Largest minus smallest, in hundredths of the median.
    pub spread_percent: f64,
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
}

/// Values with weights: quantiles count each value as often as its weight says.
#[derive(Debug, Clone, Default)]
pub struct Weighted {
    values: Vec<(u64, u64)>,
    sorted: bool,
}

// === impl Weighted ===

impl Weighted {
    pub fn push(&mut self, value: u64, weight: u64) {
        self.values.push((value, weight));
        self.sorted = false;
    }

    pub fn append(&mut self, other: &Self) {
        self.values.extend_from_slice(&other.values);
        self.sorted = false;
    }

    /// The value at or below which `share` of the weight lies; 0 where there is none.
    pub fn quantile(&mut self, share: f64) -> u64 {
        if !self.sorted {
            self.values.sort_unstable();
            self.sorted = true;
        }
        let total: u64 = self.values.iter().map(|(_, weight)| weight).sum();
        let wanted = (total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (value, weight) in &self.values {
            seen += weight;
            if seen >= wanted {
                return *value;
            }
        }
        0
    }

    /// Microseconds as p50, p99 and max in milliseconds.
    pub fn summary_ms(&mut self) -> [f64; 3] {
        [0.5, 0.99, 1.0].map(|share| self.quantile(share) as f64 / 1e3)
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
    fn quantiles_go_by_weight() {
        let mut values = Weighted::default();
        values.push(10, 98);
        values.push(500, 1);
        values.push(20, 1);
        assert_eq!([0.5, 0.98, 0.99, 1.0].map(|share| values.quantile(share)), [10, 10, 20, 500]);
        assert_eq!(Weighted::default().quantile(0.5), 0);
    }
}
