//! One operation of the document: a method of a path.

use std::collections::{BTreeMap, BTreeSet};

use er_event::keys::Role;
use schemars::JsonSchema;
use serde_json::{json, Map, Value};

use super::operations::{PUBLISH, WHOAMI};
use super::schemas::Schemas;
use crate::app::action;
use crate::http::{CLOUDEVENT, JSON};
use crate::router::Route;

/// Tags as RFC 9110 has them, without commas, of which ours have none.
const TAGS: &str = r#"^(W/)?"[!#-+\--~]*"(, ?(W/)?"[!#-+\--~]*")*$"#;

pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    id: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    public: bool,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: BTreeMap<u16, Value>,
    refusals: BTreeSet<u16>,
    /// Headers of every answer that is no refusal.
    headers: Vec<&'static str>,
}

pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new("GET", path, id, summary)
}

pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new("POST", path, id, summary).refuses(&[409, 422])
}

pub fn put(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new("PUT", path, id, summary).refuses(&[409, 422])
}

pub fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new("PATCH", path, id, summary).refuses(&[409, 422])
}

pub fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    Operation::new("DELETE", path, id, summary).refuses(&[409, 422])
}

// === parameters ===

pub fn text() -> Value {
    json!({ "type": "string" })
}

/// OpenAPI 3.1 would rather say nothing at all; tools still want the word.
pub fn bytes() -> Value {
    json!({ "type": "string", "format": "binary" })
}

/// RFC 3339; empty is as good as left out.
pub fn time() -> Value {
    json!({ "type": "string", "anyOf": [{ "format": "date-time" }, { "maxLength": 0 }] })
}

pub fn number(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

pub fn one_of(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

pub fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// What a condition names.
fn tags() -> Value {
    json!({ "anyOf": [{ "const": "*" }, pattern(TAGS)] })
}

pub fn header_ref(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

/// What stands in a path between braces.
fn segment(path: &str, name: &str) -> (Value, &'static str) {
    let tenant = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$";
    match (name, path) {
        ("tenant", _) => (pattern(tenant), "The tenant's id."),
        ("key", _) => (pattern("^[0-9a-f]{12}$"), "The key's id: the first 12 digits of its hash."),
        ("user", _) => {
            (pattern("^[!-~]{1,128}$"), "The user, as the identity provider's `sub` has them, percent-encoded.")
        }
        ("seq", _) => (number(0, u64::MAX), "The dead letter's place in the stream."),
        ("source", _) => (json!({ "type": "string", "minLength": 1 }), "The event's source, percent-encoded."),
        ("id", path) if path.contains("/events/") => {
            (json!({ "type": "string", "minLength": 1 }), "The event's id, percent-encoded.")
        }
        ("id", path) if path.contains("/replays/") => (pattern("^[0-9a-f]{16}$"), "The replay's id."),
        ("id", _) => (pattern("^[a-z0-9-]{1,60}$"), "The invoice's id: `<tenant>-<year>-<month>-<number>`."),
        ("name", path) if path.contains("/consumers/") => {
            (pattern("^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$"), "The consumer's name.")
        }
        ("name", path) if path.contains("/plans/") => (pattern("^[a-z0-9-]{1,40}$"), "The plan's name."),
        ("name", _) => (pattern("^[a-z0-9][a-z0-9-]{0,63}$"), "The rule text's name."),
        (other, path) => panic!("{path}: nothing is known of {{{other}}}"),
    }
}

fn names(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

/// The path with something in place of what is between braces.
pub fn sample(path: &str) -> String {
    let mut filled = String::new();
    for (index, part) in path.split(['{', '}']).enumerate() {
        filled.push_str(if index % 2 == 1 { "1" } else { part });
    }
    filled
}

// === impl Operation ===

impl Operation {
    fn new(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Self {
        let parameters = names(path).map(|name| {
            let (schema, description) = segment(path, name);
            json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
        });
        Operation {
            method,
            path,
            id,
            summary,
            description: None,
            public: false,
            parameters: parameters.collect(),
            body: None,
            answers: BTreeMap::new(),
            refusals: BTreeSet::new(),
            headers: Vec::new(),
        }
    }

    /// Needs no key.
    pub fn public(mut self) -> Self {
        self.public = true;
        self
    }

    pub fn about(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    fn parameter(mut self, place: &str, name: &str, description: &str, schema: Value) -> Self {
        self.parameters.push(json!({ "name": name, "in": place, "description": description, "schema": schema }));
        self
    }

    pub fn query(self, name: &str, description: &str, schema: Value) -> Self {
        self.parameter("query", name, description, schema)
    }

    /// The parameter named last is not to be left out.
    pub fn required(mut self) -> Self {
        if let Some(parameter) = self.parameters.last_mut() {
            parameter["required"] = json!(true);
        }
        self
    }

    /// A list, its items separated by commas.
    pub fn listed(self, name: &str, description: &str, schema: Value) -> Self {
        let mut listed = self.query(name, description, schema);
        if let Some(parameter) = listed.parameters.last_mut() {
            parameter["style"] = json!("form");
            parameter["explode"] = json!(false);
        }
        listed
    }

    pub fn header(self, name: &str, description: &str, schema: Value) -> Self {
        self.parameter("header", name, description, schema)
    }

    /// Operators name the tenant in the query.
    pub fn of_tenant(self) -> Self {
        let schema = pattern(r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$");
        self.query("tenant", "Whose, where an operator asks; others have one tenant, and may leave it out.", schema)
    }

    pub fn paged(mut self, former: bool) -> Self {
        self.headers.push("Link");
        let paged = self.query("limit", "At most so many (100).", number(1, 1000)).query(
            "cursor",
            "Where the page begins: what the page before said.",
            text(),
        );
        if !former {
            return paged;
        }
        let mut paged = paged.query("after", "The former name of `cursor`.", text());
        if let Some(after) = paged.parameters.last_mut() {
            after["deprecated"] = json!(true);
        }
        paged
    }

    /// The answer has an `ETag`; who has it already is told so.
    pub fn tagged(mut self) -> Self {
        self.headers.push("ETag");
        if self.method != "GET" {
            return self;
        }
        self.answers.insert(304, json!({ "description": "The client has it: the ETag is the one of If-None-Match." }));
        self.header("If-None-Match", "The ETag of what the client has.", tags())
    }

    /// Done only if what is there is what the client saw.
    pub fn conditional(self) -> Self {
        let words = "Only if this is still the ETag of what would be changed.";
        self.refuses(&[412]).header("If-Match", words, tags())
    }

    /// Done once under a key.
    pub fn once(mut self) -> Self {
        self.headers.push("Idempotency-Replayed");
        let words = "A random UUID: the request is done once, however often it is sent with it within a day.";
        self.header("Idempotency-Key", words, pattern("^[!-~]{16,200}$"))
    }

    /// A body of JSON.
    pub fn sends<T: JsonSchema>(self, schemas: &Schemas, example: Value) -> Self {
        self.sends_as(JSON, schemas.body::<T>(), Some(example))
    }

    /// A body; with several, any of them.
    pub fn sends_as(mut self, media_type: &str, schema: Value, example: Option<Value>) -> Self {
        let body = self.body.get_or_insert_with(|| json!({ "required": true, "content": {} }));
        body["content"][media_type] = json!({ "schema": schema });
        if let Some(example) = example {
            body["content"][media_type]["example"] = example;
        }
        self.refuses(&[413, 415])
    }

    /// A body of JSON, or none.
    pub fn may_send<T: JsonSchema>(self, schemas: &Schemas, example: Value) -> Self {
        let mut operation = self.sends::<T>(schemas, example);
        if let Some(body) = &mut operation.body {
            body["required"] = json!(false);
        }
        operation
    }

    pub fn answers<T: JsonSchema>(self, schemas: &Schemas, status: u16, description: &str) -> Self {
        self.answers_as(status, description, JSON, schemas.answer::<T>())
    }

    pub fn answers_event(self, schema: Value, description: &str) -> Self {
        self.answers_as(200, description, CLOUDEVENT, schema)
    }

    /// An answer; with several of one status, any of them.
    pub fn answers_as(mut self, status: u16, description: &str, media_type: &str, schema: Value) -> Self {
        let answer = self.answers.entry(status).or_insert_with(|| json!({ "description": description, "content": {} }));
        answer["content"][media_type] = json!({ "schema": schema });
        self
    }

    pub fn answers_nothing(mut self, status: u16, description: &str) -> Self {
        self.answers.insert(status, json!({ "description": description }));
        self
    }

    pub fn tells(mut self, header: &'static str) -> Self {
        self.headers.push(header);
        self
    }

    pub fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// As the document has it.
    pub fn finish(mut self, tag: &str) -> Value {
        if !self.public {
            self = self.refuses(&[400, 401, 403, 404, 429, 503]);
        }
        let mut responses = Map::new();
        for (status, mut answer) in std::mem::take(&mut self.answers) {
            for name in self.headers.iter().filter(|name| status != 304 || **name == "ETag") {
                answer["headers"][name] = header_ref(name);
            }
            responses.insert(status.to_string(), answer);
        }
        for status in &self.refusals {
            let refusal = json!({ "$ref": format!("#/components/responses/{status}") });
            responses.entry(status.to_string()).or_insert(refusal);
        }
        let mut operation = json!({
            "operationId": self.id,
            "summary": self.summary,
            "tags": [tag],
            "responses": responses,
            "x-eventrunner-roles": self.roles(),
        });
        if self.public {
            operation["security"] = json!([]);
        }
        if let Some(description) = self.description {
            operation["description"] = json!(description);
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = json!(self.parameters);
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        operation
    }

    /// Who may do it.
    fn roles(&self) -> Vec<&'static str> {
        if self.public {
            return Vec::new();
        }
        let action = match self.path {
            // An operator has no events of its own to publish.
            PUBLISH => return [Role::TenantAdmin, Role::Admin, Role::Publisher].map(Role::as_str).to_vec(),
            WHOAMI => return Role::ALL.map(Role::as_str).to_vec(),
            path => action(&Route::find(&sample(path)).unwrap_or_else(|| panic!("no route {path}")), self.method),
        };
        Role::ALL.into_iter().filter(|role| role.allows(action)).map(Role::as_str).collect()
    }
}
