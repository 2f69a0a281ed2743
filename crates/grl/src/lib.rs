//! GRL, the rule language of Grule, compiled once to bytes and evaluated over JSON events.
//!
//! [`compile`] turns texts into a [`RuleSet`], which is its own serialised form: [`RuleSet::to_bytes`] keeps it,
//! [`RuleSet::open`] uses it again without decoding. [`run`] evaluates it over facts, which are JSON texts by name, and
//! gives back what fired and the facts with only what the rules wrote changed.
//!
//! ```
//! # fn main() -> Result<(), grl::Error> {
//! let source = r#"rule Big { when Event.total > 100 then Event.lane = "fast"; Retract("Big"); }"#;
//! let set = grl::compile(&[grl::Source::grl(source)], &grl::Functions::new(), grl::Mode::Check)?;
//! let facts = [("Event", r#"{"total": 120}"#)];
//! let outcome = grl::run(&set, &facts, &mut grl::NoHost, &mut grl::Scratch::new(), &grl::Options::default());
//! assert_eq!(outcome.facts[0].1, r#"{"total": 120,"lane":"fast"}"#);
//! # Ok(())
//! # }
//! ```

mod check;
mod compile;
mod error;
mod explain;
mod form;
mod format;
mod functions;
mod json;
mod json_rules;
pub mod limits;
mod run;
pub mod syntax;
mod value;

pub use compile::{check, compile, compile_to_run, Mode, Source};
pub use error::Error;
pub use explain::{explain, Explanation, FalsePart, Why};
pub use form::RuleSet;
pub use format::format;
pub use functions::{Function, Functions, Param};
pub use json::split_facts;
pub use json_rules::to_grl;
pub use run::{run, Ended, Host, Limit, Limits, NoHost, Options, Outcome, Scratch};
pub use syntax::{Diagnostic, Place, Severity};
pub use value::{KindOf, Str, Time, Value};

/// Appends a member to a path, by a dot where that can be read back.
pub(crate) fn syntax_path(path: &mut String, name: &str) {
    if syntax::is_name(name) {
        path.push('.');
        path.push_str(name);
    } else {
        path.push('[');
        json::write_string(path, name);
        path.push(']');
    }
}
