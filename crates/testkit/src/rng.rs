//! Chance that can be played again: the seed is `ER_SEED`, or drawn and printed.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64. Good enough to choose what to break, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Rng(u64);

// === impl Rng ===

impl Rng {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed of this run, printed so that a failure can be replayed.
    #[must_use]
    pub fn seed(test: &str) -> u64 {
        let given = std::env::var("ER_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |since| since.as_secs() ^ u64::from(since.subsec_nanos()))
        });
        eprintln!("{test}: ER_SEED={seed} replays it");
        seed
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.draw() % end).unwrap_or_default()
    }

    /// One of `choices`; none of none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }

    /// JSON text of a small object with what breaks careless codecs: escapes, non-ASCII, nesting, long numbers.
    pub fn json(&mut self, bytes: usize) -> String {
        const PIECES: [&str; 8] = [
            "plain text ",
            "«größer» ",
            "日本語 ",
            "😀 ",
            "\\\"quoted\\\" ",
            "\\u00e9\\n ",
            "a/b\\\\c ",
            "\\ud83d\\ude00 ",
        ];
        let mut text = String::new();
        while text.len() < bytes {
            text.push_str(self.pick(&PIECES).copied().unwrap_or_default());
        }
        let (a, b) = (self.draw(), self.draw() % 1000);
        format!(
            r#"{{"n":{a},"x":-{b}.50e3,"flag":{},"none":null,"list":[1,[2,{{"deep":"{b}"}}]],"text":"{text}"}}"#,
            a % 2 == 0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays() {
        let draws = |seed| {
            let mut rng = Rng::new(seed);
            (0..8).map(|_| rng.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn random_json_is_json() {
        let mut rng = Rng::new(1);
        for bytes in [0, 10, 500] {
            serde_json::from_str::<serde_json::Value>(&rng.json(bytes)).unwrap();
        }
    }
}
