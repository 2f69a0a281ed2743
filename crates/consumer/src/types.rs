//! Types of functions as text, to be compared and shown: names of types don't matter, names of fields do.

use wasmparser::component_types::{
    ComponentDefinedType, ComponentEntityType, ComponentInstanceTypeId, ComponentValType,
};
use wasmparser::types::TypesRef;

use crate::{Refusal, CONSUMER, EMITTER};

const HANDLE: &str =
    "func(string) -> result<list<record { id: string, retry-after-ms: option<u32>, reason: string }>, string>";
const EMIT: &str = "func(string) -> result<u32, string>";
/// A type can be larger than any text that somebody would read.
const SHOWN_CHARS: usize = 400;

pub(crate) fn consumer(types: TypesRef<'_>, instance: ComponentInstanceTypeId) -> Result<(), Refusal> {
    match function(types, instance, "handle") {
        Some(found) if found == HANDLE => Ok(()),
        found => Err(wrong(CONSUMER, "handle", found, HANDLE)),
    }
}

/// One that imports the interface, and no function of it, calls nothing.
pub(crate) fn emitter(types: TypesRef<'_>, instance: ComponentInstanceTypeId) -> Result<(), Refusal> {
    for name in types[instance].exports.keys() {
        let found = function(types, instance, name);
        if let Some(found) = found.filter(|found| name != "emit" || found != EMIT) {
            return Err(wrong(EMITTER, name, Some(found), EMIT));
        }
    }
    Ok(())
}

fn wrong(interface: &str, function: &str, found: Option<String>, wanted: &'static str) -> Refusal {
    Refusal::WrongType {
        interface: interface.into(),
        function: function.into(),
        found: found.unwrap_or_else(|| "missing".into()),
        wanted,
    }
}

fn function(types: TypesRef<'_>, instance: ComponentInstanceTypeId, name: &str) -> Option<String> {
    let ComponentEntityType::Func(id) = types[instance].exports.get(name)?.ty else { return None };
    let function = &types[id];
    let mut text = String::from(if function.async_ { "async func(" } else { "func(" });
    for (position, (_, param)) in function.params.iter().enumerate() {
        if position > 0 {
            text.push_str(", ");
        }
        show(types, *param, &mut text);
    }
    text.push(')');
    if let Some(result) = function.result {
        text.push_str(" -> ");
        show(types, result, &mut text);
    }
    Some(text)
}

fn show(types: TypesRef<'_>, ty: ComponentValType, text: &mut String) {
    if text.len() > SHOWN_CHARS {
        if !text.ends_with('…') {
            text.push('…');
        }
        return;
    }
    let id = match ty {
        ComponentValType::Primitive(primitive) => return text.push_str(&primitive.to_string()),
        ComponentValType::Type(id) => id,
    };
    let mut of = |name: &str, parts: &[Option<ComponentValType>]| {
        text.push_str(name);
        text.push('<');
        for (position, part) in parts.iter().enumerate() {
            if position > 0 {
                text.push_str(", ");
            }
            match part {
                Some(part) => show(types, *part, text),
                None => text.push('_'),
            }
        }
        text.push('>');
    };
    match &types[id] {
        ComponentDefinedType::Primitive(primitive) => text.push_str(&primitive.to_string()),
        ComponentDefinedType::List { element, .. } => of("list", &[Some(*element)]),
        ComponentDefinedType::Option { ty, .. } => of("option", &[Some(*ty)]),
        ComponentDefinedType::Result { ok, err, .. } => of("result", &[*ok, *err]),
        ComponentDefinedType::Tuple(tuple) => of("tuple", &tuple.types.iter().copied().map(Some).collect::<Vec<_>>()),
        ComponentDefinedType::Record(record) => {
            text.push_str("record { ");
            for (position, (name, field)) in record.fields.iter().enumerate() {
                if position > 0 {
                    text.push_str(", ");
                }
                text.push_str(name);
                text.push_str(": ");
                show(types, *field, text);
            }
            text.push_str(" }");
        }
        ComponentDefinedType::Variant(_) => text.push_str("variant"),
        ComponentDefinedType::Enum(_) => text.push_str("enum"),
        ComponentDefinedType::Flags(_) => text.push_str("flags"),
        _ => text.push_str("of another kind"),
    }
}
