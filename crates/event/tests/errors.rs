//! Every kind of problem has a page for people, and the page says what the code does.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use er_event::{Kind, Problem};

fn pages() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

#[test]
fn every_kind_has_a_page_and_every_page_a_kind() {
    let there = fs::read_dir(pages()).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = there.filter(|name| name != "README.md").collect();
    let wanted: BTreeSet<String> = Kind::ALL.iter().map(|kind| format!("{}.md", kind.slug())).collect();
    assert_eq!(there, wanted, "pages in docs/errors, and kinds in crates/event/src/problem.rs");
}

#[test]
fn a_page_says_what_the_code_does() {
    for kind in Kind::ALL {
        let page = fs::read_to_string(pages().join(format!("{}.md", kind.slug()))).unwrap();
        let head: Vec<&str> = page.lines().take(3).collect();
        let retry = if kind.retryable() { "yes" } else { "no" };
        let line = format!("`{}` · HTTP {} · safe to retry: {retry}", kind.urn(), kind.status());
        assert_eq!(head, [format!("# {}", kind.title()), String::new(), line]);
        for (part, begin) in [("Mend", ""), ("Retry", if kind.retryable() { "Yes. " } else { "No. " })] {
            assert!(page.contains(&format!("\n**{part}.** {begin}")), "{}: {part}", kind.slug());
        }
        // Its example is one of ours, member by member.
        let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let problem = Problem::from_json(example).unwrap_or_else(|| panic!("{}: no problem: {example}", kind.slug()));
        assert_eq!((problem.kind, problem.status), (*kind, kind.status()));
        let told: serde_json::Value = serde_json::from_str(example).unwrap();
        assert_eq!(serde_json::to_value(&problem).unwrap(), told, "{}", kind.slug());
    }
}

#[test]
fn the_list_of_pages_is_whole() {
    let list = fs::read_to_string(pages().join("README.md")).unwrap();
    let rows: Vec<&str> = list.lines().filter(|line| line.starts_with("| [")).collect();
    let wanted = Kind::ALL.iter().map(|kind| {
        let (slug, retry) = (kind.slug(), if kind.retryable() { "yes" } else { "no" });
        format!("| [{slug}]({slug}.md) | {} | {} | {retry} |", kind.status(), kind.title())
    });
    assert_eq!(rows, wanted.collect::<Vec<_>>());
}
