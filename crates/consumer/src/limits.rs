//! What a component may have, and what its trial may take.

use std::time::Duration;

const MIB: u64 = 1 << 20;

/// What tenants' code may import, without versions; `*` ends a beginning. Equal to `tenant.imports` of
/// `policies/platform/data.json` (a test holds them equal): the policy decides at the start, this tells earlier.
pub const TENANT_IMPORTS: [&str; 8] = [
    "eventrunner:platform/emitter",
    "eventrunner:platform/types",
    "wasi:cli/*",
    "wasi:clocks/*",
    "wasi:config/*",
    "wasi:io/*",
    "wasi:logging/*",
    "wasi:random/*",
];

/// Both sides of each are tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of a compiled language's component.
    pub bytes_max: u64,
    /// Of one that carries an interpreter.
    pub interpreted_bytes_max: u64,
    /// Core modules that are instantiated, as our hosts are started.
    pub core_instances_max: usize,
    /// Linear memory of an instance, all of its memories together.
    pub memory_bytes_max: usize,
    /// Wasm instructions (about) of one call, the instance's start included. It decides about loops, and not the clock:
    /// a machine with much to do refuses nobody.
    pub fuel_max: u64,
    /// For what waits, and costs no instructions.
    pub time_max: Duration,
    /// Emitted by one call.
    pub emitted_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 16 * MIB,
            interpreted_bytes_max: 50 * MIB,
            core_instances_max: 64,
            memory_bytes_max: 64 << 20,
            fuel_max: 10_000_000_000,
            time_max: Duration::from_secs(30),
            emitted_bytes_max: 4 << 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TENANT_IMPORTS;

    #[test]
    fn the_imports_are_the_policys() {
        let data: serde_json::Value =
            serde_json::from_str(include_str!("../../../policies/platform/data.json")).unwrap();
        assert_eq!(data["tenant"]["imports"], serde_json::json!(TENANT_IMPORTS));
    }
}
