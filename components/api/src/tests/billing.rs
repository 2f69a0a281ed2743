//! Usage, invoices and plans: who may ask, and what is asked of billing.

use er_event::keys::Role;

use super::world::{json, whole, World};
use crate::backend::FaultCode;

const LOOKING: [&str; 6] = [
    "/api/v1/usage/acme",
    "/api/v1/invoice/acme",
    "/api/v1/invoice/acme/acme-2025-06-1",
    "/api/v1/invoice/acme/acme-2025-06-1/proof",
    "/api/v1/invoices/acme",
    "/api/v1/tenants/acme/plan",
];

#[test]
fn a_tenant_sees_its_own_and_an_operator_all_and_whoever_else_looks_is_logged() {
    let world = World::new();
    let (viewer, publisher) = (world.key("acme", Role::Viewer), world.key("acme", Role::Publisher));
    let (other, operator) = (world.key("other", Role::Admin), world.operator());
    for path in LOOKING {
        assert_eq!(world.get(&viewer, path).status, 200, "{path}");
        assert_eq!(world.get(&operator, path).status, 200, "{path}");
        assert_eq!(world.asked.borrow().len(), 2, "{path}");
        world.asked.borrow_mut().clear();
        for (key, tenant) in [(&other, "other"), (&publisher, "acme")] {
            assert_eq!(world.get(key, path).status, 403, "{path}");
            let line = world.logged.borrow_mut().pop().unwrap();
            assert!(line.starts_with(&format!("refused: GET {path} by key ")) && line.contains(tenant), "{line}");
        }
        assert_eq!(world.get("Bearer er_acme_x", path).status, 401, "{path}");
        let line = world.logged.borrow_mut().pop().unwrap();
        assert!(line.contains(&format!("GET {path}")), "{line}");
    }
    assert!(world.asked.borrow().is_empty() && world.logged.borrow().is_empty());
}

#[test]
fn only_operators_change_plans_and_invoices() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    for (method, path, asked) in [
        ("PUT", "/api/v1/plans/team", r#"save team {"plan":1}"#),
        ("PUT", "/api/v1/tenants/acme/plan", r#"subscribe acme {"plan":1}"#),
        ("POST", "/api/v1/invoice/acme/i-1/void", "void acme i-1"),
        ("POST", "/api/v1/invoice/acme/i-1/issue", "issue acme i-1"),
    ] {
        assert_eq!(world.send(&admin, method, path, r#"{"plan":1}"#).status, 403, "{path}");
        assert_eq!(world.send(&world.operator(), method, path, r#"{"plan":1}"#).status, 200, "{path}");
        assert_eq!(world.asked.borrow_mut().drain(..).collect::<Vec<_>>(), [asked]);
    }
    assert_eq!(world.get(&admin, "/api/v1/plans").status, 200);
    assert_eq!(world.get(&admin, "/api/v1/plans/team").status, 200);
}

#[test]
fn the_query_says_what_of_usage_and_in_which_form() {
    let world = World::new();
    let key = world.key("acme", Role::Viewer);
    let asked = |target: &str| {
        world.asked.borrow_mut().clear();
        let status = world.get(&key, target).status;
        (status, world.asked.borrow().first().cloned().unwrap_or_default())
    };
    let none = r#"UsageAsked { window: "day", since: None, until: None, meters: [] }"#;
    assert_eq!(asked("/api/v1/usage/acme"), (200, format!("usage acme {none} Format::Json")));
    let target =
        "/api/v1/usage/acme?window=hour&from=2025-05-01T00:00:00Z&to=2025-05-02T00:00:00%2B01:00&meters=a,b&format=csv";
    let (_, said) = asked(target);
    let all = r#"window: "hour", since: Some("2025-05-01T00:00:00Z"), until: Some("2025-05-02T00:00:00+01:00"), meters: ["a", "b"]"#;
    assert!(said.contains(all) && said.ends_with("Csv"), "{said}");
    for bad in ["from=yesterday", "format=pdf", "windows=day", "window=day&window=hour"] {
        assert_eq!(asked(&format!("/api/v1/usage/acme?{bad}")), (400, String::new()), "{bad}");
    }
}

#[test]
fn what_a_client_accepts_says_the_form_too() {
    let world = World::new();
    let key = world.key("acme", Role::Viewer);
    for (accept, content_type) in [
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "application/json"),
    ] {
        let headers = [("authorization", key.as_str()), ("accept", accept)];
        let response = whole(world.ask("GET", "/api/v1/invoice/acme", &headers, ""));
        assert_eq!((response.status, response.content_type), (200, content_type));
    }
}

#[test]
fn what_billing_refuses_is_a_problem_of_the_query_or_of_the_body() {
    let world = World::new();
    let operator = world.operator();
    for (code, query, body) in [
        (FaultCode::Invalid, 400, 422),
        (FaultCode::NotFound, 404, 404),
        (FaultCode::Conflict, 409, 409),
        (FaultCode::Unavailable, 503, 503),
    ] {
        world.account_fault.set(Some(code));
        assert_eq!(world.get(&operator, "/api/v1/usage/acme").status, query);
        assert_eq!(world.send(&operator, "PUT", "/api/v1/tenants/acme/plan", "{}").status, body);
    }
    let broken = world.send(&operator, "PUT", "/api/v1/plans/team", "{\n\"name\": }");
    assert_eq!((broken.status, json(&broken)["at"]["line"].as_u64()), (400, Some(2)), "{}", broken.body);
    assert_eq!(world.get(&operator, "/api/v1/usage/UP").status, 404);
}

#[test]
fn tenants_are_listed_page_by_page() {
    let world = World::new();
    let operator = world.operator();
    let page = |query: &str| {
        let page = json(&world.get(&operator, &format!("/api/v1/tenants{query}")));
        (page["tenants"].as_array().unwrap().len(), page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(page(""), (2, None));
    assert_eq!(page("?limit=1"), (1, Some("acme".into())));
    assert_eq!(page("?limit=1&after=acme"), (1, Some("other".into())));
    assert_eq!(page("?limit=1&after=other"), (0, None));
}
