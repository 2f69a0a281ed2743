//! One way to write rules: the tokens stay, the blanks between them are made anew, comments keep their places.

use crate::syntax::{lex, parse, Comment, Diagnostic, Kind, Lexed, Report, Token};

/// Longer conditions are broken at their outermost `&&` and `||`.
const LINE_CHARS_MAX: usize = 100;
const INDENT: &str = "    ";

/// Rules, written the one way. Texts with mistakes are not touched; those are the error.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let mut report = Report::new(text, 0);
    parse(text, &mut report);
    if report.has_errors() {
        return Err(report.finish());
    }
    let lexed = lex(text, &mut Report::new(text, 0));
    let mut printer = Printer { pieces: pieces(text, &lexed), at: 0, out: String::new(), line: String::new() };
    printer.rules();
    Ok(printer.out)
}

/// A token or comment with what stood before it.
#[derive(Clone, Copy)]
struct Piece<'t> {
    text: &'t str,
    what: What,
    /// Line breaks in front of it.
    breaks: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Token(Kind),
    LineComment,
    BlockComment,
}

struct Printer<'t> {
    pieces: Vec<Piece<'t>>,
    at: usize,
    out: String,
    line: String,
}

fn pieces<'t>(text: &'t str, lexed: &Lexed) -> Vec<Piece<'t>> {
    let tokens = lexed.tokens.iter().filter(|token| token.kind != Kind::End);
    let mut all: Vec<_> = tokens.map(|Token { kind, span }| (*span, What::Token(*kind))).collect();
    all.extend(lexed.comments.iter().map(|comment: &Comment| {
        let slice = text.get(comment.start..comment.end).unwrap_or("");
        (*comment, if slice.starts_with("//") { What::LineComment } else { What::BlockComment })
    }));
    all.sort_by_key(|(span, _)| span.start);
    let mut end = 0;
    let mut pieces = Vec::with_capacity(all.len());
    for (span, what) in all {
        let breaks = text.get(end..span.start).unwrap_or("").matches('\n').count();
        let slice = text.get(span.start..span.end).unwrap_or("");
        pieces.push(Piece { text: if what == What::LineComment { slice.trim_end() } else { slice }, what, breaks });
        end = span.end;
    }
    pieces
}

// === impl Piece ===

impl Piece<'_> {
    fn is(&self, mark: &str) -> bool {
        matches!(self.what, What::Token(Kind::Mark(other)) if other == mark)
    }

    fn kind(&self) -> Option<Kind> {
        match self.what {
            What::Token(kind) => Some(kind),
            _ => None,
        }
    }

    /// Keywords are written small.
    fn written(&self) -> String {
        match self.kind() {
            Some(Kind::Rule | Kind::When | Kind::Then | Kind::Salience | Kind::True | Kind::False | Kind::Nil) => {
                self.text.to_ascii_lowercase()
            }
            _ => self.text.to_owned(),
        }
    }
}

// === impl Printer ===

impl<'t> Printer<'t> {
    fn peek(&self) -> Option<Piece<'t>> {
        self.pieces.get(self.at).copied()
    }

    /// Whether a comment stands behind what was just written, on its line.
    fn comment_follows(&self) -> bool {
        self.peek().is_some_and(|next| next.kind().is_none() && next.breaks == 0)
    }

    fn end_line(&mut self) {
        self.out.push_str(&std::mem::take(&mut self.line));
        self.out.push('\n');
    }

    /// One blank line, where there was none yet.
    fn blank_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn add(&mut self, text: &str, indent: usize, space: bool) {
        if self.line.is_empty() {
            self.line = INDENT.repeat(indent);
        } else if space {
            self.line.push(' ');
        }
        self.line.push_str(text);
    }

    /// Comments that stand here. What follows a line comment goes on a new line.
    fn comments(&mut self, indent: usize) {
        while let Some(piece) = self.peek().filter(|piece| piece.kind().is_none()) {
            self.at += 1;
            let own_line = piece.breaks > 0 || self.out.is_empty() && self.line.is_empty();
            if own_line && !self.line.is_empty() {
                self.end_line();
            }
            if own_line && piece.breaks > 1 {
                self.blank_line();
            }
            // A comment at the end of a line that is ended already goes back to it.
            if !own_line && self.line.is_empty() && self.out.ends_with('\n') {
                self.out.pop();
                self.line = self.out.split_off(self.out.rfind('\n').map_or(0, |at| at + 1));
            }
            self.add(piece.text, indent, true);
            let follows = self.peek().is_some_and(|next| next.breaks == 0);
            if piece.what == What::LineComment || !follows {
                self.end_line();
            }
        }
    }

    fn rules(&mut self) {
        while self.peek().is_some() {
            let before = self.at;
            if self.peek().is_some_and(|piece| piece.breaks > 1) {
                self.blank_line();
            }
            self.comments(0);
            if self.peek().is_none() {
                break;
            }
            self.rule();
            // Never without progress, whatever the pieces are.
            self.at = self.at.max(before + 1);
        }
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    fn rule(&mut self) {
        let commented = self.pieces.get(self.at.wrapping_sub(1)).is_some_and(|piece| piece.kind().is_none());
        if !commented || self.peek().is_some_and(|piece| piece.breaks > 1) {
            self.blank_line();
        }
        let mut minus = false;
        while let Some(piece) = self.peek().filter(|piece| piece.kind() != Some(Kind::When)) {
            if piece.kind().is_none() {
                self.comments(0);
                continue;
            }
            self.at += 1;
            self.add(&piece.written(), 0, !minus);
            minus = piece.is("-");
        }
        if !self.line.is_empty() {
            self.end_line();
        }
        self.section(Kind::When);
        self.condition();
        self.section(Kind::Then);
        self.statements();
        self.comments(2);
        if !self.line.is_empty() {
            self.end_line();
        }
        if self.peek().is_some_and(|piece| piece.is("}")) {
            self.at += 1;
            self.add("}", 0, false);
            if !self.comment_follows() {
                self.end_line();
            } else {
                self.comments(0);
                if !self.line.is_empty() {
                    self.end_line();
                }
            }
        }
    }

    /// The line of `when` or `then`.
    fn section(&mut self, kind: Kind) {
        self.comments(1);
        if !self.line.is_empty() {
            self.end_line();
        }
        if let Some(piece) = self.peek().filter(|piece| piece.kind() == Some(kind)) {
            self.at += 1;
            self.add(&piece.written(), 1, false);
            self.end_line();
        }
    }

    fn condition(&mut self) {
        let end = (self.at..self.pieces.len())
            .find(|at| self.pieces.get(*at).and_then(Piece::kind) == Some(Kind::Then))
            .unwrap_or(self.pieces.len());
        let width: usize = (self.at..end).map(|at| self.width(at)).sum();
        self.expression(end, width + 2 * INDENT.len() > LINE_CHARS_MAX);
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    /// Characters of a piece with the blank before it.
    fn width(&self, at: usize) -> usize {
        let Some(piece) = self.pieces.get(at) else { return 0 };
        piece.text.chars().count() + usize::from(self.space_before(at))
    }

    fn statements(&mut self) {
        while let Some(piece) = self.peek().filter(|piece| !piece.is("}")) {
            let first = self.pieces.get(self.at.wrapping_sub(1)).and_then(Piece::kind) == Some(Kind::Then);
            if piece.kind().is_none() {
                self.comments(2);
                continue;
            }
            if piece.breaks > 1 && !first && self.line.is_empty() {
                self.blank_line();
            }
            let end = (self.at..self.pieces.len())
                .find(|at| self.pieces.get(*at).is_some_and(|piece| piece.is(";")))
                .map_or(self.pieces.len(), |at| at + 1);
            self.expression(end, false);
            if !self.line.is_empty() && !self.comment_follows() {
                self.end_line();
            }
        }
    }

    /// Pieces up to `end`; `broken` puts a line break after each outermost `&&` and `||`.
    fn expression(&mut self, end: usize, broken: bool) {
        let mut depth = 0_usize;
        while self.at < end {
            let Some(piece) = self.peek() else { return };
            if piece.kind().is_none() {
                self.comments(2);
                continue;
            }
            let space = self.space_before(self.at);
            self.at += 1;
            self.add(&piece.written(), 2, space);
            match piece.kind() {
                Some(Kind::Mark("(" | "[")) => depth += 1,
                Some(Kind::Mark(")" | "]")) => depth = depth.saturating_sub(1),
                Some(Kind::Mark("&&" | "||")) if broken && depth == 0 && !self.comment_follows() => self.end_line(),
                _ => {}
            }
        }
    }

    /// Whether a blank belongs between a piece and the one before it.
    fn space_before(&self, at: usize) -> bool {
        let Some(piece) = self.pieces.get(at) else { return false };
        let Some(before) = at.checked_sub(1).and_then(|at| self.pieces.get(at)) else { return false };
        let (Some(kind), Some(before_kind)) = (piece.kind(), before.kind()) else { return true };
        let operand = |kind: Kind| {
            matches!(kind, Kind::Name | Kind::Text | Kind::Int | Kind::Float | Kind::True | Kind::False | Kind::Nil)
                || matches!(kind, Kind::Mark(")" | "]"))
        };
        match (before_kind, kind) {
            (Kind::Mark("(" | "[" | "!" | "."), _) => false,
            // A minus that belongs to its number.
            (Kind::Mark("-"), _) => {
                let earlier = at.checked_sub(2).and_then(|at| self.pieces.get(at)).and_then(Piece::kind);
                earlier.is_some_and(operand)
            }
            // A number and a dot could be read as one number.
            (Kind::Int | Kind::Float, Kind::Mark(".")) => true,
            (_, Kind::Mark(")" | "]" | "," | ";" | "." | "[")) => false,
            (Kind::Name, Kind::Mark("(")) => false,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_way() {
        let text = "// top\nRULE  A 'd'   salience -3{when E . a>-1&&!E.b.In( 'x' ,\"y\" )then E.a=E.a -1;Log( 'x' ) ; // end\n\n\n// own\nE.c[ 0 ]+=2;}rule B{when TRUE then Complete();}";
        let want = "// top\nrule A 'd' salience -3 {\n    when\n        E.a > -1 && !E.b.In('x', \"y\")\n    then\n        E.a = E.a - 1;\n        Log('x'); // end\n\n        // own\n        E.c[0] += 2;\n}\n\nrule B {\n    when\n        true\n    then\n        Complete();\n}\n";
        assert_eq!(format(text).unwrap(), want);
        assert_eq!(format(want).unwrap(), want);
    }

    #[test]
    fn long_conditions_are_broken_where_they_join() {
        let part = "(Event.data.customer.country == \"DE\" || Event.data.vip)";
        let text = format!("rule A {{ when {part} && {part} // why\n && {part} then Complete(); }}");
        let made = format(&text).unwrap();
        assert!(made.contains("vip) &&\n        (Event"), "{made}");
        assert_eq!(format(&made).unwrap(), made);
    }

    #[test]
    fn comments_are_kept() {
        let text = "/* a */ rule A // b\n// c\n{ /* d */ when // e\n true // f\n // g\n && /* h */ E.x then // i\n /* j */ Complete(); // k\n // l\n} // m\n// n";
        let made = format(text).unwrap();
        for comment in 'a'..='n' {
            assert_eq!(
                made.matches(&format!(" {comment}")).count(),
                text.matches(&format!(" {comment}")).count(),
                "{comment} {made}"
            );
        }
        assert_eq!(format(&made).unwrap(), made, "{made}");
    }

    #[test]
    fn mistakes_are_not_touched() {
        assert!(format("rule A { when then }").is_err());
        assert_eq!(format("").unwrap(), "");
    }
}
