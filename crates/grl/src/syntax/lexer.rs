//! Text to tokens. Unknown characters and open quotes are reported, and reading goes on after them.

use super::ast::Span;
use super::diagnostic::Report;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub span: Span,
}

/// `/* … */` or `// …`.
pub type Comment = Span;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Name,
    Text,
    Int,
    Float,
    Rule,
    When,
    Then,
    True,
    False,
    Nil,
    Salience,
    /// Operators, brackets and marks, by their own text.
    Mark(&'static str),
    /// A mistake that was reported already.
    Wrong,
    End,
}

pub struct Lexed {
    /// The last one is [`Kind::End`].
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
}

/// Longest first.
const MARKS: [&str; 26] = [
    "&&", "||", "==", "!=", ">=", "<=", "+=", "-=", "*=", "/=", "+", "-", "*", "/", "%", ".", ";", "{", "}", "(", ")",
    "[", "]", "=", ">", "<",
];
const MARKS_LAST: [&str; 4] = ["!", "&", "|", ","];

pub fn lex(text: &str, report: &mut Report<'_>) -> Lexed {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, tokens: Vec::new(), comments: Vec::new() };
    while lexer.at < text.len() {
        lexer.step(report);
    }
    lexer.push(Kind::End, text.len());
    Lexed { tokens: lexer.tokens, comments: lexer.comments }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

// === impl Lexer ===

impl Lexer<'_> {
    fn push(&mut self, kind: Kind, end: usize) {
        self.tokens.push(Token { kind, span: Span { start: self.at, end } });
        self.at = end;
    }

    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn step(&mut self, report: &mut Report<'_>) {
        match self.byte(self.at) {
            b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
            b'/' if self.byte(self.at + 1) == b'/' => {
                let end = self.rest().find(['\n', '\r']).map_or(self.text.len(), |length| self.at + length);
                self.comments.push(Span { start: self.at, end });
                self.at = end;
            }
            b'/' if self.byte(self.at + 1) == b'*' => {
                let end = self.text.get(self.at + 2..).and_then(|rest| rest.find("*/"));
                let Some(end) = end.map(|length| self.at + 2 + length + 2) else {
                    report.error(Span { start: self.at, end: self.at + 2 }, "this comment is never closed", "*/");
                    self.push(Kind::Wrong, self.text.len());
                    return;
                };
                self.comments.push(Span { start: self.at, end });
                self.at = end;
            }
            quote @ (b'"' | b'\'') => self.quoted(quote, report),
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(self.at + 1).is_ascii_digit() => self.number(),
            _ => self.word(report),
        }
    }

    fn quoted(&mut self, quote: u8, report: &mut Report<'_>) {
        let mut at = self.at + 1;
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'\\' => at += 2,
                // A doubled quote is part of the text, as in Grule's grammar; it is refused when its value is read.
                byte if byte == quote && self.byte(at + 1) == quote && self.closes(at + 2, quote) => at += 2,
                byte if byte == quote => return self.push(Kind::Text, at + 1),
                _ => at += 1,
            }
        }
        let line_end = self.rest().find(['\n', '\r']).map_or(self.text.len(), |length| self.at + length);
        report.error(
            Span { start: self.at, end: line_end },
            "this text is never closed",
            if quote == b'"' { "a closing \"" } else { "a closing '" },
        );
        self.push(Kind::Wrong, line_end);
    }

    /// Whether a quote closes the text that goes on at `at`.
    fn closes(&self, mut at: usize, quote: u8) -> bool {
        while let Some(&byte) = self.bytes.get(at) {
            match byte {
                b'\\' => at += 2,
                byte if byte == quote => return true,
                _ => at += 1,
            }
        }
        false
    }

    fn digits(&self, mut at: usize, is: fn(&u8) -> bool) -> usize {
        while self.bytes.get(at).is_some_and(is) {
            at += 1;
        }
        at
    }

    /// The offset after an exponent at `at`; none when there is none.
    fn exponent(&self, at: usize, letter: u8) -> Option<usize> {
        if self.byte(at).to_ascii_lowercase() != letter {
            return None;
        }
        let from = at + 1 + usize::from(matches!(self.byte(at + 1), b'+' | b'-'));
        Some(self.digits(from, u8::is_ascii_digit)).filter(|end| *end > from)
    }

    fn number(&mut self) {
        let start = self.at;
        if self.byte(start) == b'0' && self.byte(start + 1).eq_ignore_ascii_case(&b'x') {
            let whole = self.digits(start + 2, u8::is_ascii_hexdigit);
            let dotted = if self.byte(whole) == b'.' { self.digits(whole + 1, u8::is_ascii_hexdigit) } else { whole };
            let mantissa = dotted > start + 2 && dotted != whole + 1 || whole > start + 2;
            if let Some(end) = self.exponent(dotted, b'p').filter(|_| mantissa) {
                return self.push(Kind::Float, end);
            }
            if whole > start + 2 {
                return self.push(Kind::Int, whole);
            }
            return self.push(Kind::Int, start + 1);
        }
        let octal = self.digits(start + 1, |byte| (b'0'..=b'7').contains(byte));
        if self.byte(start) == b'0' && octal > start + 1 {
            return self.push(Kind::Int, octal);
        }
        let whole = match self.byte(start) {
            b'.' => start,
            b'0' => start + 1,
            _ => self.digits(start, u8::is_ascii_digit),
        };
        let fraction = match self.byte(whole) {
            b'.' => Some(self.digits(whole + 1, u8::is_ascii_digit)).filter(|end| *end > whole + 1),
            _ => None,
        };
        let end = fraction.unwrap_or(whole);
        match (self.exponent(end, b'e'), fraction) {
            (Some(end), _) => self.push(Kind::Float, end),
            (None, Some(end)) => self.push(Kind::Float, end),
            (None, None) => self.push(Kind::Int, end),
        }
    }

    fn word(&mut self, report: &mut Report<'_>) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return };
        if starts_name(first) {
            let end = rest.find(|c| !continues_name(c)).map_or(self.text.len(), |length| self.at + length);
            let kind = keyword(self.text.get(self.at..end).unwrap_or(""));
            return self.push(kind, end);
        }
        if let Some(mark) = MARKS.iter().chain(&MARKS_LAST).find(|mark| rest.starts_with(**mark)) {
            return self.push(Kind::Mark(mark), self.at + mark.len());
        }
        let end = self.at + first.len_utf8();
        let message = match first {
            '_' => "a name cannot start with _".to_owned(),
            '#' => "# does not start a comment here; write // instead".to_owned(),
            '\u{feff}' => "the text starts with a byte-order mark; save it without".to_owned(),
            first => format!("{first:?} is not part of the language"),
        };
        report.error(Span { start: self.at, end }, message, "");
        // The rest of a name that starts wrong is not a second error.
        let end = match first {
            '_' => self
                .text
                .get(end..)
                .and_then(|rest| rest.find(|c| !continues_name(c)))
                .map_or(self.text.len(), |n| end + n),
            _ => end,
        };
        self.push(Kind::Wrong, end);
    }
}

fn keyword(word: &str) -> Kind {
    const KEYWORDS: [(&str, Kind); 7] = [
        ("rule", Kind::Rule),
        ("when", Kind::When),
        ("then", Kind::Then),
        ("true", Kind::True),
        ("false", Kind::False),
        ("nil", Kind::Nil),
        ("salience", Kind::Salience),
    ];
    KEYWORDS.iter().find(|(text, _)| word.eq_ignore_ascii_case(text)).map_or(Kind::Name, |(_, kind)| *kind)
}

pub(crate) fn starts_name(c: char) -> bool {
    matches!(c,
        'A'..='Z' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}')
}

fn continues_name(c: char) -> bool {
    starts_name(c) || matches!(c, '0'..='9' | '_' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Whether a text can stand after a dot.
pub(crate) fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(starts_name) && text.chars().all(continues_name) && keyword(text) == Kind::Name
}
