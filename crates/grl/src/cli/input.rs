//! Files of rules and facts.

use std::borrow::Cow;
use std::path::Path;

use grl::{Diagnostic, Source};

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
