use er_event::keys::Role;

use super::world::World;
use crate::http::{Answer, Headers};

const CONSOLE: &str = "https://console.example.com";

fn headers(answer: Answer) -> Headers {
    match answer {
        Answer::Whole(response) => response.headers,
        Answer::Stream(_, headers) => headers,
    }
}

fn get(headers: &Headers, name: &str) -> Option<String> {
    headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
}

fn world(allowed: &str) -> World {
    let world = World::new();
    world.settings.borrow_mut().insert("allowed_origins".into(), allowed.into());
    world
}

#[test]
fn a_page_of_an_allowed_origin_may_ask_and_read() {
    let world = world("https://a.example https://console.example.com");
    let viewer = world.key("acme", Role::Viewer);
    let asks_first = [("origin", CONSOLE), ("access-control-request-method", "PUT")];
    let told = headers(world.ask("OPTIONS", "/api/v1/rules/a", &asks_first, ""));
    assert_eq!(get(&told, "access-control-allow-origin").as_deref(), Some(CONSOLE));
    assert_eq!(get(&told, "access-control-allow-methods").as_deref(), Some("GET, HEAD, PUT, DELETE, OPTIONS"));
    assert!(get(&told, "access-control-allow-headers").unwrap().contains("if-match"));
    // What is refused can be read, too, and the live tail.
    for (target, key) in
        [("/api/v1/rules", &*viewer), ("/api/v1/tail", &*viewer), ("/api/v1/rules", ""), ("/nowhere", "")]
    {
        let told = headers(world.ask("GET", target, &[("origin", CONSOLE), ("authorization", key)], ""));
        assert_eq!(get(&told, "access-control-allow-origin").as_deref(), Some(CONSOLE), "{target} {key}");
        assert_eq!(get(&told, "vary").as_deref(), Some("Origin"));
        assert!(get(&told, "access-control-expose-headers").unwrap().contains("etag"));
        assert_eq!(get(&told, "access-control-allow-credentials"), None);
    }
}

#[test]
fn any_other_origin_is_told_nothing() {
    for (allowed, origin) in [
        ("", CONSOLE),
        ("https://console.example.com", "http://console.example.com"),
        ("https://console.example.com", "https://console.example.com:8443"),
        ("https://console.example.com", "https://example.com"),
        ("*", CONSOLE),
        ("null", "null"),
        ("", ""),
    ] {
        let world = world(allowed);
        for (method, more) in [("GET", "x"), ("OPTIONS", "access-control-request-method")] {
            let told = headers(world.ask(method, "/api/v1/rules", &[("origin", origin), (more, "GET")], ""));
            assert!(told.iter().all(|(name, _)| !name.starts_with("access-control")), "{allowed} {origin}: {told:?}");
        }
    }
}
