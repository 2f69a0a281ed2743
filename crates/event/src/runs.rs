//! A number for each event of a batch, run-length encoded: `200x7 56x8` is 200 times 7, then 56 times 8. It goes beside
//! a batch over a link as one short text, since neighbours mostly agree.

use std::fmt;
use std::str::FromStr;

use crate::limits::RUNS_MAX;

/// Numbers in order. Equal neighbours are one run, so equal sequences are equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs(Vec<(usize, u64)>);

/// Why a text is no sequence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no run: write COUNTxNUMBER, at most {RUNS_MAX} numbers in all")]
pub struct NoRuns(String);

// === impl Runs ===

impl Runs {
    /// `count` times `number`.
    pub fn of(count: usize, number: u64) -> Self {
        let mut runs = Runs::default();
        runs.push_many(count, number);
        runs
    }

    pub fn push(&mut self, number: u64) {
        self.push_many(1, number);
    }

    pub fn push_many(&mut self, count: usize, number: u64) {
        match self.0.last_mut() {
            _ if count == 0 => {}
            Some((length, last)) if *last == number => *length += count,
            _ => self.0.push((count, number)),
        }
    }

    /// How many numbers.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(count, _)| count).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each number in its place.
    pub fn iter(&self) -> impl Iterator<Item = u64> + Clone + '_ {
        self.0.iter().flat_map(|(count, number)| std::iter::repeat_n(*number, *count))
    }

    /// Whether all are this number; of none, all are.
    pub fn all(&self, number: u64) -> bool {
        self.0.iter().all(|(_, other)| *other == number)
    }

    /// Each number as often as the one at its place in `times`; what has no partner is left out.
    pub fn repeated(&self, times: &Runs) -> Runs {
        self.iter()
            .zip(times.iter())
            .map(|(number, times)| (usize::try_from(times).unwrap_or(usize::MAX), number))
            .fold(Runs::default(), |mut runs, (times, number)| {
                runs.push_many(times, number);
                runs
            })
    }
}

impl FromIterator<u64> for Runs {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut runs = Runs::default();
        numbers.into_iter().for_each(|number| runs.push(number));
        runs
    }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (count, number)) in self.0.iter().enumerate() {
            let space = if place > 0 { " " } else { "" };
            write!(f, "{space}{count}x{number}")?;
        }
        Ok(())
    }
}

impl FromStr for Runs {
    type Err = NoRuns;

    fn from_str(text: &str) -> Result<Self, NoRuns> {
        let mut runs = Runs::default();
        let mut total = 0_usize;
        for run in text.split(' ').filter(|run| !run.is_empty()) {
            let read =
                run.split_once('x').and_then(|(count, number)| Some((count.parse().ok()?, number.parse().ok()?)));
            let (count, number): (usize, u64) = read.ok_or_else(|| NoRuns(run.to_owned()))?;
            total = total.saturating_add(count);
            // A short text must not stand for more numbers than anybody has events.
            if total > RUNS_MAX {
                return Err(NoRuns(run.to_owned()));
            }
            runs.push_many(count, number);
        }
        Ok(runs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_says_as_little_as_it_can() {
        let runs: Runs = [7, 7, 8, 0, 0, 0].into_iter().collect();
        assert_eq!((runs.to_string().as_str(), runs.len()), ("2x7 1x8 3x0", 6));
        assert_eq!("1x7 1x7  1x8 0x9 3x0".parse(), Ok(runs));
        assert_eq!((Runs::default().to_string().as_str(), "".parse()), ("", Ok(Runs::default())));
    }

    #[test]
    fn what_is_no_run_is_named() {
        for bad in ["7", "x7", "2x", "2x-1", "-1x2", "2x7,1x8", "99999999999x1", "1x18446744073709551616"] {
            assert_eq!(bad.parse::<Runs>(), Err(NoRuns(bad.into())));
        }
        assert!(format!("{RUNS_MAX}x1").parse::<Runs>().is_ok());
        assert!(format!("{RUNS_MAX}x1 1x2").parse::<Runs>().is_err());
    }

    #[test]
    fn numbers_are_repeated_by_others() {
        let claims: Runs = "2x5 1x6".parse().unwrap();
        assert_eq!(claims.repeated(&"1x1 1x0 1x3".parse().unwrap()).to_string(), "1x5 3x6");
        assert!(!claims.all(5) && Runs::of(3, 5).all(5) && Runs::default().all(5));
    }

    proptest! {
        #[test]
        fn every_sequence_reads_back(numbers in proptest::collection::vec(0_u64..3, 0..60)) {
            let runs: Runs = numbers.iter().copied().collect();
            prop_assert_eq!(runs.to_string().parse::<Runs>().unwrap(), runs.clone());
            prop_assert_eq!(runs.iter().collect::<Vec<_>>(), numbers);
        }
    }
}
