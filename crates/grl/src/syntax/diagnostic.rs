//! What is wrong with a text, and where, for people who write rules and not programs.

use std::fmt::Write as _;

use super::ast::Span;
use crate::limits::DIAGNOSTICS_MAX;

/// One mistake, or one thing worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Which of the texts given, from 0.
    pub source: usize,
    /// What is underlined, in bytes of the text.
    pub span: Span,
    pub place: Place,
    pub message: String,
    /// What could stand there instead; empty when nothing sensible can be said.
    pub expected: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The set is refused.
    Error,
    /// The set runs, but probably not as meant.
    Warning,
}

/// Line from 1, column from 0 in characters, as Grule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// Collects the diagnostics of one text.
pub struct Report<'a> {
    text: &'a str,
    source: usize,
    lines: Vec<usize>,
    /// Characters before every [`MARK_BYTES`]th byte, so that a column of a very long line is near to be counted.
    marks: Vec<usize>,
    pub(crate) list: Vec<Diagnostic>,
}

const MARK_BYTES: usize = 1024;

// === impl Report ===

impl<'a> Report<'a> {
    pub fn new(text: &'a str, source: usize) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut before = 0;
        let marks = text.as_bytes().chunks(MARK_BYTES).map(|chunk| {
            let mark = before;
            before += characters(chunk);
            mark
        });
        let marks = marks.collect();
        Report { text, source, lines, marks, list: Vec::new() }
    }

    pub fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let column = self.characters_before(offset).saturating_sub(self.characters_before(start));
        Place { line, column }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let mark = offset / MARK_BYTES;
        let rest = self.text.as_bytes().get(mark * MARK_BYTES..offset).unwrap_or(&[]);
        let marked = self.marks.get(mark).copied();
        marked.unwrap_or_else(|| characters(self.text.as_bytes())) + characters(rest)
    }

    /// Whether further diagnostics are dropped.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= DIAGNOSTICS_MAX
    }

    pub fn text(&self, span: Span) -> &'a str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    pub fn error(&mut self, span: Span, message: impl Into<String>, expected: impl Into<String>) {
        self.add(Severity::Error, span, message.into(), expected.into());
    }

    pub fn warning(&mut self, span: Span, message: impl Into<String>) {
        self.add(Severity::Warning, span, message.into(), String::new());
    }

    fn add(&mut self, severity: Severity, span: Span, message: String, expected: String) {
        if !self.is_full() {
            let place = self.place(span.start);
            self.list.push(Diagnostic { severity, source: self.source, span, place, message, expected });
        }
    }

    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All of them, in the order of the text.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|diagnostic| diagnostic.span.start);
        self.list
    }
}

/// Of UTF-8: bytes that do not continue a character.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
}

// === impl Diagnostic ===

impl Diagnostic {
    /// Some lines for a terminal: what is wrong, the line of the text, and the piece underlined. `name` is the file's.
    pub fn render(&self, text: &str, name: &str) -> String {
        let Place { line, column } = self.place;
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut out = String::new();
        let _ = writeln!(out, "{kind}: {}", self.message);
        let _ = writeln!(out, "  --> {name}:{line}:{}", column + 1);
        let content = text.lines().nth(line - 1).unwrap_or("").trim_end();
        let margin = line.to_string().len();
        let _ = writeln!(out, "{:margin$} |", "");
        let _ = writeln!(out, "{line} | {}", content.replace('\t', " "));
        let underlined = text.get(self.span.start..self.span.end).unwrap_or("");
        let width = underlined.lines().next().unwrap_or("").chars().count().max(1);
        let _ = write!(out, "{:margin$} | {:column$}{}", "", "", "^".repeat(width));
        if !self.expected.is_empty() {
            let _ = write!(out, " expected {}", self.expected);
        }
        out.push('\n');
        out
    }
}

/// The word of `words` that `word` is a slip of, if one is near enough.
pub(crate) fn nearest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let limit = (word.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|other| (if other.eq_ignore_ascii_case(word) { 0 } else { distance(word, other) }, other))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// Letters to insert, remove or replace between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(64).enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let replaced = corner + usize::from(left != *right);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_piece_is_underlined() {
        let text = "rule A {\n\twhen é == then\n}";
        let start = text.find("then").unwrap_or(0);
        let mut report = Report::new(text, 0);
        report.error(Span { start, end: start + 4 }, "a value is missing", "a value");
        let list = report.finish();
        assert_eq!(list[0].place, Place { line: 2, column: 11 });
        assert_eq!(
            list[0].render(text, "a.grl"),
            "error: a value is missing\n  --> a.grl:2:12\n  |\n2 |  when é == then\n  |            ^^^^ expected a value\n"
        );
    }

    #[test]
    fn columns_of_long_lines_are_right() {
        for text in ["é".repeat(3000), "a".repeat(1024), "x\né".repeat(700), String::new(), "ab\n".repeat(1024)] {
            let report = Report::new(&text, 0);
            for (offset, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
                let want = Place {
                    line: text[..offset].matches('\n').count() + 1,
                    column: text[start..offset].chars().count(),
                };
                assert_eq!(report.place(offset), want);
            }
        }
    }

    #[test]
    fn slips_are_recognised() {
        let words = ["Retract", "Complete", "Log", "Drop"];
        assert_eq!(nearest("Retrct", words), Some("Retract"));
        assert_eq!(nearest("drop", words), Some("Drop"));
        assert_eq!(nearest("Publish", words), None);
    }
}
