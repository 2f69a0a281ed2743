//! The console's files: whole, for browsers only, and closed to everything else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::world::{whole, World};
use crate::http::Response;

const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn get(path: &str, headers: &[(&str, &str)]) -> Response {
    whole(World::new().ask("GET", path, headers, ""))
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

/// Paths below `components/api/console`.
fn on_disk() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("console");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// What stands between these, each time.
fn between<'a>(text: &'a str, before: &str, after: &str) -> BTreeSet<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

#[test]
fn browsers_get_the_page_and_all_others_the_list() {
    let page = get("/", &[BROWSER]);
    assert_eq!((page.status, page.content_type), (200, "text/html; charset=utf-8"));
    assert!(page.body.starts_with("<!doctype html>"));
    assert_eq!(header(&page, "vary"), "accept");
    for headers in [&[][..], &[("accept", "*/*")]] {
        let list = get("/", headers);
        assert!(
            list.content_type.starts_with("text/plain") && list.body.starts_with("EventRunner HTTP API"),
            "{headers:?}"
        );
        assert_eq!(header(&list, "vary"), "accept");
    }
    assert_eq!(get("/console/", &[]).body, page.body);
}

#[test]
fn every_file_is_served_and_nothing_else() {
    for path in on_disk() {
        let answer = get(&format!("/console/{path}"), &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(
            answer.body,
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("console").join(&path)).unwrap()
        );
        let policy = header(&answer, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer", "{path}");
    }
    for path in ["/console/js", "/console/../Cargo.toml", "/console/js%2Fmain.js/x", "/console/index"] {
        assert_eq!(get(path, &[]).status, 404, "{path}");
    }
    let posted = whole(World::new().ask("POST", "/console/js/main.js", &[], ""));
    assert_eq!((posted.status, header(&posted, "allow")), (405, "GET, HEAD, OPTIONS"));
}

#[test]
fn a_file_that_is_known_is_not_sent_again() {
    let first = get("/console/js/main.js", &[]);
    let tag = header(&first, "etag").to_owned();
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let again = get("/console/js/main.js", &[("if-none-match", &known)]);
        assert_eq!((again.status, again.body.as_str(), header(&again, "etag")), (304, "", tag.as_str()), "{known}");
    }
    let other = header(&get("/console/js/dom.js", &[]), "etag").to_owned();
    assert_eq!(get("/console/js/main.js", &[("if-none-match", &other)]).status, 200);
}

#[test]
fn what_a_file_refers_to_is_there() {
    let page = get("/", &[BROWSER]);
    let named = between(&page.body, "=\"/console/", "\"");
    assert!(named.len() > 6, "{named:?}");
    for path in named {
        assert_eq!(get(&format!("/console/{path}"), &[]).status, 200, "{path}");
    }
    for path in on_disk().iter().filter(|path| path.ends_with(".js")) {
        let text = get(&format!("/console/{path}"), &[]).body;
        let imports = text.lines().filter(|line| line.starts_with("import "));
        for import in imports.filter_map(|line| line.split('"').nth(1)) {
            let mut target = PathBuf::from("/console").join(path).parent().unwrap().to_path_buf();
            for part in import.split('/') {
                match part {
                    "." => {}
                    ".." => assert!(target.pop()),
                    name => target.push(name),
                }
            }
            assert_eq!(get(target.to_str().unwrap(), &[]).status, 200, "{path} imports {import}");
        }
    }
}

/// What the browser's policy refuses should not be tried in the first place.
#[test]
fn no_file_makes_markup_of_text_or_asks_another_origin() {
    for path in on_disk() {
        let text = get(&format!("/console/{path}"), &[]).body.replace("http://www.w3.org/2000/svg", "");
        for word in [
            "innerHTML =",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "http://",
            "https://",
            "style=\"",
        ] {
            assert!(!text.contains(word), "{path} has {word}");
        }
    }
}
