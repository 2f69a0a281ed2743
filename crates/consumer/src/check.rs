//! What a component is made of. Nothing of it is run.

use wascap::jwt::{validate_token, Component as Signed};
use wasmparser::component_types::{ComponentEntityType, ComponentInstanceTypeId};
use wasmparser::types::Types;
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentExternalKind, Encoding, Instance, Parser, Payload,
    ProducersSectionReader, Validator, WasmFeatures,
};

use crate::{types, Limits, Refusal, CONSUMER, EMITTER};

/// What the parts of a component are called that carries an interpreter: CPython by componentize-py, QuickJS by jco. They
/// stand in its `component-name` sections, and tools that are kind enough name themselves in `producers`. (jco's other
/// engine, SpiderMonkey, has room in what everybody may have.) Whoever writes such a name into a component of their own
/// wins nothing but size.
const INTERPRETERS: [&str; 5] =
    ["componentize_py_runtime", "componentize_qjs_runtime", "componentize-py", "componentize-js", "componentize-qjs"];
/// What wascap writes its claims into, today and before.
const CLAIMS: [&str; 2] = ["wasmcloud_jwt", "jwt"];

/// What was found in a component that may be a consumer, as far as can be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub bytes: u64,
    /// Whether it carries an interpreter.
    pub interpreted: bool,
    /// With versions, as it has them.
    pub imports: Vec<String>,
    /// Who signed it, as an account's public key. Whether they are trusted is for the policy to say.
    pub issuer: Option<String>,
}

/// What one walk over the sections finds.
#[derive(Default)]
struct Seen {
    imports: Vec<String>,
    exports: Vec<(String, ComponentExternalKind, u32)>,
    strings: Option<&'static str>,
    core_instances: usize,
    interpreted: bool,
    signed: bool,
}

/// Checks everything that can be seen from outside. `imports` are allowed names without versions; `*` ends a beginning.
///
/// # Errors
/// The first reason found, imports all at once.
pub fn check(component: &[u8], imports: &[&str], limits: &Limits) -> Result<Facts, Refusal> {
    let bytes = component.len() as u64;
    if bytes > limits.interpreted_bytes_max {
        return Err(Refusal::TooLarge { bytes, max: limits.interpreted_bytes_max, interpreted: true });
    }
    if component.len() < 8 || !component.starts_with(b"\0asm") {
        return Err(Refusal::NotWasm);
    }
    let seen = walk(component)?;
    if bytes > limits.bytes_max && !seen.interpreted {
        return Err(Refusal::TooLarge { bytes, max: limits.bytes_max, interpreted: false });
    }
    let types = Validator::new_with_features(features()).validate_all(component).map_err(broken)?;
    let forbidden: Vec<String> = seen.imports.iter().filter(|name| !allowed(name, imports)).cloned().collect();
    if !forbidden.is_empty() {
        return Err(Refusal::Imports(forbidden));
    }
    check_interfaces(&types, &seen)?;
    if let Some(encoding) = seen.strings {
        return Err(Refusal::Strings(encoding));
    }
    if seen.core_instances > limits.core_instances_max {
        return Err(Refusal::CoreInstances { found: seen.core_instances, max: limits.core_instances_max });
    }
    let issuer = if seen.signed { issuer(component)? } else { None };
    Ok(Facts { bytes, interpreted: seen.interpreted, imports: seen.imports, issuer })
}

/// What the hosts' engine takes too.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        | WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::SIMD
}

fn check_interfaces(types: &Types, seen: &Seen) -> Result<(), Refusal> {
    let types = types.as_ref();
    let exported =
        seen.exports.iter().find(|(name, kind, _)| name == CONSUMER && *kind == ComponentExternalKind::Instance);
    let Some((_, _, _)) = exported else {
        let found = seen.exports.iter().map(|(name, ..)| name.clone()).collect();
        return Err(Refusal::NoConsumer { wanted: CONSUMER, found });
    };
    if let Some(instance) = instance(types.component_item_for_export(CONSUMER).map(|item| &item.ty)) {
        types::consumer(types, instance)?;
    }
    for name in &seen.imports {
        if plain(name) == plain(EMITTER) {
            if name != EMITTER {
                return Err(Refusal::WrongVersion { found: name.clone(), wanted: EMITTER });
            }
            if let Some(instance) = instance(types.component_item_for_import(name).map(|item| &item.ty)) {
                types::emitter(types, instance)?;
            }
        }
    }
    Ok(())
}

fn instance(ty: Option<&ComponentEntityType>) -> Option<ComponentInstanceTypeId> {
    match ty {
        Some(ComponentEntityType::Instance(id)) => Some(*id),
        _ => None,
    }
}

fn walk(component: &[u8]) -> Result<Seen, Refusal> {
    let mut seen = Seen::default();
    // Of what is inside of what: only the outermost's imports and exports are the component's.
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(broken)? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => return Err(Refusal::CoreModule),
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    seen.imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(broken)?;
                    seen.exports.push((export.name.name.to_owned(), export.kind, export.index));
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    if let Instance::Instantiate { .. } = instance.map_err(broken)? {
                        seen.core_instances += 1;
                    }
                }
            }
            Payload::ComponentCanonicalSection(section) => {
                for function in section {
                    let (CanonicalFunction::Lift { options, .. } | CanonicalFunction::Lower { options, .. }) =
                        function.map_err(broken)?
                    else {
                        continue;
                    };
                    seen.strings = seen.strings.or_else(|| options.iter().find_map(foreign));
                }
            }
            Payload::CustomSection(section) => match section.name() {
                "component-name" => seen.interpreted |= names_interpreter(section.data()),
                "producers" => seen.interpreted |= is_interpreter(section.data(), section.data_offset()),
                name if CLAIMS.contains(&name) && depth == 0 => seen.signed = true,
                _ => {}
            },
            _ => {}
        }
    }
    Ok(seen)
}

fn foreign(option: &CanonicalOption) -> Option<&'static str> {
    match option {
        CanonicalOption::UTF16 => Some("UTF-16"),
        CanonicalOption::CompactUTF16 => Some("Latin-1 or UTF-16"),
        _ => None,
    }
}

fn names_interpreter(section: &[u8]) -> bool {
    INTERPRETERS.iter().any(|name| section.windows(name.len()).any(|window| window == name.as_bytes()))
}

/// What can't be read says nothing: it is a note, and no more.
fn is_interpreter(section: &[u8], offset: usize) -> bool {
    let Ok(fields) = ProducersSectionReader::new(wasmparser::BinaryReader::new(section, offset)) else { return false };
    fields.into_iter().flatten().any(|field| {
        let mut values = field.values.into_iter().flatten();
        values.any(|value| {
            let name = value.name.to_ascii_lowercase();
            INTERPRETERS.iter().any(|interpreter| name.contains(interpreter))
        })
    })
}

fn allowed(name: &str, imports: &[&str]) -> bool {
    let name = plain(name);
    imports.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *allowed,
    })
}

/// Without its version.
fn plain(name: &str) -> &str {
    name.split_once('@').map_or(name, |(plain, _)| plain)
}

fn issuer(component: &[u8]) -> Result<Option<String>, Refusal> {
    let refused = |e: wascap::Error| Refusal::Signature(e.to_string());
    let Some(token) = wascap::wasm::extract_claims(component).map_err(refused)? else { return Ok(None) };
    let valid = validate_token::<Signed>(&token.jwt).map_err(refused)?;
    let reason = match valid {
        _ if !valid.signature_valid => "it was not made by the key that it names",
        _ if valid.expired => "it has expired",
        _ if valid.cannot_use_yet => "it is not valid yet",
        _ => return Ok(Some(token.claims.issuer)),
    };
    Err(Refusal::Signature(reason.into()))
}

#[allow(clippy::needless_pass_by_value)]
fn broken(error: wasmparser::BinaryReaderError) -> Refusal {
    Refusal::Broken(error.to_string())
}
