//! Components from a core module in text and a world.

use wit_component::{embed_component_metadata, ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// A core module of `consumer-component`: `handle` has this body, the start function that one. `(local $n i32)` is there
/// in both.
pub struct Guest<'a> {
    pub start: &'a str,
    pub handle: &'a str,
    pub imports: &'a str,
    pub strings: StringEncoding,
}

impl Default for Guest<'_> {
    /// Handles everything: what is returned lies at 16, and is all zero.
    fn default() -> Self {
        Self { start: "", handle: "i32.const 16", imports: "", strings: StringEncoding::UTF8 }
    }
}

pub const WORLD: &str = "
package test:test;

world w {
  import eventrunner:platform/emitter@0.1.0;
  export eventrunner:platform/consumer@0.1.0;
}
";

impl Guest<'_> {
    pub fn module(&self) -> Vec<u8> {
        let Self { start, handle, imports, .. } = self;
        wat::parse_str(format!(
            r#"(module
                {imports}
                (memory (export "memory") 2)
                (func $start (local $n i32) {start})
                (start $start)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096)
                (func (export "eventrunner:platform/consumer@0.1.0#handle") (param $at i32) (param $bytes i32)
                    (result i32) (local $n i32) {handle}))"#
        ))
        .unwrap()
    }

    pub fn component(&self) -> Vec<u8> {
        self.of(WORLD)
    }

    /// Of another world: `wit` is its package, ours is there too.
    pub fn of(&self, wit: &str) -> Vec<u8> {
        let mut resolve = Resolve::default();
        resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
        self.within(resolve, wit)
    }

    pub fn within(&self, mut resolve: Resolve, wit: &str) -> Vec<u8> {
        let package = resolve.push_str("test.wit", wit).unwrap();
        let world = resolve.select_world(&[package], Some("w")).unwrap();
        let mut module = self.module();
        embed_component_metadata(&mut module, &resolve, world, self.strings).unwrap();
        ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }
}
