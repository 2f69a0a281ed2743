//! The samples that are shipped. Those in other languages are there where `scripts/build-consumers` has built them, as
//! `make test` does before.

use std::path::PathBuf;
use std::time::Instant;

use er_consumer::{check, trial, Limits, Setup, TENANT_IMPORTS};

fn built(name: &str) -> Option<Vec<u8>> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    std::fs::read(root.join("build").join(name)).ok()
}

fn passes(name: &str, interpreted: bool) {
    let component = built(name)
        .unwrap_or_else(|| panic!("build/{name} is missing; scripts/build-consumers and -components make them"));
    let started = Instant::now();
    let facts = check(&component, &TENANT_IMPORTS, &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(facts.interpreted, interpreted, "{name}");
    let checked = started.elapsed();
    let setup = Setup { event_type: Some("order.placed".into()), ..Setup::default() };
    let trial = trial(&component, &setup, &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
    eprintln!("{name}: checked in {checked:?}, all in {:?}: {trial:?}", started.elapsed());
    assert!(trial.sample.is_none_or(|said| said.contains("data.total")), "{name}");
}

#[test]
fn in_rust() {
    passes("er_rust_alert.wasm", false);
}

#[test]
fn in_python() {
    passes("python-thanks.wasm", true);
}

#[test]
fn in_typescript() {
    passes("typescript-thanks.wasm", true);
}

#[test]
fn in_go() {
    passes("go-thanks.wasm", false);
}
