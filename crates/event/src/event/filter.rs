//! Which types a filter means.

/// Whether `ty` is what `filter` means: the same text, or any rest in place of a trailing `*`. `*` alone is all.
pub fn type_matches(filter: &str, ty: &str) -> bool {
    match filter.strip_suffix('*') {
        Some(prefix) => ty.starts_with(prefix),
        None => filter == ty,
    }
}

#[cfg(test)]
mod tests {
    use super::type_matches;

    #[test]
    fn a_filter_is_exact_or_a_prefix() {
        assert!(type_matches("com.github.push", "com.github.push"));
        assert!(!type_matches("com.github.push", "com.github.push.x"));
        assert!(type_matches("com.github.*", "com.github.push"));
        assert!(!type_matches("com.github.*", "com.gitlab.push"));
        assert!(type_matches("*", ""));
        assert!(type_matches("*", "anything"));
        assert!(!type_matches("", "anything"));
        assert!(!type_matches("*.push", "com.github.push"));
    }
}
