//! Every limit on what comes in, in one place, its unit last.

/// A request's body.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// One event in the JSON format, data included.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;
/// Events in one batch: of a request, and of what crosses a link.
pub const BATCH_EVENTS_MAX: usize = 1024;
/// A batch that crosses a link.
pub const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Objects and arrays inside one another: in a JSON text, and in an event counted from `data` on, so that the same
/// data is let in in every content mode.
pub const JSON_DEPTH_MAX: usize = 64;
/// How often events made from events may make events: a circle of consumers or rules ends here.
pub const HOPS_MAX: u32 = 8;
/// An attribute's name. The specification says SHOULD NOT exceed 20; we let in what others let in.
pub const ATTRIBUTE_NAME_CHARS_MAX: usize = 64;
/// An attribute's value.
pub const ATTRIBUTE_BYTES_MAX: usize = 4096;
/// All headers of a request together, names and values.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Numbers in one [`crate::runs::Runs`]: for each event of a batch one, and room for those that rules make.
pub const RUNS_MAX: usize = 1 << 16;
