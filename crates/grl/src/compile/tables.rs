//! What all of a set shares while it is compiled: texts, constants and code, each once.

use std::collections::HashMap;

use super::code::reads;
use super::paths::Paths;
use crate::form::{Section, Writer};
use crate::value::Value;

/// Texts, constants and code that all of a set shares.
pub(crate) struct Tables {
    pub(crate) paths: Paths,
    pub(super) writer: Writer,
    pub(super) texts: HashMap<String, u32>,
    constants: HashMap<(u8, u64, u32), u32>,
    pub(super) values: Vec<Value<'static>>,
    pub(super) memo_reads: Vec<Vec<u32>>,
}

// === impl Tables ===

impl Tables {
    pub(super) fn new(paths: Paths) -> Self {
        Tables {
            paths,
            writer: Writer::default(),
            texts: HashMap::new(),
            constants: HashMap::new(),
            values: Vec::new(),
            memo_reads: Vec::new(),
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> u32 {
        if let Some(id) = self.texts.get(text) {
            return *id;
        }
        let id = add_text(&mut self.writer, text);
        self.texts.insert(text.to_owned(), id);
        id
    }

    pub(crate) fn constant(&mut self, value: &Value<'_>) -> u32 {
        let (kind, payload, text) = match value {
            Value::Bool(value) => (1, u64::from(*value), 0),
            Value::Int(value) => (2, *value as u64, 0),
            Value::Float(value) => (3, value.to_bits(), 0),
            Value::Str(value) => (4, 0, self.text(value.as_str())),
            _ => (0, 0, 0),
        };
        let next = (self.writer.len(Section::Consts) / 16) as u32;
        let id = *self.constants.entry((kind, payload, text)).or_insert(next);
        if id == next {
            self.values.push(match value {
                Value::Str(text) => Value::text(text.as_str()),
                Value::Bool(value) => Value::Bool(*value),
                Value::Int(value) => Value::Int(*value),
                Value::Float(value) => Value::Float(*value),
                _ => Value::Null,
            });
            self.writer.words(Section::Consts, &[u32::from(kind), text, payload as u32, (payload >> 32) as u32]);
        }
        id
    }

    pub(super) fn code(&mut self, code: &[u8]) -> (u32, u32) {
        let at = self.writer.len(Section::Code) as u32;
        self.writer.bytes(Section::Code, code);
        (at, code.len() as u32)
    }

    /// A shared expression; `plain` is its code without other shared ones.
    pub(crate) fn memo(&mut self, code: &[u8], plain: &[u8]) -> u32 {
        let (at, length) = self.code(code);
        self.writer.words(Section::Memos, &[at, length]);
        self.memo_reads.push(reads(plain).0);
        self.memo_reads.len() as u32 - 1
    }

    pub(super) fn pool(&mut self, words: &[u32]) -> u32 {
        let at = (self.writer.len(Section::Pool) / 4) as u32;
        self.writer.words(Section::Pool, words);
        at
    }
}

pub(super) fn add_text(writer: &mut Writer, text: &str) -> u32 {
    let id = (writer.len(Section::TextRefs) / 8) as u32;
    let at = writer.len(Section::Texts) as u32;
    writer.words(Section::TextRefs, &[at, text.len() as u32]);
    writer.bytes(Section::Texts, text.as_bytes());
    id
}
