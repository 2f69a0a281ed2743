//! The part of a URL after the `?`.

use std::fmt::Display;
use std::str::FromStr;

use er_event::event::time_us;
use er_event::{Kind, Problem};

/// Parameters, each given at most once and known to the route.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

// === impl Query ===

impl Query {
    /// A misspelt filter must not answer with everything, so unknown names are an error.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, Problem> {
        Query::parse_with(text, known, "").map(|(query, _)| query)
    }

    /// As [`Query::parse`], with those beside whose name begins with `prefix` (not empty), without it.
    pub fn parse_with(text: &str, known: &[&str], prefix: &str) -> Result<(Self, Vec<(String, String)>), Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut named: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let rest = name.strip_prefix(prefix).filter(|rest| !prefix.is_empty() && !rest.is_empty());
            if let Some(rest) = rest {
                if named.iter().any(|(other, _)| other == rest) {
                    return Err(invalid(&name, "is given twice"));
                }
                named.push((rest.to_owned(), value.into_owned()));
                continue;
            }
            if !known.contains(&&*name) {
                let mend = match known {
                    [] => "Leave it out: this route takes none.".to_owned(),
                    _ => format!("Known here: {}.", known.join(", ")),
                };
                return Err(invalid(&name, "is not known").mend(mend));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(invalid(&name, "is given twice"));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok((Query(pairs), named))
    }

    /// None when absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A whole number.
    pub fn number<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let read =
            |text: &str| text.parse().map_err(|cause| invalid(name, format!("is not a number from 0 on: {cause}")));
        self.get(name).map(read).transpose()
    }

    /// `limit`: 1 to 1,000, 100 when absent.
    pub fn limit(&self) -> Result<u32, Problem> {
        match self.number("limit")?.unwrap_or(100) {
            limit @ 1..=1000 => Ok(limit),
            _ => Err(invalid("limit", "must be 1 to 1000")),
        }
    }

    /// Where a page begins: `cursor`, or `after`, which was its name in some lists.
    pub fn cursor(&self) -> Result<Option<&str>, Problem> {
        match (self.get("cursor"), self.get("after")) {
            (Some(_), Some(_)) => Err(invalid("after", "says the same as cursor: give one of them")),
            (cursor, after) => Ok(cursor.or(after)),
        }
    }

    /// An RFC 3339 time. A `+` of its offset that was left unencoded has arrived as a space.
    pub fn time(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let text = text.replace(' ', "+");
        match time_us(&text) {
            Some(_) => Ok(Some(text)),
            None => Err(invalid(name, "is not an RFC 3339 time").mend("Write it as 2025-01-31T12:00:00Z.")),
        }
    }
}

pub fn invalid(name: &str, what: impl Display) -> Problem {
    Problem::new(Kind::InvalidQuery, format!("parameter {name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, Problem> {
        Query::parse(text, &["type", "limit", "from", "after"])
    }

    #[test]
    fn values_are_decoded_and_empty_ones_are_absent() {
        let query = query("type=a%2Fb+c&from=").unwrap();
        assert_eq!(query.get("type"), Some("a/b c"));
        assert_eq!(query.get("from"), None);
        assert_eq!(query.get("limit"), None);
    }

    #[test]
    fn a_misspelt_or_repeated_parameter_is_an_error() {
        assert_eq!(query("tpye=a").unwrap_err().detail, "parameter tpye is not known");
        assert_eq!(query("type=a&type=b").unwrap_err().detail, "parameter type is given twice");
    }

    #[test]
    fn limits_keep_to_their_range() {
        let limit = |text: &str| query(text).unwrap().limit().map_err(|problem| problem.status);
        assert_eq!(limit(""), Ok(100));
        assert_eq!(limit("limit=1"), Ok(1));
        assert_eq!(limit("limit=1000"), Ok(1000));
        for bad in ["limit=0", "limit=1001", "limit=-1", "limit=ten", "limit=99999999999"] {
            assert_eq!(limit(bad), Err(400), "{bad}");
        }
    }

    #[test]
    fn times_are_rfc_3339_with_or_without_an_encoded_plus() {
        let from = |text: &str| query(text).unwrap().time("from").map_err(|problem| problem.status);
        assert_eq!(from("from=2025-01-31T12:00:00Z"), Ok(Some("2025-01-31T12:00:00Z".into())));
        assert_eq!(from("from=2025-01-31T12:00:00+02:00"), Ok(Some("2025-01-31T12:00:00+02:00".into())));
        assert_eq!(from("from=yesterday"), Err(400));
    }
}
