//! Which types a filter means.

/// Whether `ty` is what `filter` means: the same text, or any rest in place of a trailing `*`. `*` alone is all.
pub fn filter_matches(filter: &str, ty: &str) -> bool {
    match filter.strip_suffix('*') {
        Some(prefix) => ty.starts_with(prefix),
        None => filter == ty,
    }
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
