//! Which types or sources a filter means.

/// Whether `value` is what `filter` means: the same text, or any rest in place of a trailing `*`. `*` alone is all.
pub fn filter_matches(filter: &str, value: &str) -> bool {
    match filter.strip_suffix('*') {
        Some(prefix) => value.starts_with(prefix),
        None => filter == value,
    }
}

/// Whether one of the filters means `value`; no filters mean all.
pub fn is_wanted(filters: &[String], value: &str) -> bool {
    filters.is_empty() || filters.iter().any(|filter| filter_matches(filter, value))
}

#[cfg(test)]
mod tests {
    use super::filter_matches;

    #[test]
    fn a_filter_is_exact_or_a_prefix() {
        assert!(filter_matches("com.github.push", "com.github.push"));
        assert!(!filter_matches("com.github.push", "com.github.push.x"));
        assert!(filter_matches("com.github.*", "com.github.push"));
        assert!(!filter_matches("com.github.*", "com.gitlab.push"));
        assert!(filter_matches("*", ""));
        assert!(filter_matches("*", "anything"));
        assert!(!filter_matches("", "anything"));
        assert!(!filter_matches("*.push", "com.github.push"));
    }
}
