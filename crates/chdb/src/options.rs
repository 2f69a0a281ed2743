//! How much of the machine the engine may take.

use std::path::PathBuf;

const MIB: u64 = 1 << 20;

/// Where things are, and how much the engine may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `libchdb.so`.
    pub library: PathBuf,
    /// Where its tables lie; made if it is not there.
    pub dir: PathBuf,
    /// What all statements and merges may take together. More is refused to a statement; the process goes on.
    pub memory_bytes_max: u64,
    /// Statements that may wait.
    pub waiting_max: usize,
}

// === impl Options ===

impl Options {
    pub fn new(library: impl Into<PathBuf>, dir: impl Into<PathBuf>) -> Self {
        Self { library: library.into(), dir: dir.into(), memory_bytes_max: 512 * MIB, waiting_max: 64 }
    }

    /// The engine's configuration. By default it is meant for a whole server: 64 to 10,000 threads in each pool and
    /// gigabytes of caches.
    pub(crate) fn config(&self) -> String {
        format!(
            "<clickhouse>
    <max_server_memory_usage>{}</max_server_memory_usage>
    <mark_cache_size>{}</mark_cache_size>
    <index_mark_cache_size>{}</index_mark_cache_size>
    <primary_index_cache_size>{}</primary_index_cache_size>
    <query_condition_cache_size>{}</query_condition_cache_size>
    <compiled_expression_cache_size>{}</compiled_expression_cache_size>
    <background_pool_size>2</background_pool_size>
    <max_thread_pool_size>64</max_thread_pool_size>
    <max_io_thread_pool_size>8</max_io_thread_pool_size>
    <max_active_parts_loading_thread_pool_size>2</max_active_parts_loading_thread_pool_size>
    <max_outdated_parts_loading_thread_pool_size>2</max_outdated_parts_loading_thread_pool_size>
    <max_parts_cleaning_thread_pool_size>2</max_parts_cleaning_thread_pool_size>
</clickhouse>
",
            self.memory_bytes_max,
            8 * MIB,
            MIB,
            8 * MIB,
            MIB,
            MIB,
        )
    }
}
