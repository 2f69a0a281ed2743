//! What `docs/metrics.md` says of each metric: the text is also what Prometheus gets to know.

use metrics::{describe_counter, describe_gauge, describe_histogram, Unit};

const DOCS: &str = include_str!("../../../../docs/metrics.md");

/// One row of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub unit: &'static str,
    pub labels: Vec<&'static str>,
    pub meaning: &'static str,
}

/// Every metric that is documented, in order.
pub fn documented() -> impl Iterator<Item = Documented> {
    DOCS.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `eventrunner_")?.trim_end_matches('|').split('|').map(str::trim);
        // With the prefix, which was cut off together with what stands before it.
        let name = line.get(3..)?.split('`').next()?;
        cells.next()?;
        let (kind, unit, labels) = (cells.next()?, cells.next()?, cells.next()?);
        let labels = labels.split(',').map(|label| label.trim().trim_matches('`')).filter(|label| !label.is_empty());
        Some(Documented { name, kind, unit, labels: labels.collect(), meaning: cells.next()? })
    })
}

/// Describes them all to the recorder, which tells of those that it has.
pub(super) fn describe() {
    for metric in documented() {
        let unit = match metric.unit {
            "seconds" => Unit::Seconds,
            "bytes" => Unit::Bytes,
            _ => Unit::Count,
        };
        match metric.kind {
            "counter" => describe_counter!(metric.name, unit, metric.meaning),
            "gauge" => describe_gauge!(metric.name, unit, metric.meaning),
            _ => describe_histogram!(metric.name, unit, metric.meaning),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Names that stand in the sources of all providers and of what they are made of.
    fn in_code() -> BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut names = BTreeSet::new();
        let mut folders: Vec<_> = ["providers", "crates"].map(|folder| root.join(folder)).into();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("tests") && !path.ends_with("testkit") {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    names.extend(recorded(&fs::read_to_string(path).unwrap()));
                }
            }
        }
        names
    }

    /// The first text after each of the macros that record.
    fn recorded(source: &str) -> Vec<String> {
        let mut names = Vec::new();
        for recorder in ["counter!(", "gauge!(", "histogram!("] {
            for (place, _) in source.match_indices(recorder) {
                // Not the macros that describe, nor this list.
                let before = source[..place].chars().next_back();
                let Some(rest) = source[place + recorder.len()..].trim_start().strip_prefix('"') else { continue };
                if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '"') {
                    names.push(rest.split('"').next().unwrap().to_owned());
                }
            }
        }
        names
    }

    #[test]
    fn what_is_recorded_is_documented_and_what_is_documented_is_recorded() {
        let documented: BTreeSet<String> = documented().map(|metric| metric.name.to_owned()).collect();
        let recorded = in_code();
        assert!(recorded.len() > 50, "{recorded:?}");
        let untold: Vec<_> = recorded.difference(&documented).collect();
        let gone: Vec<_> = documented.difference(&recorded).collect();
        assert!(untold.is_empty() && gone.is_empty(), "not in docs/metrics.md: {untold:?}; not in the code: {gone:?}");
    }

    #[test]
    fn names_follow_the_scheme() {
        let mut seen = BTreeMap::new();
        for metric in documented() {
            let name = metric.name;
            assert!(seen.insert(name, ()).is_none(), "{name} is there twice");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == "counter", "{name} is a {}", metric.kind);
            assert!(["counter", "gauge", "histogram"].contains(&metric.kind), "{name}: {}", metric.kind);
            for unit in ["seconds", "bytes"] {
                assert!(!name.ends_with(&format!("_{unit}")) || metric.unit == unit, "{name}: {}", metric.unit);
            }
            let told = metric.unit.is_empty() || metric.kind == "counter" || name.ends_with(metric.unit);
            assert!(told, "{name} does not end in its unit, {}", metric.unit);
            assert!(metric.labels.contains(&"tenant") == name.starts_with("eventrunner_tenant_"), "{name}");
            assert!(metric.meaning.len() > 10, "{name} says nothing");
        }
        assert!(seen.len() > 50, "{seen:?}");
    }
}
