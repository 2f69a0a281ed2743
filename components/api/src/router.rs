//! From a path to a route, and what may be done with each.

use percent_encoding::percent_decode_str;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    Index,
    /// A file of the page for browsers.
    Console(String),
    Health,
    /// The document that describes all of these.
    OpenApi,
    Tenants,
    Tenant(String),
    /// Of the named tenant; none is the caller's own.
    Keys(Option<String>),
    Key(Option<String>, String),
    Members(String),
    /// Of that tenant, that user.
    Member(String, String),
    /// Who calls.
    Whoami,
    Events,
    Event {
        source: String,
        id: String,
    },
    /// What became of one event.
    Story {
        source: String,
        id: String,
    },
    DeadLetters,
    DeadLetter(String),
    Redrive,
    Discard,
    Replays,
    Replay(String),
    Consumers,
    Consumer(String),
    ConsumerLogs(String),
    ConsumerRollback(String),
    /// Held, or let go.
    ConsumerHold(String, bool),
    Policies,
    PolicyVersions,
    PolicyData,
    PolicyBundle,
    PolicyActivate,
    Tail,
    Rules,
    Rule(String),
    RulesVersions,
    RulesRollback,
    RulesTest,
    Usage(String),
    Invoices(String),
    /// None: the newest.
    Invoice(String, Option<String>),
    InvoiceProof(String, String),
    InvoiceIssue(String, String),
    InvoiceVoid(String, String),
    /// A tenant's plans, one after the other.
    Subscription(String),
    Plans,
    Plan(String),
}

/// For people who ask `/`.
pub const INDEX: &str = "\
EventRunner HTTP API. Authenticate with `Authorization: Bearer er_…` or `X-API-Key: er_…`.

GET    /healthz                            is it up? (no key needed)
GET    /api/v1/openapi.json                all of this as an OpenAPI document (no key needed)
GET    /api/v1/events                      ?type=&source=&from=&to=&cursor=&limit=  newest first
GET    /api/v1/events/{source}/{id}        one event; both percent-encoded, or ?source=&id=
GET    /api/v1/events/{source}/{id}/story  what became of it: rules, tags, end
GET    /api/v1/tail                        ?types=a,b*&after=&for_s=  server-sent events as they come
GET    /api/v1/dead-letters                ?cursor=&limit=
GET    /api/v1/dead-letters/{seq}          one, with reason and attempts
POST   /api/v1/dead-letters:redrive        {\"seqs\"} or {\"consumer\",\"stage\",\"reason\",\"limit\"} or {\"all\":true}  (admin)
POST   /api/v1/dead-letters:discard        the same                          (admin)
GET    /api/v1/replays                     /replays/{id} is one
POST   /api/v1/replays                     {\"consumer\",\"from\",\"to\"?,\"types\"?,\"events_per_s\"?}  (admin)
GET    /api/v1/consumers                   /consumers/{name} is one, with its state and versions
PUT    /api/v1/consumers/{name}            a component as application/wasm, or settings as JSON  (admin)
       ?types=a,b*&sources=&routes=&batch_events_max=&attempts_max=&backoff_ms=&timeout_ms=&deliver=all|new&env.KEY=VALUE
POST   /api/v1/consumers?name=             the same                          (admin)
DELETE /api/v1/consumers/{name}                                              (admin)
GET    /api/v1/consumers/{name}/logs       ?limit=
POST   /api/v1/consumers/{name}:rollback   {\"version\"}                       (admin)
POST   /api/v1/consumers/{name}:pause      {\"reason\"?}; :resume              (admin)
GET    /api/v1/rules                       the version that counts, and its texts
GET    /api/v1/rules/{name}                ?version=  one text
PUT    /api/v1/rules/{name}                GRL, or JSON rules as application/json   (admin)
DELETE /api/v1/rules/{name}                                                  (admin)
GET    /api/v1/rules:versions              who changed what, and when
POST   /api/v1/rules:rollback              {\"version\"}                       (admin)
POST   /api/v1/rules:test                  {\"rules\"|\"json_rules\"?,\"events\"|\"last\"}
GET    /api/v1/usage/{tenant}              ?window=minute|hour|day|month&from=&to=&meters=a,b&format=json|csv|html
GET    /api/v1/invoice/{tenant}            ?format=  the newest: this month's draft
GET    /api/v1/invoice/{tenant}/{id}       ?format=
GET    /api/v1/invoice/{tenant}/{id}/proof computed again, from analytics and stream
GET    /api/v1/invoices/{tenant}           all of them, newest first
GET    /api/v1/tenants/{id}/plan           the tenant's plans, one after the other
GET    /api/v1/plans                       plans on offer; /plans/{name} is one
GET    /api/v1/keys                        your tenant's API keys            (admin)
POST   /api/v1/keys                        {\"role\",\"name\"?,\"expires\"?}       (admin)
DELETE /api/v1/keys/{id}                                                     (admin)
GET    /api/v1/tenants                     ?cursor=&limit=                       (operator)
POST   /api/v1/tenants                     {\"id\",\"name\"?,\"quota\"?}           (operator)
GET    /api/v1/tenants/{id}                                                  (operator)
PATCH  /api/v1/tenants/{id}                {\"name\",\"suspended\",\"quota\"}      (operator)
DELETE /api/v1/tenants/{id}                suspends it, deletes its keys     (operator)
GET    /api/v1/policies                    what decides; /policies/versions      (operator)
PUT    /api/v1/policies/data               JSON; /policies/bundle: a tar.gz      (operator)
POST   /api/v1/policies:activate           {\"bundle\",\"data\"?}               (operator)
PUT    /api/v1/tenants/{id}/plan           {\"plan\": name or plan,\"effective_from\"?} (operator)
PUT    /api/v1/plans/{name}                docs/billing.md has what a plan says  (operator)
POST   /api/v1/invoice/{tenant}/{id}/void  takes it back whole                   (operator)
POST   /api/v1/invoice/{tenant}/{id}/issue makes the next of that month final    (operator)
GET    /api/v1/tenants/{id}/members        who may come in, and as what      (tenant_admin)
PUT    /api/v1/tenants/{id}/members/{user} {\"role\"}; also GET and DELETE     (tenant_admin)
GET    /api/v1/whoami                      who you are
GET    /api/v1/tenants/{id}/keys           as /api/v1/keys; also POST, and DELETE /{key-id}

Operators name another tenant with ?tenant= . A POST with an Idempotency-Key is done once, however often it is sent.
";

impl Route {
    /// None: there is no such path.
    pub fn find(path: &str) -> Option<Route> {
        let mut segments = path.strip_prefix('/')?.split('/').map(decode).collect::<Option<Vec<_>>>()?;
        let version = ["api", "v1"];
        if !segments.iter().take(2).eq(version) {
            return match segments.as_slice() {
                [root] if root.is_empty() => Some(Route::Index),
                [health] if health == "healthz" => Some(Route::Health),
                [console, file @ ..] if console == "console" => Some(Route::Console(file.join("/"))),
                _ => None,
            };
        }
        let mut rest = segments.split_off(2);
        let noun = if rest.is_empty() { return None } else { rest.remove(0) };
        if rest.iter().any(String::is_empty) {
            return None;
        }
        let mut rest = rest.into_iter();
        match (noun.as_str(), rest.next(), rest.next(), rest.next(), rest.next()) {
            ("openapi.json", None, ..) => Some(Route::OpenApi),
            ("tenants", None, ..) => Some(Route::Tenants),
            ("tenants", Some(id), None, ..) => Some(Route::Tenant(id)),
            ("tenants", Some(id), Some(keys), None, _) if keys == "keys" => Some(Route::Keys(Some(id))),
            ("tenants", Some(id), Some(keys), Some(key), None) if keys == "keys" => Some(Route::Key(Some(id), key)),
            ("tenants", Some(id), Some(members), None, _) if members == "members" => Some(Route::Members(id)),
            ("tenants", Some(id), Some(members), Some(user), None) if members == "members" => {
                Some(Route::Member(id, user))
            }
            ("whoami", None, ..) => Some(Route::Whoami),
            ("tenants", Some(id), Some(plan), None, _) if plan == "plan" => Some(Route::Subscription(id)),
            ("usage", Some(tenant), None, ..) => Some(Route::Usage(tenant)),
            ("invoices", Some(tenant), None, ..) => Some(Route::Invoices(tenant)),
            ("invoice", Some(tenant), id, None, _) => Some(Route::Invoice(tenant, id)),
            ("invoice", Some(tenant), Some(id), Some(what), None) => match what.as_str() {
                "proof" => Some(Route::InvoiceProof(tenant, id)),
                "issue" => Some(Route::InvoiceIssue(tenant, id)),
                "void" => Some(Route::InvoiceVoid(tenant, id)),
                _ => None,
            },
            ("plans", None, ..) => Some(Route::Plans),
            ("plans", Some(name), None, ..) => Some(Route::Plan(name)),
            ("keys", None, ..) => Some(Route::Keys(None)),
            ("keys", Some(key), None, ..) => Some(Route::Key(None, key)),
            ("events", None, ..) => Some(Route::Events),
            ("events", Some(source), Some(id), None, _) => Some(Route::Event { source, id }),
            ("events", Some(source), Some(id), Some(story), None) if story == "story" => {
                Some(Route::Story { source, id })
            }
            ("dead-letters", None, ..) => Some(Route::DeadLetters),
            ("dead-letters", Some(seq), None, ..) => Some(Route::DeadLetter(seq)),
            ("dead-letters:redrive", None, ..) => Some(Route::Redrive),
            ("dead-letters:discard", None, ..) => Some(Route::Discard),
            ("replays", None, ..) => Some(Route::Replays),
            ("replays", Some(id), None, ..) => Some(Route::Replay(id)),
            ("consumers", None, ..) => Some(Route::Consumers),
            ("consumers", Some(name), None, ..) => match name.rsplit_once(':') {
                None => Some(Route::Consumer(name)),
                Some((name, "rollback")) => Some(Route::ConsumerRollback(name.to_owned())),
                Some((name, "pause")) => Some(Route::ConsumerHold(name.to_owned(), true)),
                Some((name, "resume")) => Some(Route::ConsumerHold(name.to_owned(), false)),
                Some(_) => None,
            },
            ("consumers", Some(name), Some(logs), None, _) if logs == "logs" => Some(Route::ConsumerLogs(name)),
            ("policies", None, ..) => Some(Route::Policies),
            ("policies", Some(what), None, ..) => match what.as_str() {
                "versions" => Some(Route::PolicyVersions),
                "data" => Some(Route::PolicyData),
                "bundle" => Some(Route::PolicyBundle),
                _ => None,
            },
            ("policies:activate", None, ..) => Some(Route::PolicyActivate),
            ("tail", None, ..) => Some(Route::Tail),
            ("rules", None, ..) => Some(Route::Rules),
            ("rules", Some(name), None, ..) => Some(Route::Rule(name)),
            ("rules:versions", None, ..) => Some(Route::RulesVersions),
            ("rules:rollback", None, ..) => Some(Route::RulesRollback),
            ("rules:test", None, ..) => Some(Route::RulesTest),
            _ => None,
        }
    }

    /// The methods allowed, as the `Allow` header has them.
    pub fn allow(&self) -> &'static str {
        match self {
            Route::Tenants | Route::Keys(_) | Route::Replays | Route::Consumers => "GET, HEAD, POST, OPTIONS",
            Route::Tenant(_) => "GET, HEAD, PATCH, DELETE, OPTIONS",
            Route::Key(..) => "DELETE, OPTIONS",
            Route::Rule(_) | Route::Consumer(_) | Route::Member(..) => "GET, HEAD, PUT, DELETE, OPTIONS",
            Route::RulesRollback | Route::RulesTest | Route::InvoiceIssue(..) | Route::InvoiceVoid(..) => {
                "POST, OPTIONS"
            }
            Route::Redrive | Route::Discard | Route::ConsumerRollback(_) | Route::ConsumerHold(..) => "POST, OPTIONS",
            Route::PolicyActivate => "POST, OPTIONS",
            Route::PolicyData | Route::PolicyBundle => "PUT, OPTIONS",
            Route::Subscription(_) | Route::Plan(_) => "GET, HEAD, PUT, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }

    /// The tenant that the path names.
    pub fn tenant(&self) -> Option<&str> {
        match self {
            Route::Tenant(id) | Route::Keys(Some(id)) | Route::Key(Some(id), _) | Route::Subscription(id) => Some(id),
            Route::Usage(id) | Route::Invoices(id) | Route::Invoice(id, _) | Route::InvoiceProof(id, _) => Some(id),
            Route::InvoiceIssue(id, _) | Route::InvoiceVoid(id, _) => Some(id),
            Route::Members(id) | Route::Member(id, _) => Some(id),
            _ => None,
        }
    }

    pub fn allows(&self, method: &str) -> bool {
        self.allow().split(", ").any(|allowed| allowed == method)
    }
}

fn decode(segment: &str) -> Option<String> {
    percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_route() {
        let acme = || Some("acme".to_owned());
        for (path, route) in [
            ("/", Route::Index),
            ("/healthz", Route::Health),
            ("/api/v1/openapi.json", Route::OpenApi),
            ("/console/js/main.js", Route::Console("js/main.js".into())),
            ("/api/v1/tenants", Route::Tenants),
            ("/api/v1/tenants/acme", Route::Tenant("acme".into())),
            ("/api/v1/tenants/acme/keys", Route::Keys(acme())),
            ("/api/v1/tenants/acme/keys/0123", Route::Key(acme(), "0123".into())),
            ("/api/v1/tenants/acme/members", Route::Members("acme".into())),
            ("/api/v1/tenants/acme/members/a%2Fb", Route::Member("acme".into(), "a/b".into())),
            ("/api/v1/whoami", Route::Whoami),
            ("/api/v1/keys", Route::Keys(None)),
            ("/api/v1/keys/0123", Route::Key(None, "0123".into())),
            ("/api/v1/events", Route::Events),
            ("/api/v1/dead-letters", Route::DeadLetters),
            ("/api/v1/usage/acme", Route::Usage("acme".into())),
            ("/api/v1/invoices/acme", Route::Invoices("acme".into())),
            ("/api/v1/invoice/acme", Route::Invoice("acme".into(), None)),
            ("/api/v1/invoice/acme/i-1", Route::Invoice("acme".into(), Some("i-1".into()))),
            ("/api/v1/invoice/acme/i-1/proof", Route::InvoiceProof("acme".into(), "i-1".into())),
            ("/api/v1/invoice/acme/i-1/issue", Route::InvoiceIssue("acme".into(), "i-1".into())),
            ("/api/v1/invoice/acme/i-1/void", Route::InvoiceVoid("acme".into(), "i-1".into())),
            ("/api/v1/tenants/acme/plan", Route::Subscription("acme".into())),
            ("/api/v1/plans", Route::Plans),
            ("/api/v1/plans/team", Route::Plan("team".into())),
            ("/api/v1/events/s/1/story", Route::Story { source: "s".into(), id: "1".into() }),
            ("/api/v1/tail", Route::Tail),
            ("/api/v1/rules", Route::Rules),
            ("/api/v1/rules/alerts", Route::Rule("alerts".into())),
            ("/api/v1/rules:versions", Route::RulesVersions),
            ("/api/v1/rules:rollback", Route::RulesRollback),
            ("/api/v1/rules:test", Route::RulesTest),
            ("/api/v1/dead-letters/7", Route::DeadLetter("7".into())),
            ("/api/v1/dead-letters:redrive", Route::Redrive),
            ("/api/v1/dead-letters:discard", Route::Discard),
            ("/api/v1/replays", Route::Replays),
            ("/api/v1/replays/1", Route::Replay("1".into())),
            ("/api/v1/consumers", Route::Consumers),
            ("/api/v1/consumers/alert", Route::Consumer("alert".into())),
            ("/api/v1/consumers/alert/logs", Route::ConsumerLogs("alert".into())),
            ("/api/v1/consumers/alert:rollback", Route::ConsumerRollback("alert".into())),
            ("/api/v1/consumers/alert:pause", Route::ConsumerHold("alert".into(), true)),
            ("/api/v1/consumers/alert%3Aresume", Route::ConsumerHold("alert".into(), false)),
            ("/api/v1/policies", Route::Policies),
            ("/api/v1/policies/versions", Route::PolicyVersions),
            ("/api/v1/policies/data", Route::PolicyData),
            ("/api/v1/policies/bundle", Route::PolicyBundle),
            ("/api/v1/policies:activate", Route::PolicyActivate),
        ] {
            assert_eq!(Route::find(path), Some(route), "{path}");
        }
    }

    #[test]
    fn a_source_keeps_its_slashes_when_they_are_encoded() {
        assert_eq!(
            Route::find("/api/v1/events/https:%2F%2Fgithub.com%2Focto%2Fhello/a%20b%2Fc"),
            Some(Route::Event { source: "https://github.com/octo/hello".into(), id: "a b/c".into() })
        );
        assert_eq!(Route::find("/api/v1/events/https://github.com/octo/1"), None);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for path in [
            "",
            "healthz",
            "//",
            "/api",
            "/api/v1",
            "/api/v1/",
            "/api/v2/tenants",
            "/api/v1/tenants/",
            "/api/v1/tenants/a/b",
            "/api/v1/tenants/a/keys/b/c",
            "/api/v1/tail/x",
            "/api/v1/consumers/a:b",
            "/api/v1/consumers/a/log",
            "/api/v1/policies/x",
            "/api/v1/replays:x",
            "/api/v1/events/%ff/1",
            "/api/v1/events//1",
            "/healthz/",
        ] {
            assert_eq!(Route::find(path), None, "{path}");
        }
    }

    #[test]
    fn methods_are_those_of_the_route() {
        assert!(Route::Tenants.allows("POST"));
        assert!(!Route::Tenants.allows("DELETE"));
        assert!(Route::Tail.allows("HEAD"));
        assert!(!Route::Key(None, String::new()).allows("GET"));
        assert!(!Route::Index.allows("GET, HEAD"));
    }
}
