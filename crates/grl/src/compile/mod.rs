//! Rules to a compiled set: every expression once, conditions that constants decide into indexes, the rest into code.

mod builder;
mod code;
mod conditions;
mod emit;
mod index;
mod paths;
mod tables;

use crate::check::check_rules;
use crate::error::Error;
use crate::form::RuleSet;
use crate::functions::Functions;
use crate::json_rules::to_grl;
use crate::limits::SOURCE_BYTES_MAX;
use crate::syntax::ast::{Rule, Span};
use crate::syntax::{parse, Diagnostic, Report, Severity};

pub(crate) use code::reads_in;
pub(crate) use emit::{binary_of, op};

/// A text of rules.
#[derive(Debug, Clone, Copy)]
pub struct Source<'t> {
    pub text: &'t str,
    /// Whether it is JSON rules instead of GRL.
    pub json: bool,
}

/// How much is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Also calls of unknown functions, and values of kinds that can never do.
    Check,
    /// What Grule refuses; other mistakes come out when a rule gets there.
    Grule,
}

// === impl Source ===

impl<'t> Source<'t> {
    pub fn grl(text: &'t str) -> Self {
        Source { text, json: false }
    }

    pub fn json(text: &'t str) -> Self {
        Source { text, json: true }
    }
}

/// Compiles texts into one set. All mistakes of all texts are in the error.
pub fn compile(sources: &[Source<'_>], functions: &Functions, mode: Mode) -> Result<RuleSet<'static>, Error> {
    builder::build(&accepted(sources, functions, mode)?, functions, true)
}

/// As [`compile()`] in [`Mode::Check`], without the words that only [`crate::explain()`] shows: about a quarter smaller,
/// for sets that are fetched again and again to be run.
pub fn compile_to_run(sources: &[Source<'_>], functions: &Functions) -> Result<RuleSet<'static>, Error> {
    builder::build(&accepted(sources, functions, Mode::Check)?, functions, false)
}

fn accepted(sources: &[Source<'_>], functions: &Functions, mode: Mode) -> Result<Read, Error> {
    let mut read = read(sources, functions, mode);
    read.diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    if !read.diagnostics.is_empty() {
        return Err(Error::Refused(read.diagnostics));
    }
    Ok(read)
}

/// All that can be said about texts, warnings too, without compiling them.
pub fn check(sources: &[Source<'_>], functions: &Functions) -> Vec<Diagnostic> {
    read(sources, functions, Mode::Check).diagnostics
}

/// What texts say.
pub(crate) struct Read {
    /// GRL, made from JSON rules where those were given.
    pub(crate) texts: Vec<String>,
    /// With the text each is from.
    pub(crate) rules: Vec<(usize, Rule)>,
    diagnostics: Vec<Diagnostic>,
}

fn read(sources: &[Source<'_>], functions: &Functions, mode: Mode) -> Read {
    let mut read = Read { texts: Vec::new(), rules: Vec::new(), diagnostics: Vec::new() };
    for (index, source) in sources.iter().enumerate() {
        let text = match (source.json, source.text.len() > SOURCE_BYTES_MAX) {
            (_, true) => Err("this text is too long for one set of rules".to_owned()),
            (true, _) => to_grl(source.text),
            (false, _) => Ok(source.text.to_owned()),
        };
        let text = text.unwrap_or_else(|message| {
            let mut report = Report::new(source.text, index);
            let end = source.text.chars().next().map_or(0, char::len_utf8);
            report.error(Span { start: 0, end }, message, "");
            read.diagnostics.extend(report.finish());
            String::new()
        });
        read.texts.push(text);
    }
    for (index, text) in read.texts.iter().enumerate() {
        let mut report = Report::new(text, index);
        let rules = parse(text, &mut report);
        let before: Vec<&str> = read.rules.iter().map(|(_, rule)| rule.name.text.as_str()).collect();
        check_rules(&rules, &before, functions, mode, &mut report);
        read.diagnostics.extend(report.finish());
        read.rules.extend(rules.into_iter().map(|rule| (index, rule)));
    }
    read
}
