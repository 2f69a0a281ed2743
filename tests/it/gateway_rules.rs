//! Oathkeeper's rules, held against the API's own description of itself.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, ensure, Context as _};
use er_event::keys::{Action, Role};
use er_testkit::platform::root;
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

const HOST: &str = "http://gateway.example:4455";
const TENANT: &str = "acme-1";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[derive(Deserialize)]
struct Rule {
    id: String,
    #[serde(rename = "match")]
    matches: Match,
    authenticators: Vec<Handler>,
    authorizer: Handler,
    mutators: Vec<Handler>,
    upstream: Upstream,
}

#[derive(Deserialize)]
struct Match {
    url: String,
    methods: Vec<String>,
}

#[derive(Deserialize)]
struct Handler {
    handler: String,
    #[serde(default)]
    config: BTreeMap<String, serde_yaml::Value>,
}

#[derive(Deserialize)]
struct Upstream {
    url: String,
}

/// A rule with its pattern, in Oathkeeper's notation: what stands between `<` and `>` is a regular expression.
struct Compiled {
    rule: Rule,
    pattern: Regex,
}

impl Compiled {
    fn new(rule: Rule) -> anyhow::Result<Self> {
        let mut pattern = String::from("^");
        for (index, part) in rule.matches.url.split(['<', '>']).enumerate() {
            match index % 2 {
                0 => pattern.push_str(&regex::escape(part)),
                _ => pattern.push_str(&format!("({part})")),
            }
        }
        pattern.push('$');
        let pattern = Regex::new(&pattern).with_context(|| rule.id.clone())?;
        Ok(Self { rule, pattern })
    }

    fn covers(&self, method: &str, path: &str) -> bool {
        let method = self.rule.matches.methods.iter().any(|covered| covered.eq_ignore_ascii_case(method));
        method && self.pattern.is_match(&format!("{HOST}{path}"))
    }

    /// Whether the caller has to be known.
    fn asks_who(&self) -> bool {
        self.rule.authenticators.iter().any(|handler| handler.handler != "noop")
    }

    /// What Keto is asked: namespace, object as the template has it, relation.
    fn question(&self) -> anyhow::Result<[String; 3]> {
        let payload = self.rule.authorizer.config.get("payload").and_then(serde_yaml::Value::as_str);
        let payload = payload.with_context(|| format!("{}: nothing is asked", self.rule.id))?;
        let payload = payload.split_whitespace().collect::<Vec<_>>().join(" ");
        let member = |name: &str| {
            let start = format!("\"{name}\":");
            let rest = payload.split(&start).nth(1).with_context(|| format!("{}: no {name}", self.rule.id))?;
            let value = rest.split(", \"").next().unwrap_or(rest).trim().trim_end_matches('}').trim();
            anyhow::Ok(value.trim_matches('"').to_owned())
        };
        ensure!(member("subject_id")? == "{{ .Subject | toJson }}", "{}: about whom?", self.rule.id);
        Ok([member("namespace")?, member("object")?, member("relation")?])
    }

    /// The roles that what is asked of Keto lets through, as the platform names them.
    fn roles(&self) -> anyhow::Result<BTreeSet<String>> {
        let all = |may: &dyn Fn(Role) -> bool| {
            Role::ALL.into_iter().filter(|role| may(*role)).map(|role| role.as_str().to_owned()).collect()
        };
        if !self.asks_who() {
            return Ok(BTreeSet::new());
        }
        if self.rule.authorizer.handler == "allow" {
            return Ok(all(&|_| true));
        }
        let [namespace, _, relation] = self.question()?;
        let action = match (namespace.as_str(), relation.as_str()) {
            ("Tenant", "read") => Action::Read,
            ("Tenant", "write") => Action::Write,
            ("Tenant", "keys") => Action::Keys,
            ("Tenant", "members") => Action::Members,
            ("Platform", "tenants") => Action::Tenants,
            // Superusers have no events of their own: ingest says so.
            ("Tenant", "publish") => return Ok(all(&|role| role.allows(Action::Publish) && role != Role::Operator)),
            other => bail!("{}: Keto knows no {other:?}", self.rule.id),
        };
        Ok(all(&|role| role.allows(action)))
    }
}

fn rules() -> anyhow::Result<Vec<Compiled>> {
    let text = std::fs::read_to_string(root().join("deploy/oathkeeper/rules.yml"))?;
    let rules: Vec<Rule> = serde_yaml::from_str(&text)?;
    rules.into_iter().map(Compiled::new).collect()
}

fn described() -> anyhow::Result<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(root().join("components/api/openapi.json"))?)?)
}

/// The path with something in place of what is between braces, as Oathkeeper sees it: decoded.
fn sample(path: &str) -> String {
    let value = |name: &str| match name {
        "tenant" => TENANT,
        "source" => "https://example.com/a b",
        "user" => "auth0|a/b",
        _ => "x-1",
    };
    path.split(['{', '}']).enumerate().map(|(index, part)| if index % 2 == 1 { value(part) } else { part }).collect()
}

fn the_one<'a>(rules: &'a [Compiled], method: &str, path: &str) -> anyhow::Result<&'a Compiled> {
    let covering: Vec<_> = rules.iter().filter(|rule| rule.covers(method, path)).collect();
    match covering.as_slice() {
        [one] => Ok(one),
        many => {
            let ids: Vec<_> = many.iter().map(|rule| &rule.rule.id).collect();
            bail!("{method} {path} is covered by {ids:?}; Oathkeeper wants exactly one rule")
        }
    }
}

#[test]
fn each_operation_has_one_rule_that_asks_for_what_the_operation_needs() -> anyhow::Result<()> {
    let (rules, document) = (rules()?, described()?);
    let mut used = BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        for method in METHODS.into_iter().filter(|method| item.get(method).is_some()) {
            let rule = the_one(&rules, method, &sample(path))?;
            used.insert(rule.rule.id.as_str());
            if method == "get" {
                let head = the_one(&rules, "HEAD", &sample(path))?;
                ensure!(head.rule.id == rule.rule.id, "HEAD {path} has another rule than GET");
            }
            let roles =
                item[method]["x-eventrunner-roles"].as_array().with_context(|| format!("{method} {path}: roles"))?;
            let needed: BTreeSet<String> = roles.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            ensure!(
                rule.roles()? == needed,
                "{method} {path}: {} lets {:?} in, and the API {needed:?}",
                rule.rule.id,
                rule.roles()?
            );
            let port = if path == "/events" { "8080" } else { "8000" };
            ensure!(
                rule.rule.upstream.url == format!("http://127.0.0.1:{port}"),
                "{path} goes to {}",
                rule.rule.upstream.url
            );
            let mutators: Vec<_> = rule.rule.mutators.iter().map(|handler| handler.handler.as_str()).collect();
            ensure!(mutators == [if rule.asks_who() { "id_token" } else { "noop" }], "{method} {path}: {mutators:?}");
            tenant_of_the_path(rule, path)?;
        }
        if path.starts_with("/api/") {
            let preflight = the_one(&rules, "OPTIONS", &sample(path))?;
            used.insert(preflight.rule.id.as_str());
        }
    }
    let all: BTreeSet<&str> = rules.iter().map(|rule| rule.rule.id.as_str()).collect();
    ensure!(used == all, "no operation needs the rules {:?}", all.difference(&used));
    Ok(())
}

/// Where a path names a tenant, Keto is asked about that one; in all others never about what the path names.
fn tenant_of_the_path(rule: &Compiled, path: &str) -> anyhow::Result<()> {
    if !rule.asks_who() || rule.rule.authorizer.handler == "allow" {
        return Ok(());
    }
    let [namespace, object, _] = rule.question()?;
    if namespace == "Platform" {
        ensure!(object == "eventrunner", "{}: the platform's object is {object}", rule.rule.id);
        return Ok(());
    }
    let group = object.strip_prefix("{{ printIndex .MatchContext.RegexpCaptureGroups ");
    let group: Option<usize> = group.and_then(|rest| rest.split(' ').next()?.parse().ok());
    ensure!(group.is_some() == path.contains("{tenant}"), "{path}: {} asks about {object}", rule.rule.id);
    if let Some(group) = group {
        let captures = rule.pattern.captures(&format!("{HOST}{}", sample(path))).map(|captures| {
            captures.iter().skip(1).map(|group| group.map(|group| group.as_str().to_owned())).collect::<Vec<_>>()
        });
        let named = captures.and_then(|captures| captures.get(group).cloned().flatten());
        ensure!(named.as_deref() == Some(TENANT), "{path}: group {group} of {} is {named:?}", rule.rule.id);
    }
    Ok(())
}

#[test]
fn what_the_api_does_not_have_no_rule_covers() -> anyhow::Result<()> {
    let rules = rules()?;
    for (method, path) in [
        ("GET", "/metrics"),
        ("GET", "/api/v1"),
        ("GET", "/api/v2/events"),
        ("GET", "/api/v1/eventsx"),
        ("POST", "/api/v1/events"),
        ("DELETE", "/events"),
        ("GET", "/events"),
        ("POST", "/api/v1/whoami"),
        ("PUT", "/api/v1/rules"),
        ("TRACE", "/"),
        ("GET", "/x/api/v1/events"),
    ] {
        let covering: Vec<_> =
            rules.iter().filter(|rule| rule.covers(method, path)).map(|rule| &rule.rule.id).collect();
        ensure!(covering.is_empty(), "{method} {path} is covered by {covering:?}");
    }
    Ok(())
}
