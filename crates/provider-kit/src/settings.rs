//! Settings from link or provider configuration: typed, with errors instead of silent defaults.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

/// What is wrong with a setting, and the mend.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("{owner}: setting `{key}` is missing; add it to the link or provider configuration")]
    Missing { owner: String, key: String },
    #[error("{owner}: setting `{key}` is `{value}`: {reason}")]
    Invalid { owner: String, key: String, value: String, reason: String },
    #[error("{owner}: unknown setting(s) {unknown}; known are {known}")]
    Unknown { owner: String, unknown: String, known: String },
}

/// A view of a configuration that remembers which keys were asked for.
#[derive(Debug)]
pub struct Settings<'a> {
    owner: String,
    map: &'a HashMap<String, String>,
    known: BTreeSet<&'static str>,
}

// === impl Settings ===

impl<'a> Settings<'a> {
    /// `owner` names the link or provider in errors.
    pub fn new(owner: impl Into<String>, map: &'a HashMap<String, String>) -> Self {
        Self { owner: owner.into(), map, known: BTreeSet::new() }
    }

    /// The text of `key`, if set and not empty.
    pub fn text(&mut self, key: &'static str) -> Option<&'a str> {
        self.known.insert(key);
        self.map.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// # Errors
    /// [`Error::Missing`]
    pub fn required(&mut self, key: &'static str) -> Result<&'a str, Error> {
        let owner = self.owner.clone();
        self.text(key).ok_or(Error::Missing { owner, key: key.into() })
    }

    /// The value of `key`, or `default` where it is not set.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it does not parse, or lies outside `range`.
    pub fn number<T>(&mut self, key: &'static str, default: T, range: std::ops::RangeInclusive<T>) -> Result<T, Error>
    where
        T: FromStr + PartialOrd + Display,
        T::Err: Display,
    {
        let Some(text) = self.text(key) else {
            return Ok(default);
        };
        let invalid =
            |reason: String| Error::Invalid { owner: self.owner.clone(), key: key.into(), value: text.into(), reason };
        let value: T = text.parse().map_err(|e: T::Err| invalid(e.to_string()))?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(invalid(format!("must be from {} to {}", range.start(), range.end())))
        }
    }

    /// A duration in milliseconds; `key` ends in `_ms`.
    ///
    /// # Errors
    /// As [`Settings::number`].
    pub fn millis(
        &mut self,
        key: &'static str,
        default_ms: u64,
        range_ms: std::ops::RangeInclusive<u64>,
    ) -> Result<Duration, Error> {
        self.number(key, default_ms, range_ms).map(Duration::from_millis)
    }

    /// A socket address; not set: `port` on 127.0.0.1.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is not `host:port` with a numeric host.
    pub fn addr(&mut self, key: &'static str, port: u16) -> Result<SocketAddr, Error> {
        let Some(text) = self.text(key) else {
            return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
        };
        text.parse().map_err(|_| Error::Invalid {
            owner: self.owner.clone(),
            key: key.into(),
            value: text.into(),
            reason: format!("not an address such as 127.0.0.1:{port}"),
        })
    }

    /// A comma-separated list; empty where it is not set.
    pub fn list(&mut self, key: &'static str) -> Vec<String> {
        self.text(key)
            .map(|text| text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_string).collect())
            .unwrap_or_default()
    }

    /// Refuses keys that nobody asked for: a misspelt setting is an error, not a default.
    ///
    /// # Errors
    /// [`Error::Unknown`]
    pub fn finish(self) -> Result<(), Error> {
        let unknown: Vec<&str> = self.map.keys().map(String::as_str).filter(|key| !self.known.contains(key)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Error::Unknown {
            owner: self.owner,
            unknown: unknown.join(", "),
            known: self.known.into_iter().collect::<Vec<_>>().join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect()
    }

    #[test]
    fn names_a_missing_key_and_its_owner() {
        let map = map(&[]);
        let error = Settings::new("link to x", &map).required("tenant").unwrap_err();
        assert!(error.to_string().starts_with("link to x: setting `tenant` is missing"));
    }

    #[test]
    fn refuses_numbers_out_of_range_and_words() {
        let map = map(&[("a", "0"), ("b", "many"), ("c", "7")]);
        let mut settings = Settings::new("p", &map);
        assert!(settings.number("a", 1u32, 1..=9).is_err());
        assert!(settings.number("b", 1u32, 1..=9).is_err());
        assert_eq!(settings.number("c", 1u32, 1..=9), Ok(7));
        assert_eq!(settings.number("d", 1u32, 1..=9), Ok(1));
    }

    #[test]
    fn refuses_a_misspelt_key() {
        let map = map(&[("tennant", "x")]);
        let mut settings = Settings::new("p", &map);
        settings.text("tenant");
        let error = settings.finish().unwrap_err().to_string();
        assert_eq!(error, "p: unknown setting(s) tennant; known are tenant");
    }

    #[test]
    fn splits_lists_and_drops_blanks() {
        let map = map(&[("types", "a, b ,,c*")]);
        assert_eq!(Settings::new("p", &map).list("types"), ["a", "b", "c*"]);
    }
}
