use std::time::Duration;

use er_consumer::{check, trial, Facts, Limits, Refusal, Setup, Trial, TENANT_IMPORTS};
use nkeys::KeyPair;
use wit_component::StringEncoding;
use wit_parser::Resolve;

use crate::made::Guest;

fn checked(component: &[u8]) -> Result<Facts, Refusal> {
    check(component, &TENANT_IMPORTS, &Limits::default())
}

fn tried(guest: &Guest<'_>, limits: &Limits) -> Result<Trial, Refusal> {
    let component = guest.component();
    checked(&component).unwrap();
    trial(&component, &Setup::default(), limits)
}

#[test]
fn a_component_that_handles_everything_passes() {
    let component = Guest::default().component();
    let facts = checked(&component).unwrap();
    assert!(!facts.interpreted && facts.issuer.is_none(), "{facts:?}");
    assert_eq!(tried(&Guest::default(), &Limits::default()), Ok(Trial { sample: None, emitted: 0 }));
}

#[test]
fn what_it_emits_is_counted() {
    // `[]` lies in the batch that it was given; the answer is written to 32.
    let guest = Guest {
        imports: r#"(import "eventrunner:platform/emitter@0.1.0" "emit" (func $emit (param i32 i32 i32)))"#,
        handle: "(call $emit (local.get $at) (local.get $bytes) (i32.const 32)) i32.const 16",
        ..Guest::default()
    };
    assert_eq!(tried(&guest, &Limits::default()), Ok(Trial { sample: None, emitted: 2 }));
}

#[test]
fn bytes_that_are_no_component_are_told_apart() {
    assert_eq!(checked(b""), Err(Refusal::NotWasm));
    assert_eq!(checked(b"PK\x03\x04 a zip archive"), Err(Refusal::NotWasm));
    assert_eq!(checked(&Guest::default().module()), Err(Refusal::CoreModule));
    let whole = Guest::default().component();
    assert!(matches!(checked(&whole[..whole.len() - 9]), Err(Refusal::Broken(_))));
    let mut bent = whole.clone();
    let place = bent.windows(6).position(|window| window == b"handle").unwrap();
    bent[place] = 0xFF;
    assert!(matches!(checked(&bent), Err(Refusal::Broken(_))), "{:?}", checked(&bent));
}

#[test]
fn size_is_limited_on_both_sides() {
    let component = Guest::default().component();
    let bytes = component.len() as u64;
    let of = |bytes_max, interpreted_bytes_max| {
        let limits = Limits { bytes_max, interpreted_bytes_max, ..Limits::default() };
        check(&component, &TENANT_IMPORTS, &limits)
    };
    assert!(of(bytes, bytes).is_ok());
    assert_eq!(of(bytes - 1, bytes), Err(Refusal::TooLarge { bytes, max: bytes - 1, interpreted: false }));
    assert_eq!(of(1, bytes - 1), Err(Refusal::TooLarge { bytes, max: bytes - 1, interpreted: true }));
    // A note of an interpreter makes room.
    let mut noted = component.clone();
    let mut section = vec![9];
    section.extend(b"producers");
    section.extend([1, 12]);
    section.extend(b"processed-by");
    section.extend([1, 15]);
    section.extend(b"componentize-py");
    section.extend([1]);
    section.extend(b"1");
    noted.push(0);
    noted.push(section.len() as u8);
    noted.extend(section);
    let limits = Limits { bytes_max: bytes, ..Limits::default() };
    assert!(check(&noted, &TENANT_IMPORTS, &limits).unwrap().interpreted);
}

#[test]
fn every_forbidden_import_is_named() {
    let wit = "
        package test:test;
        world w {
          import eventrunner:platform/emitter@0.1.0;
          import eventrunner:platform/kv@0.1.0;
          import inline: interface { open: func(); }
          export eventrunner:platform/consumer@0.1.0;
        }";
    let guest = Guest {
        imports: r#"(import "inline" "open" (func))
            (import "eventrunner:platform/kv@0.1.0" "delete" (func (param i32 i32 i32 i32 i32)))"#,
        ..Guest::default()
    };
    let Err(Refusal::Imports(names)) = checked(&guest.of(wit)) else { panic!("{:?}", checked(&guest.of(wit))) };
    assert_eq!(names, ["eventrunner:platform/kv@0.1.0", "inline"]);
    assert!(Refusal::Imports(names).to_string().contains("`eventrunner:platform/kv@0.1.0`, `inline`"));
}

/// Our package with other interfaces in it.
fn with(interfaces: &str) -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_str("ours.wit", &format!("package eventrunner:platform@0.1.0;\n{interfaces}")).unwrap();
    resolve
}

#[test]
fn wrong_types_are_shown_beside_the_right_ones() {
    let consumer = "
        interface emitter { emit: func(batch: string) -> result<u32, string>; }
        interface consumer {
          record failure { id: string, retry-after-ms: option<u64>, reason: string }
          handle: func(batch: string) -> result<list<failure>, string>;
        }";
    let refused = checked(&Guest::default().within(with(consumer), crate::made::WORLD)).unwrap_err();
    let Refusal::WrongType { function, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(function, "handle");
    let said = refused.to_string();
    assert!(said.contains("retry-after-ms: option<u64>") && said.contains("retry-after-ms: option<u32>"), "{said}");

    let emitter = "
        interface emitter { emit: func(batch: list<u8>) -> result<u32, string>; }
        interface consumer {
          record failure { id: string, retry-after-ms: option<u32>, reason: string }
          handle: func(batch: string) -> result<list<failure>, string>;
        }";
    let calling = Guest {
        imports: r#"(import "eventrunner:platform/emitter@0.1.0" "emit" (func $emit (param i32 i32 i32)))"#,
        ..Guest::default()
    };
    let refused = checked(&calling.within(with(emitter), crate::made::WORLD)).unwrap_err();
    assert!(refused.to_string().contains("`emit`") && refused.to_string().contains("list<u8>"), "{refused}");
}

#[test]
fn a_component_without_the_export_hears_what_it_exports() {
    let wit = "package test:test; world w { export handle: func(batch: string) -> string; }";
    let module = r#"(module (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
        (func (export "handle") (param i32 i32) (result i32) i32.const 16))"#;
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("w")).unwrap();
    let mut module = wat::parse_str(module).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let component =
        wit_component::ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap();
    let Err(Refusal::NoConsumer { found, .. }) = checked(&component) else { panic!("{:?}", checked(&component)) };
    assert_eq!(found, ["handle"]);
}

#[test]
fn only_utf8_strings_are_taken() {
    for (strings, name) in [(StringEncoding::UTF16, "UTF-16"), (StringEncoding::CompactUTF16, "Latin-1 or UTF-16")] {
        let component = Guest { strings, ..Guest::default() }.component();
        assert_eq!(checked(&component), Err(Refusal::Strings(name)));
    }
}

#[test]
fn core_instances_are_limited_on_both_sides() {
    let component = Guest::default().component();
    let with =
        |core_instances_max| check(&component, &TENANT_IMPORTS, &Limits { core_instances_max, ..Limits::default() });
    assert!(with(1).is_ok(), "{:?}", with(1));
    assert_eq!(with(0), Err(Refusal::CoreInstances { found: 1, max: 0 }));
}

#[test]
fn a_signature_tells_its_issuer_and_must_hold() {
    let (subject, account) = (KeyPair::new_module(), KeyPair::new_account());
    let sign = |component: Vec<u8>, days| {
        let name = "signed".to_owned();
        wascap::wasm::sign_buffer_with_claims(
            name,
            component,
            &subject,
            &account,
            days,
            None,
            Vec::new(),
            false,
            None,
            None,
            None,
        )
        .unwrap()
    };
    let signed = sign(Guest::default().component(), None);
    assert_eq!(checked(&signed).unwrap().issuer, Some(account.public_key()));
    // Something was put in after it was signed.
    let mut changed = signed.clone();
    changed.extend([0, 3, 1, b'x', b'y']);
    assert!(matches!(checked(&changed), Err(Refusal::Signature(_))), "{:?}", checked(&changed));
}

#[test]
fn an_endless_loop_at_the_start_ends_by_instructions() {
    let limits = Limits { fuel_max: 10_000_000, ..Limits::default() };
    let guest = Guest { start: "(loop $l (br $l))", ..Guest::default() };
    assert_eq!(tried(&guest, &limits), Err(Refusal::Loops { call: "an empty batch", fuel: 10_000_000 }));
}

#[test]
fn what_costs_time_and_no_instructions_ends_by_the_clock() {
    let limits = Limits { time_max: Duration::from_millis(300), fuel_max: u64::MAX / 2, ..Limits::default() };
    let fills = "(loop $l (memory.fill (i32.const 0) (i32.const 0) (i32.const 131072)) (br $l))";
    let guest = Guest { start: fills, ..Guest::default() };
    assert_eq!(tried(&guest, &limits), Err(Refusal::Slow { call: "an empty batch", after: limits.time_max }));
}

#[test]
fn memory_is_limited() {
    let grow =
        |pages: u32| format!("(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))");
    // Two pages are there, 64 MiB are 1,024.
    let (fits, bomb) = (grow(1_022), grow(1_023));
    assert!(tried(&Guest { start: &fits, ..Guest::default() }, &Limits::default()).is_ok());
    let refused = tried(&Guest { start: &bomb, ..Guest::default() }, &Limits::default());
    assert_eq!(refused, Err(Refusal::Memory { call: "an empty batch", mib: 64 }));
}

#[test]
fn a_trap_refuses_with_its_reason_a_stack_that_is_too_deep_too() {
    let said = |guest: &Guest<'_>| tried(guest, &Limits::default()).unwrap_err().to_string();
    let trap = said(&Guest { start: "unreachable", ..Guest::default() });
    assert!(trap.contains("an empty batch trapped") && trap.contains("unreachable"), "{trap}");
    let deep = said(&Guest { start: "(call $start)", ..Guest::default() });
    assert!(deep.contains("call stack exhausted"), "{deep}");
}

#[test]
fn an_answer_that_is_no_utf8_is_refused() {
    // An error with a text of one byte, 0xFF, at 64.
    let handle = "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store (i32.const 20) (i32.const 64))
        (i32.store (i32.const 24) (i32.const 1)) (i32.store8 (i32.const 64) (i32.const 255)) i32.const 16";
    let refused = tried(&Guest { handle, ..Guest::default() }, &Limits::default()).unwrap_err().to_string();
    assert!(refused.contains("utf-8"), "{refused}");
}

#[test]
fn a_sample_event_may_fail_and_even_trap() {
    // Two bytes are an empty batch.
    let handle = "(if (i32.gt_u (local.get $bytes) (i32.const 2)) (then unreachable)) i32.const 16";
    let passed = tried(&Guest { handle, ..Guest::default() }, &Limits::default()).unwrap();
    assert!(passed.sample.as_ref().is_some_and(|said| said.contains("the sample event trapped")), "{passed:?}");
}
