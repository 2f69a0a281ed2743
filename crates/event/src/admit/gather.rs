//! Events of many requests into few messages: one a partition, more where a batch is full.

use crate::event::{partition, BatchWriter, PARTITIONS};

use super::{Draft, Entry};

pub(super) struct Gather<'t> {
    tenant: &'t str,
    /// First part of every message id.
    name: String,
    open: [Bucket; PARTITIONS as usize],
    entries: Vec<Entry>,
}

#[derive(Default)]
struct Bucket {
    batch: BatchWriter,
    received_us: u64,
    /// Batches of this partition that were full.
    filled: u32,
}

impl<'t> Gather<'t> {
    /// `name` is equal for equal input. The tenant goes in front of it: nobody can make an id that hides another
    /// tenant's message from the stream's de-duplication.
    pub(super) fn new(tenant: &'t str, name: &str) -> Self {
        Gather { tenant, name: format!("{tenant}.{name}"), open: Default::default(), entries: Vec::new() }
    }

    pub(super) fn push(&mut self, draft: &Draft<'_>, received_us: u64) {
        let index = (partition(self.tenant, &draft.key) % PARTITIONS) as usize;
        if !self.open[index].batch.fits(draft.text.len()) {
            self.close(index);
        }
        let bucket = &mut self.open[index];
        bucket.received_us = if bucket.batch.is_empty() { received_us } else { bucket.received_us.min(received_us) };
        bucket.batch.push(&draft.text);
    }

    pub(super) fn finish(mut self) -> Vec<Entry> {
        for index in 0..self.open.len() {
            if !self.open[index].batch.is_empty() {
                self.close(index);
            }
        }
        self.entries
    }

    fn close(&mut self, index: usize) {
        let bucket = &mut self.open[index];
        let batch = std::mem::take(&mut bucket.batch);
        self.entries.push(Entry {
            partition: index as u32,
            message_id: format!("{}.{index}.{}", self.name, bucket.filled),
            received_us: bucket.received_us,
            events: batch.finish(),
        });
        bucket.filled += 1;
    }
}
