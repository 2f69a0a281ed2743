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
/// Extension: the component of the consumer that emitted the event.
pub const EMITTER: &str = "eremitter";
/// Extension: the version of the rule set, and the rules that fired.
pub const RULES: &str = "errules";
/// Extension: tags that rules gave, joined by commas.
pub const TAGS: &str = "ertags";
/// Extension: the sub-streams that rules routed the event to, joined by commas.
pub const ROUTE: &str = "erroute";
/// Extension: why a rule dropped the event.
pub const DROPPED: &str = "erdropped";
/// Extension: the id of the event that this one was made from.
pub const CAUSE: &str = "ercause";
/// Extension: the source of the event that this one was made from.
pub const CAUSE_SOURCE: &str = "ercausesource";
/// Extensions that only the platform sets.
pub const OWN_EXTENSIONS: [&str; 8] = [HOP, EMITTER, RULES, TAGS, ROUTE, DROPPED, CAUSE, CAUSE_SOURCE];
/// Types that only the platform makes.
pub const RESERVED_TYPES: &str = "io.eventrunner.";
