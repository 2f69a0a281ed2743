//! Why a condition or action failed, kept small until somebody asks for words.

use std::fmt;

use crate::form::RuleSet;
use crate::syntax::ast::Op;
use crate::value::{KindOf, Mismatch, TooMuch};

/// A limit of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Cycles,
    Steps,
    /// Too much was built in total.
    Built,
    /// One text or fact grew too large.
    Size,
    /// Values were put into one another too deeply.
    Depth,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// Nothing is at the node.
    Missing(u32),
    /// A selector that finds nothing.
    NoElement,
    /// A selector or name on what has no members.
    NoMembers(KindOf),
    Mismatch(Mismatch),
    NotBool(KindOf),
    Method {
        name: String,
        on: KindOf,
    },
    Arguments {
        name: &'static str,
    },
    Unknown(String),
    Host(String),
    Pattern(String),
    Put(TooMuch, u32),
    Range(&'static str),
    Limit(Limit),
    /// The code is none that the compiler makes.
    Damaged,
}

// === impl Limit ===

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Cycles => {
                "the limit of cycles is reached; its condition probably stays true when it fires. \
                 Change what the condition reads, or end the actions with Retract(\"its name\")"
            }
            Limit::Steps => "the limit of steps is reached",
            Limit::Built => "the limit of memory is reached",
            Limit::Size => "a text or fact grows beyond the limit of its size",
            Limit::Depth => "values are put into one another beyond the limit of depth",
        })
    }
}

// === impl Fault ===

impl Fault {
    pub(crate) fn describe(&self, set: &RuleSet<'_>) -> String {
        match self {
            Fault::Missing(node) => format!("{} has no value", set.path_of(*node)),
            Fault::NoElement => "there is no such element or member".to_owned(),
            Fault::NoMembers(kind) => format!("{} has no such members", kind.text()),
            Fault::Mismatch(Mismatch { zero: true, .. }) => "division by zero".to_owned(),
            Fault::Mismatch(Mismatch { op, left, right, .. }) => match op {
                Op::Gt | Op::Lt | Op::Gte | Op::Lte | Op::Eq | Op::NotEq => {
                    format!("{} and {} cannot be compared by {}", left.text(), right.text(), op.text())
                }
                _ => format!("{} does not take {} and {}", op.text(), left.text(), right.text()),
            },
            Fault::NotBool(kind) => format!("{} stands where true or false is needed", kind.text()),
            Fault::Method { name, on } => format!("{} has no method {name}", on.text()),
            Fault::Arguments { name } => format!("{name} does not take these arguments"),
            Fault::Unknown(name) => format!("there is no function {name}"),
            Fault::Host(message) => message.clone(),
            Fault::Pattern(pattern) => format!("{pattern:?} is no pattern that can be used"),
            Fault::Put(TooMuch::Missing, node) => format!("there is nothing at {} to assign to", set.path_of(*node)),
            Fault::Put(_, node) => format!("{} cannot be assigned to", set.path_of(*node)),
            Fault::Range(what) => (*what).to_owned(),
            Fault::Limit(limit) => limit.to_string(),
            Fault::Damaged => "the compiled form is damaged".to_owned(),
        }
    }
}

impl From<Mismatch> for Fault {
    fn from(mismatch: Mismatch) -> Self {
        Fault::Mismatch(mismatch)
    }
}
