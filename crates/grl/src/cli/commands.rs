//! What each command does. True is success; the error is one of the files or of the surroundings.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use grl::{
    Diagnostic, Error, Functions, Host, Mode, NoHost, Options, Outcome, RuleSet, Scratch, Severity, Time, Value,
};

use crate::input::{FactsFile, RulesFile};
use crate::{HostOptions, RunOptions};

type Done = Result<bool, String>;

/// Logs to standard error, and shows there what the rules call.
struct Terminal {
    functions: Functions,
}

// === impl Terminal ===

impl Host for Terminal {
    fn call(&mut self, rule: &str, function: usize, arguments: &[Value<'_>]) -> Result<Value<'static>, String> {
        let arguments: Vec<String> = arguments.iter().map(Value::to_json).collect();
        let name = self.functions.list().get(function).map_or("", |function| function.name.as_str());
        eprintln!("{rule}: {name}({})", arguments.join(", "));
        Ok(Value::Null)
    }

    fn log(&mut self, text: &str) {
        eprintln!("{text}");
    }

    fn now(&self) -> Time {
        NoHost.now()
    }
}

pub(crate) fn check(files: &[PathBuf], host: HostOptions) -> Done {
    let files: Vec<RulesFile> = files.iter().map(|path| RulesFile::open(path)).collect::<Result<_, _>>()?;
    let sources: Vec<_> = files.iter().map(RulesFile::source).collect();
    let found = grl::check(&sources, &host.functions());
    for diagnostic in &found {
        if let Some(file) = files.get(diagnostic.source) {
            println!("{}", file.render(diagnostic));
        }
    }
    let errors = found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    let warnings = found.len() - errors;
    match (errors, warnings) {
        (0, 0) => println!("no mistakes"),
        (errors, warnings) => println!("{errors} errors, {warnings} warnings"),
    }
    Ok(errors == 0)
}

pub(crate) fn fmt(files: &[PathBuf], check: bool) -> Done {
    let mut good = true;
    for path in files {
        let file = RulesFile::open(path)?;
        if file.is_json() {
            return Err(format!("{}: only GRL can be formatted", file.name));
        }
        match grl::format(&file.text) {
            Err(mistakes) => {
                good = false;
                mistakes.iter().for_each(|mistake| println!("{}", file.render(mistake)));
            }
            Ok(formatted) if formatted == file.text => {}
            Ok(_) if check => {
                good = false;
                println!("{} is not formatted", file.name);
            }
            Ok(formatted) => {
                std::fs::write(path, formatted).map_err(|error| format!("{}: {error}", file.name))?;
                println!("{} formatted", file.name);
            }
        }
    }
    Ok(good)
}

fn compiled(file: &RulesFile, functions: &Functions) -> Result<RuleSet<'static>, Vec<Diagnostic>> {
    grl::compile(&[file.source()], functions, Mode::Grule).map_err(|error| match error {
        Error::Refused(mistakes) => mistakes,
        Error::Damaged(_) => Vec::new(),
    })
}

fn options(given: &RunOptions, matching: bool) -> Options {
    let mut options = Options { strict: given.strict, matching, ..Options::default() };
    options.limits.cycles = given.max_cycle;
    options
}

pub(crate) fn run(path: &Path, given: RunOptions, matching: bool) -> Done {
    let file = RulesFile::open(path)?;
    let facts = FactsFile::open(&given.facts)?;
    let facts = facts.facts();
    let facts: Vec<(&str, &str)> = facts.iter().map(|(name, text)| (name.as_ref(), *text)).collect();
    let options = options(&given, matching);
    let mut host = Terminal { functions: given.host.functions() };
    match compiled(&file, &host.functions) {
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| eprintln!("{}", file.render(mistake)));
            let unchanged = facts.iter().map(|(name, text)| (*name, *text));
            println!("{}", report(&mistakes, Some("the rules were refused"), &[], &[], unchanged));
            Ok(false)
        }
        Ok(set) => {
            let outcome = grl::run(&set, &facts, &mut host, &mut Scratch::new(), &options);
            let error = outcome.error();
            let after = outcome.facts.iter().map(|(name, text)| (*name, text.as_ref()));
            let fired = outcome.fired_names(&set);
            println!("{}", report(&[], error.as_deref(), &fired, &matched(&outcome, &set), after));
            Ok(error.is_none())
        }
    }
}

fn matched<'s>(outcome: &Outcome<'_>, set: &'s RuleSet<'_>) -> Vec<&'s str> {
    let names: Vec<&str> = set.names().collect();
    outcome.matched.iter().filter_map(|rank| names.get(*rank as usize).copied()).collect()
}

fn quoted(text: &str) -> String {
    Value::text(text).to_json()
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",")
}

/// The one JSON object of `run`.
fn report<'f>(
    mistakes: &[Diagnostic],
    error: Option<&str>,
    fired: &[&str],
    matched: &[&str],
    facts: impl Iterator<Item = (&'f str, &'f str)>,
) -> String {
    let mistakes = mistakes.iter().map(|mistake| {
        let (line, column) = (mistake.place.line, mistake.place.column);
        format!("{{\"line\":{line},\"column\":{column},\"message\":{}}}", quoted(&mistake.message))
    });
    let facts = facts.map(|(name, text)| format!("{}:{text}", quoted(name)));
    format!(
        "{{\"errors\":[{}],\"error\":{},\"fired\":[{}],\"match\":[{}],\"facts\":{{{}}}}}",
        mistakes.collect::<Vec<_>>().join(","),
        error.map_or("null".to_owned(), quoted),
        list(fired),
        list(matched),
        facts.collect::<Vec<_>>().join(","),
    )
}

pub(crate) fn explain(path: &Path, given: RunOptions, json: bool) -> Done {
    let file = RulesFile::open(path)?;
    let facts = FactsFile::open(&given.facts)?;
    let facts = facts.facts();
    let facts: Vec<(&str, &str)> = facts.iter().map(|(name, text)| (name.as_ref(), *text)).collect();
    let options = options(&given, false);
    let mut host = Terminal { functions: given.host.functions() };
    let set = match compiled(&file, &host.functions) {
        Ok(set) => set,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| println!("{}", file.render(mistake)));
            return Ok(false);
        }
    };
    let explanation = grl::explain(&set, &facts, &mut host, &options);
    let error = explanation.outcome.error();
    let mut out = String::new();
    for why in &explanation.rules {
        if !json {
            let _ = writeln!(out, "{}: {}", why.rule, why.text());
            continue;
        }
        let part = why.first_false.as_ref().map_or("null".to_owned(), |part| {
            let values = part
                .values
                .iter()
                .map(|(path, value)| format!("{}:{}", quoted(path), value.as_deref().unwrap_or("null")));
            format!(
                "{{\"text\":{},\"line\":{},\"column\":{},\"values\":{{{}}},\"error\":{}}}",
                quoted(part.text),
                part.line,
                part.column,
                values.collect::<Vec<_>>().join(","),
                part.error.as_deref().map_or("null".to_owned(), quoted),
            )
        });
        let _ = writeln!(
            out,
            "{{\"rule\":{},\"matched\":{},\"fired\":{},\"firstFalse\":{part}}}",
            quoted(why.rule),
            why.matched,
            why.fired
        );
    }
    if !json {
        let fired = explanation.outcome.fired_names(&set);
        let _ = writeln!(
            out,
            "\nfired, in this order: {}",
            if fired.is_empty() { "none".into() } else { fired.join(", ") }
        );
        if let Some(error) = &error {
            let _ = writeln!(out, "the run ended in an error: {error}");
        }
    }
    print!("{out}");
    Ok(error.is_none())
}
