//! Tokens to rules. After a mistake it goes on at the next part, statement or rule, so that all are found at once.

use super::ast::{Expr, Name, Op, Rule, Span, Statement, StatementKind};
use super::diagnostic::Report;
use super::lexer::{lex, Kind, Token};
use super::literal;

/// The rules of a text. Those with mistakes are left out; the mistakes are in `report`.
pub fn parse(text: &str, report: &mut Report<'_>) -> Vec<Rule> {
    let lexed = lex(text, report);
    let mut parser = Parser { text, tokens: lexed.tokens, at: 0, report, nested: 0 };
    parser.rules()
}

/// A mistake was reported; the caller finds a place to go on.
pub(super) struct Reported;

pub(super) struct Parser<'t, 'r, 's> {
    pub(super) text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    pub(super) report: &'r mut Report<'s>,
    pub(super) nested: usize,
}

const END: Token = Token { kind: Kind::End, span: Span { start: 0, end: 0 } };

// === impl Parser ===

impl Parser<'_, '_, '_> {
    pub(super) fn peek(&self) -> Token {
        self.tokens.get(self.at).or(self.tokens.last()).copied().unwrap_or(END)
    }

    pub(super) fn next_is(&self, mark: &str) -> bool {
        matches!(self.tokens.get(self.at + 1), Some(Token { kind: Kind::Mark(other), .. }) if *other == mark)
    }

    pub(super) fn next_kind(&self) -> Kind {
        self.tokens.get(self.at + 1).map_or(Kind::End, |token| token.kind)
    }

    pub(super) fn take(&mut self) -> Token {
        let token = self.peek();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    pub(super) fn is(&self, mark: &str) -> bool {
        matches!(self.peek().kind, Kind::Mark(other) if other == mark)
    }

    pub(super) fn accept(&mut self, mark: &str) -> bool {
        let is = self.is(mark);
        if is {
            self.at += 1;
        }
        is
    }

    pub(super) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or("")
    }

    /// Where the token before ends.
    pub(super) fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.span.end)
    }

    /// What stands here, for a message.
    pub(super) fn found(&self) -> String {
        let token = self.peek();
        match token.kind {
            Kind::End => "the end of the text".to_owned(),
            Kind::Rule | Kind::When | Kind::Then | Kind::Salience | Kind::True | Kind::False | Kind::Nil => {
                format!("the keyword `{}`", self.slice(token.span))
            }
            _ => {
                let mut text = self.slice(token.span).to_owned();
                if text.chars().count() > 40 {
                    text = text.chars().take(40).chain("…".chars()).collect();
                }
                format!("`{text}`")
            }
        }
    }

    pub(super) fn fail<T>(&mut self, message: impl Into<String>, expected: &str) -> Result<T, Reported> {
        let token = self.peek();
        // The lexer spoke of a wrong token already.
        if token.kind != Kind::Wrong {
            self.report.error(token.span, message, expected);
        }
        Err(Reported)
    }

    pub(super) fn expect(&mut self, mark: &str, after: &str) -> Result<(), Reported> {
        if self.accept(mark) {
            return Ok(());
        }
        let found = self.found();
        self.fail(format!("{found} stands where {after} should go on"), &format!("`{mark}`"))
    }

    fn rules(&mut self) -> Vec<Rule> {
        let mut rules = Vec::new();
        loop {
            match self.peek().kind {
                Kind::End => return rules,
                Kind::Rule => {
                    if let Ok(rule) = self.rule() {
                        rules.push(rule);
                    }
                }
                _ => {
                    let found = self.found();
                    let _ = self.fail::<()>(format!("{found} is outside of any rule"), "`rule` or the end of the text");
                    self.skip(|kind| kind == Kind::Rule);
                }
            }
        }
    }

    fn skip(&mut self, until: impl Fn(Kind) -> bool) {
        while !until(self.peek().kind) && self.peek().kind != Kind::End {
            self.at += 1;
        }
    }

    fn rule(&mut self) -> Result<Rule, Reported> {
        let start = self.take().span.start;
        let header = self.header();
        if header.is_err() {
            self.skip(|kind| matches!(kind, Kind::Mark("{") | Kind::Rule | Kind::When));
            self.accept("{");
        }
        let when = self.when();
        if when.is_err() {
            self.skip(|kind| matches!(kind, Kind::Then | Kind::Rule | Kind::Mark("}")));
        }
        let then = self.then(when.is_err());
        let closed = match self.is("}") {
            true => {
                self.at += 1;
                Ok(())
            }
            false if then.is_ok() => {
                let found = self.found();
                let failed = self.fail(format!("{found} stands where the rule should end"), "`}` or another statement");
                self.skip(|kind| kind == Kind::Rule);
                failed
            }
            false => {
                self.skip(|kind| kind == Kind::Rule);
                Err(Reported)
            }
        };
        let (name, description, salience) = header?;
        let (when, then) = (when?, then?);
        closed?;
        Ok(Rule { name, description, salience, when, then, span: Span { start, end: self.end() } })
    }

    fn header(&mut self) -> Result<(Name, Option<Name>, i32), Reported> {
        let token = self.peek();
        let name = match token.kind {
            Kind::Name => Name { text: self.slice(token.span).to_owned(), span: self.take().span },
            Kind::Text => return self.fail("a rule's name is a word without quotes", "a name, such as BigOrder"),
            Kind::Int | Kind::Float => return self.fail("a rule's name cannot start with a digit", "a name"),
            _ => {
                let found = self.found();
                return self.fail(format!("a rule's name is missing; {found} stands there"), "a name");
            }
        };
        let mut description = None;
        if self.peek().kind == Kind::Text {
            let span = self.take().span;
            let inner = Span { start: span.start + 1, end: span.end.saturating_sub(1).max(span.start + 1) };
            description = Some(Name { text: self.slice(inner).to_owned(), span });
        }
        let mut salience = 0;
        if self.peek().kind == Kind::Salience {
            self.at += 1;
            salience = self.salience()?;
        }
        if self.accept("{") {
            return Ok((name, description, salience));
        }
        let found = self.found();
        let message = match self.peek().kind {
            Kind::Text if description.is_some() => "a rule has one description only".to_owned(),
            Kind::Text => "the description stands before `salience`".to_owned(),
            Kind::Name => format!("{found} does not belong here; a rule's name is one word"),
            Kind::Mark("-") => "a rule's name has letters, digits and _ only".to_owned(),
            _ => format!("{found} stands where the rule's body should start"),
        };
        self.fail(message, if description.is_some() { "`{` or `salience`" } else { "`{`, a description or `salience`" })
    }

    fn salience(&mut self) -> Result<i32, Reported> {
        let start = self.peek().span.start;
        let negative = self.accept("-");
        let token = self.peek();
        if token.kind != Kind::Int {
            let found = self.found();
            return self.fail(format!("salience is a whole number, not {found}"), "a whole number");
        }
        self.at += 1;
        let span = Span { start, end: token.span.end };
        match literal::integer(self.slice(token.span), negative).and_then(|value| i32::try_from(value).ok()) {
            Some(value) => Ok(value),
            None => {
                self.report.error(span, "this salience is out of range", "-2147483648 to 2147483647");
                // The rest of the rule can be read all the same.
                Ok(0)
            }
        }
    }

    fn when(&mut self) -> Result<Expr, Reported> {
        if self.peek().kind != Kind::When {
            let found = self.found();
            return self.fail(format!("{found} stands where the condition should start"), "`when`");
        }
        self.at += 1;
        if self.peek().kind == Kind::Then {
            return self.fail("the condition is missing; a rule that always matches has `when true`", "a condition");
        }
        let when = self.expression()?;
        match self.peek().kind {
            Kind::Then => Ok(when),
            Kind::When => self.fail("a rule has one `when`; join conditions with &&", "`then`"),
            _ => {
                let found = self.found();
                let message = match self.slice(self.peek().span).to_ascii_lowercase().as_str() {
                    "and" => "`and` is written && here".to_owned(),
                    "or" => "`or` is written || here".to_owned(),
                    "=" => "`=` assigns; to compare write ==".to_owned(),
                    ")" => "this bracket was never opened".to_owned(),
                    _ => format!("{found} does not continue the condition"),
                };
                self.fail(message, "an operator or `then`")
            }
        }
    }

    /// `quiet` when the condition was wrong already, so that a missing `then` is no second mistake.
    fn then(&mut self, quiet: bool) -> Result<Vec<Statement>, Reported> {
        if self.peek().kind != Kind::Then {
            if quiet {
                return Err(Reported);
            }
            return self.fail("the actions are missing", "`then`");
        }
        self.at += 1;
        if self.is("}") {
            return self.fail("`then` needs at least one statement", "a statement, such as Retract(\"Name\");");
        }
        let mut statements = Vec::new();
        let mut wrong = false;
        loop {
            match self.statement() {
                Ok(statement) => statements.push(statement),
                Err(Reported) => {
                    wrong = true;
                    self.skip(|kind| matches!(kind, Kind::Mark(";" | "}" | "{") | Kind::Rule));
                    // A block inside of a rule, such as that of an `if`, goes as a whole.
                    if self.accept("{") {
                        self.skip(|kind| matches!(kind, Kind::Mark("}") | Kind::Rule));
                        self.accept("}");
                    }
                    self.accept(";");
                }
            }
            match self.peek().kind {
                Kind::Mark("}") | Kind::End | Kind::Rule => break,
                Kind::Then => {
                    let _ = self.fail::<()>("a rule has one `then`", "another statement or `}`");
                    wrong = true;
                    self.at += 1;
                }
                _ => {}
            }
        }
        if wrong {
            return Err(Reported);
        }
        Ok(statements)
    }

    fn statement(&mut self) -> Result<Statement, Reported> {
        let start = self.peek().span.start;
        let target = self.atom()?;
        let op = match self.peek().kind {
            Kind::Mark("=") => Some(None),
            Kind::Mark("+=") => Some(Some(Op::Add)),
            Kind::Mark("-=") => Some(Some(Op::Sub)),
            Kind::Mark("*=") => Some(Some(Op::Mul)),
            Kind::Mark("/=") => Some(Some(Op::Div)),
            _ => None,
        };
        let kind = match op {
            Some(op) if target.is_place() => {
                self.at += 1;
                StatementKind::Assign { target, op, value: self.expression()? }
            }
            Some(_) => return self.fail("only a name or a member of one can be assigned to", "`;`"),
            None => StatementKind::Do(target),
        };
        let end = self.end();
        if !self.accept(";") {
            let found = self.found();
            let message = match (self.peek().kind, &kind) {
                (Kind::Mark("}") | Kind::End, _) => "the last statement is not ended".to_owned(),
                (Kind::Mark("=="), StatementKind::Do(_)) => "`==` compares; to assign write =".to_owned(),
                (Kind::Mark("{"), _) => "there are no blocks inside of a rule; write one rule for each case".to_owned(),
                (Kind::Mark(","), _) => "statements are ended by a semicolon".to_owned(),
                _ => format!("{found} does not continue the statement"),
            };
            return self
                .fail(message, if matches!(kind, StatementKind::Do(_)) { "`;` or an assignment" } else { "`;`" });
        }
        Ok(Statement { kind, span: Span { start, end } })
    }
}
