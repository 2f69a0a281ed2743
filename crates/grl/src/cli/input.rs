//! Files of rules and facts.

use std::borrow::Cow;
use std::path::Path;

use grl::{Diagnostic, Function, Param, Source};

/// A file of rules.
pub(crate) struct RulesFile {
    pub(crate) name: String,
    pub(crate) text: String,
    json: bool,
    /// What is run and underlined: GRL, made from JSON rules where those were given.
    shown: String,
}

/// A file of facts: names, and texts out of the file.
pub(crate) struct FactsFile {
    text: String,
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A function as it is written on the command line: its name, and the kinds of its parameters in brackets.
pub(crate) fn function(text: &str) -> Result<Function, String> {
    const WRITTEN: &str = "it is written as in \"Drop(text)\" or \"Emit(text, any?)\"";
    let (name, rest) = text.split_once('(').ok_or(WRITTEN)?;
    let kinds = rest.trim().strip_suffix(')').ok_or(WRITTEN)?;
    let (mut params, mut optional) = (Vec::new(), 0);
    for kind in kinds.split(',').map(str::trim).filter(|kind| !kind.is_empty()) {
        let kind = match kind.strip_suffix('?') {
            Some(kind) => {
                optional += 1;
                kind
            }
            None if optional > 0 => return Err("what can be left out stands last".to_owned()),
            None => kind,
        };
        params.push(match kind {
            "text" => Param::Text,
            "number" => Param::Number,
            "whole" => Param::Whole,
            "boolean" => Param::Bool,
            "time" => Param::Time,
            "texts" => Param::Texts,
            "any" => Param::Any,
            other => return Err(format!("{other} is no kind: text, number, whole, boolean, time, texts or any")),
        });
    }
    Ok(Function { name: name.trim().to_owned(), params, optional, result: None })
}

// === impl RulesFile ===

impl RulesFile {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let text = read(path)?;
        let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let shown = if json { grl::to_grl(&text).unwrap_or_else(|_| text.clone()) } else { text.clone() };
        Ok(RulesFile { name: path.display().to_string(), text, json, shown })
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source { text: &self.text, json: self.json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn render(&self, diagnostic: &Diagnostic) -> String {
        let name = match self.json {
            true => format!("{} (as GRL)", self.name),
            false => self.name.clone(),
        };
        diagnostic.render(&self.shown, &name)
    }
}

// === impl FactsFile ===

impl FactsFile {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let text = read(path)?;
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{}: this is not JSON: {error}", path.display()))?;
        match value.is_object() {
            true => Ok(FactsFile { text }),
            false => Err(format!("{}: facts are one JSON object with a key for each fact", path.display())),
        }
    }

    pub(crate) fn facts(&self) -> Vec<(Cow<'_, str>, &str)> {
        grl::split_facts(&self.text)
    }
}
