//! Sums by window as they cross a link: `[["2026-04-01T00:00:00Z",{"events_in":7}],…]`.

use crate::limits::WINDOWS_MAX;
use crate::{Error, Quantities, Result, Time, Usage};

/// Begins of windows with what was used in each.
pub fn rows_json(rows: &[(Time, Quantities)]) -> Result<String> {
    if rows.len() > WINDOWS_MAX {
        return Err(Error::Rows(WINDOWS_MAX));
    }
    // Texts and whole numbers can't fail to be written.
    Ok(serde_json::to_string(rows).unwrap_or_default())
}

/// What [`rows_json`] wrote.
pub fn read_rows(text: &str) -> Result<Vec<(Time, Quantities)>> {
    serde_json::from_str(text).map_err(|error| Error::Record { line: error.line(), what: error.to_string() })
}

impl Usage {
    /// Adds the sum of all rows to the window that begins at `start`.
    pub fn add_rows(&mut self, start: Time, rows: &[(Time, Quantities)]) -> Result<()> {
        rows.iter().try_for_each(|(_, used)| self.add_all(start, used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Meter, Period, Window};

    #[test]
    fn rows_read_back() {
        let month = Period::month("2026-04").unwrap();
        let used = Quantities::of(Meter::EventsIn, 7).unwrap();
        let text = rows_json(&[(month.from(), used)]).unwrap();
        assert_eq!(text, r#"[["2026-04-01T00:00:00Z",{"events_in":7}]]"#);
        let rows = read_rows(&text).unwrap();
        assert_eq!(rows, [(month.from(), used)]);
        let mut usage = Usage::new("acme", month, Window::Minute).unwrap();
        usage.add_rows(month.from(), &[rows[0], rows[0]]).unwrap();
        assert_eq!(usage.sum(month).unwrap().get(Meter::EventsIn), 14);
        assert!(read_rows(r#"[["2026-04-01T00:00:00Z",{"events":7}]]"#).is_err());
        assert_eq!(rows_json(&vec![(month.from(), used); WINDOWS_MAX + 1]), Err(Error::Rows(WINDOWS_MAX)));
    }
}
