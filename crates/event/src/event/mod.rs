//! A CloudEvent seen through its text.

mod batch;
mod edit;
mod filter;
mod hash;
mod time;
mod view;

pub use batch::{parse_batch, split, types, BatchWriter};
pub use edit::{with_extension, with_members};
pub use filter::{filter_matches, is_wanted};
pub use hash::{hash64, partition_of, PARTITIONS};
pub use time::{rfc3339_us, time_us};
pub use view::EventRef;

pub(crate) use batch::{elements, whole};
pub(crate) use hash::{hash_seeded, partition};

/// The type of the envelope around JSON that is not a CloudEvent yet. Nobody outside may use it.
pub const RAW_TYPE: &str = "io.eventrunner.raw";
/// Extension that counts how often events were made from events on the way to this one.
pub const HOP: &str = "erhop";
/// Types that only the platform makes.
pub const RESERVED_TYPES: &str = "io.eventrunner.";
