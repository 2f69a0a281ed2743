//! Mappings: how the JSON of one system becomes a CloudEvent.
//!
//! A mapping is a JSON object; `mappings/github.json` is one to read beside this.
//! - `name`: for messages of ours; `label`: for messages to whoever sends («GitHub webhook»).
//! - `detect`: a list of rules of which one must hold: `{"header":NAME}` or `{"query":NAME}`, with `"equals":TEXT` where
//!   being there is not enough. An empty list always holds. The first mapping that is detected is used, and no other.
//! - `body`: `"object"` where nothing else makes sense.
//! - `required`: attributes without which there is no event, besides `type` and `source`.
//! - `attributes`: for `id`, `type`, `source`, `subject`, `time` a list of templates. The first whose every placeholder
//!   resolves is used. Without one, `id` and `time` are the envelope's: the request's id and time of arrival.
//!
//! Placeholders: `{header:x-name}`; `{query:name}`; `{/json/pointer}` into the body, to a string that is not empty, a
//! number or a boolean; `{tenant}`; `{?header:x-name=text}`, which resolves to nothing where the header has that text.
//! A `time` may also be a number: of seconds since 1970, or of milliseconds from 10^11 on.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::json::Pointers;
use crate::Reject;

use super::template::Template;

const GITHUB: &str = include_str!("../../mappings/github.json");
const DEFAULT: &str = include_str!("../../mappings/default.json");

/// Mappings in the order in which they are tried; the last one takes everything.
#[derive(Debug, Clone, Default)]
pub struct Mappings {
    /// Made when the first envelope comes: a component is new at every call, and most calls need none.
    list: OnceLock<Result<Vec<Mapping>, Reject>>,
}

impl Mappings {
    /// Those that come with the platform: GitHub's webhooks, then any JSON.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// A JSON array of mappings, tried before the built-in ones. An error names the mapping and what is wrong.
    pub fn from_json(text: &str) -> Result<Self, Reject> {
        let files: Vec<File> = serde_json::from_str(text).map_err(|error| wrong("list", &error.to_string()))?;
        let mut list = files.into_iter().map(Mapping::new).collect::<Result<Vec<_>, _>>()?;
        list.append(&mut builtin()?);
        Ok(Mappings { list: OnceLock::from(Ok(list)) })
    }

    pub(super) fn list(&self) -> Result<&[Mapping], Reject> {
        self.list.get_or_init(builtin).as_deref().map_err(Clone::clone)
    }
}

fn builtin() -> Result<Vec<Mapping>, Reject> {
    let read = |text: &str| serde_json::from_str(text).map_err(|error| wrong("builtin", &error.to_string()));
    [GITHUB, DEFAULT].into_iter().map(|text| Mapping::new(read(text)?)).collect()
}

pub(super) fn wrong(name: &str, what: &str) -> Reject {
    Reject::Mapping { name: name.to_owned(), what: what.to_owned() }
}

/// A mapping as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    label: String,
    detect: Vec<Rule>,
    #[serde(default)]
    body: Body,
    #[serde(default)]
    required: Vec<String>,
    attributes: Attributes<Vec<String>>,
}

/// One rule of `detect`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) header: Option<String>,
    pub(super) query: Option<String>,
    pub(super) equals: Option<String>,
}

/// What the body must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Body {
    #[default]
    Any,
    Object,
}

/// Something for each attribute that a mapping can make.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Attributes<T> {
    pub(super) id: T,
    #[serde(rename = "type")]
    pub(super) event_type: T,
    pub(super) source: T,
    pub(super) subject: T,
    pub(super) time: T,
}

/// A mapping made ready: one pass over a body finds whatever any template asks for.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    pub(super) label: String,
    pub(super) detect: Vec<Rule>,
    pub(super) body: Body,
    pub(super) subject_required: bool,
    pub(super) time_required: bool,
    pub(super) templates: Attributes<Vec<Template>>,
    pub(super) pointers: Pointers,
}

impl Mapping {
    fn new(file: File) -> Result<Self, Reject> {
        let name = &file.name;
        for required in &file.required {
            if !["id", "type", "source", "subject", "time"].contains(&required.as_str()) {
                return Err(wrong(name, &format!("`required` names {required:?}, which no mapping makes")));
            }
        }
        if file.detect.iter().any(|rule| rule.header.is_some() == rule.query.is_some()) {
            return Err(wrong(name, "a rule of `detect` looks at either a header or a query parameter"));
        }
        if file.attributes.event_type.is_empty() || file.attributes.source.is_empty() {
            return Err(wrong(name, "`type` and `source` need at least one template"));
        }
        let mut pointers = Vec::new();
        let mut compile = |texts: &[String]| {
            let templates = texts.iter().map(|text| Template::new(text, &mut pointers));
            templates.collect::<Result<Vec<_>, _>>().map_err(|what| wrong(name, &what))
        };
        let templates = Attributes {
            id: compile(&file.attributes.id)?,
            event_type: compile(&file.attributes.event_type)?,
            source: compile(&file.attributes.source)?,
            subject: compile(&file.attributes.subject)?,
            time: compile(&file.attributes.time)?,
        };
        let requires = |attribute: &str| file.required.iter().any(|required| required == attribute);
        Ok(Mapping {
            subject_required: requires("subject"),
            time_required: requires("time"),
            label: file.label,
            detect: file.detect,
            body: file.body,
            templates,
            pointers: Pointers::new(&pointers),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_mappings_are_good() {
        assert_eq!(Mappings::builtin().list().unwrap().len(), 2);
    }

    #[test]
    fn a_bad_mapping_is_refused_with_its_name() {
        let bad = |change: &str, to: &str| {
            let good = r#"[{"name":"n","label":"l","detect":[{"header":"h"}],"attributes":{"type":["t{/a}"],"source":["s"]}}]"#;
            assert!(Mappings::from_json(good).is_ok());
            Mappings::from_json(&good.replace(change, to)).expect_err(to).to_string()
        };
        assert!(bad("{/a}", "{/a").contains("mapping n"));
        assert!(bad("{/a}", "{body}").contains("{body}"));
        assert!(bad("{/a}", "{?header:x}").contains("{?header:x}"));
        assert!(bad("[\"s\"]", "[]").contains("`source`"));
        assert!(bad("{\"header\":\"h\"}", "{}").contains("either"));
        assert!(bad("\"detect\"", "\"required\":[\"data\"],\"detect\"").contains("data"));
        assert!(bad("\"source\"", "\"data\"").contains("data"));
        assert!(bad("[{", "[").contains("mapping list"));
    }
}
