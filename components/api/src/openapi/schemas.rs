//! JSON schemas of types, as OpenAPI 3.1 has them.

use std::cell::RefCell;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{json, Map, Value};

/// What is answered has a name of its own in the document; what is sent stands where it is sent, since a type that is read
/// differs from the same one written: what may be absent when it is read is there when it is written.
pub struct Schemas {
    answers: RefCell<SchemaGenerator>,
    bodies: RefCell<SchemaGenerator>,
}

// === impl Schemas ===

impl Schemas {
    pub fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.meta_schema = None;
            settings.definitions_path = "/components/schemas".into();
        });
        let bodies = settings.clone().for_deserialize().with(|settings| settings.inline_subschemas = true);
        Schemas {
            answers: RefCell::new(settings.for_serialize().into_generator()),
            bodies: RefCell::new(bodies.into_generator()),
        }
    }

    pub fn answer<T: JsonSchema>(&self) -> Value {
        plain(self.answers.borrow_mut().subschema_for::<T>().to_value())
    }

    pub fn body<T: JsonSchema>(&self) -> Value {
        plain(self.bodies.borrow_mut().subschema_for::<T>().to_value())
    }

    /// Whatever was referred to.
    pub fn components(self) -> Map<String, Value> {
        let named = self.answers.into_inner().take_definitions(true);
        named.into_iter().map(|(name, schema)| (name, plain(schema))).collect()
    }
}

/// Rust's kinds of numbers, as ranges that any reader knows; and descriptions on one line, as texts have them.
pub fn plain(mut schema: Value) -> Value {
    walk(&mut schema);
    schema
}

fn walk(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(walk),
        Value::Object(members) => {
            let range = members.get("format").and_then(Value::as_str).and_then(range);
            if let Some((least, most)) = range {
                members.remove("format");
                members.entry("minimum").or_insert(least);
                members.entry("maximum").or_insert(most);
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            members.values_mut().for_each(walk);
        }
        _ => {}
    }
}

fn range(format: &str) -> Option<(Value, Value)> {
    Some(match format {
        "uint8" => (json!(0), json!(u8::MAX)),
        "uint16" => (json!(0), json!(u16::MAX)),
        "uint32" => (json!(0), json!(u32::MAX)),
        "uint64" | "uint" => (json!(0), json!(u64::MAX)),
        "int32" => (json!(i32::MIN), json!(i32::MAX)),
        "int64" | "int" => (json!(i64::MIN), json!(i64::MAX)),
        _ => return None,
    })
}
