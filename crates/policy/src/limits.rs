//! What a decision and a bundle may take.

/// Both sides of each are tested in `tests/limits.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Wasm instructions (about) of one decision: 3 to 6 ms, some hundred times what ours take.
    pub fuel_max: u64,
    /// Linear memory of an instance, the data and the largest input in it.
    pub memory_bytes_max: usize,
    pub input_bytes_max: usize,
    /// Of a bundle, unpacked.
    pub bundle_bytes_max: usize,
    pub reason_chars_max: usize,
    /// Decisions under way at once; further ones wait.
    pub instances: usize,
    /// Decisions that are remembered. None are at 0.
    pub cached_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel_max: 20_000_000,
            memory_bytes_max: 64 << 20,
            input_bytes_max: 64 << 10,
            bundle_bytes_max: 16 << 20,
            reason_chars_max: 1_000,
            instances: 2,
            cached_max: 65_536,
        }
    }
}
