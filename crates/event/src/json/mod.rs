//! JSON as text: checked once, then found and cut by slices, never turned into a tree.

mod check;
mod fault;
mod keys;
mod lookup;
mod skip;
mod swar;
mod text;

pub use check::check;
pub use fault::{Fault, What};
pub use lookup::{lookup, Pointers};
pub use text::{string, write_string};

pub(crate) use check::Checker;
pub(crate) use fault::place;
pub(crate) use skip::{trim, Elements, Members};

/// What kind of JSON value a text is, for people.
pub(crate) fn kind_of(raw: &str) -> &'static str {
    match trim(raw).as_bytes().first() {
        Some(b'"') => "string",
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}
