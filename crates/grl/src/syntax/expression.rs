//! Expressions, by precedence climbing.

use super::ast::{Expr, ExprKind, Literal, Name, Op, Span};
use super::lexer::Kind;
use super::literal;
use super::parser::{Parser, Reported};
use crate::limits::EXPRESSION_DEPTH_MAX;

const A_VALUE: &str = "a value: a name, a number, a text, a call, `(` or `!`";

// === impl Parser ===

impl Parser<'_, '_, '_> {
    pub(super) fn expression(&mut self) -> Result<Expr, Reported> {
        self.level(1)
    }

    /// A chain of operators that bind at least as tightly as `least`.
    fn level(&mut self, least: u8) -> Result<Expr, Reported> {
        self.nested += 1;
        if self.nested > EXPRESSION_DEPTH_MAX {
            self.nested -= 1;
            return self.fail("this expression is nested too deeply", "a simpler expression");
        }
        let result = self.chains(least);
        self.nested -= 1;
        result
    }

    fn chains(&mut self, least: u8) -> Result<Expr, Reported> {
        let mut left = self.primary()?;
        while let Some(level) = self.operator().map(Op::level).filter(|level| *level >= least) {
            let start = left.span.start;
            let mut depth = left.depth;
            let mut rest = Vec::new();
            while let Some(op) = self.operator().filter(|op| op.level() == level) {
                self.take();
                let right = self.level(level + 1)?;
                depth = depth.max(right.depth);
                rest.push((op, right));
            }
            left = self.node(ExprKind::Chain(Box::new(left), rest), start, depth)?;
        }
        Ok(left)
    }

    fn operator(&self) -> Option<Op> {
        let Kind::Mark(mark) = self.peek().kind else { return None };
        const ALL: [Op; 15] = [
            Op::Mul,
            Op::Div,
            Op::Mod,
            Op::Add,
            Op::Sub,
            Op::BitAnd,
            Op::BitOr,
            Op::Gt,
            Op::Lt,
            Op::Gte,
            Op::Lte,
            Op::Eq,
            Op::NotEq,
            Op::And,
            Op::Or,
        ];
        ALL.into_iter().find(|op| op.text() == mark)
    }

    fn node(&mut self, kind: ExprKind, start: usize, inner: usize) -> Result<Expr, Reported> {
        let span = Span { start, end: self.end() };
        if inner >= EXPRESSION_DEPTH_MAX {
            self.report.error(span, "this expression is nested too deeply", "a simpler expression");
            return Err(Reported);
        }
        Ok(Expr { kind, span, depth: inner + 1 })
    }

    fn primary(&mut self) -> Result<Expr, Reported> {
        let start = self.peek().span.start;
        if self.is("(") || self.is("!") && self.next_is("(") {
            let negated = self.accept("!");
            self.take();
            let inner = self.expression()?;
            self.expect(")", "the expression in brackets")?;
            let depth = inner.depth;
            let open = if negated { start + 1 } else { start };
            let group = self.node(ExprKind::Group(Box::new(inner)), open, depth)?;
            return match negated {
                true => self.node(ExprKind::Not(Box::new(group)), start, depth + 1),
                false => Ok(group),
            };
        }
        self.atom()
    }

    /// A value with its members, selectors and calls.
    pub(super) fn atom(&mut self) -> Result<Expr, Reported> {
        let start = self.peek().span.start;
        let mut negations = 0;
        while self.is("!") {
            self.take();
            negations += 1;
        }
        let mut expr = self.operand()?;
        loop {
            let (from, depth) = (expr.span.start, expr.depth);
            expr = if self.is(".") {
                self.member(expr, from, depth)?
            } else if self.is("[") {
                self.take();
                let index = self.expression()?;
                self.expect("]", "the selector")?;
                let depth = depth.max(index.depth);
                self.node(ExprKind::Index(Box::new(expr), Box::new(index)), from, depth)?
            } else {
                break;
            };
        }
        for _ in 0..negations {
            let depth = expr.depth;
            expr = self.node(ExprKind::Not(Box::new(expr)), start, depth)?;
        }
        Ok(expr)
    }

    fn member(&mut self, expr: Expr, from: usize, depth: usize) -> Result<Expr, Reported> {
        self.take();
        let token = self.peek();
        match token.kind {
            Kind::Name => {}
            Kind::Rule | Kind::When | Kind::Then | Kind::Salience | Kind::True | Kind::False | Kind::Nil => {
                let word = self.slice(token.span).to_owned();
                return self.fail(
                    format!("`{word}` is a keyword and cannot follow a dot; write [\"{word}\"]"),
                    "the name of a member or method",
                );
            }
            _ => {
                let found = self.found();
                return self.fail(format!("{found} cannot follow a dot"), "the name of a member or method");
            }
        }
        let name = Name { text: self.slice(token.span).to_owned(), span: self.take().span };
        if !self.is("(") {
            return self.node(ExprKind::Member(Box::new(expr), name), from, depth);
        }
        let (arguments, inner) = self.arguments()?;
        self.node(ExprKind::Method(Box::new(expr), name, arguments), from, depth.max(inner))
    }

    fn arguments(&mut self) -> Result<(Vec<Expr>, usize), Reported> {
        self.take();
        let mut arguments = Vec::new();
        let mut depth = 0;
        if self.accept(")") {
            return Ok((arguments, depth));
        }
        loop {
            let argument = self.expression()?;
            depth = depth.max(argument.depth);
            arguments.push(argument);
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")", "the list of arguments")?;
        Ok((arguments, depth))
    }

    fn operand(&mut self) -> Result<Expr, Reported> {
        let token = self.peek();
        let literal = match token.kind {
            Kind::Name if self.next_is("(") => {
                let name = Name { text: self.slice(token.span).to_owned(), span: self.take().span };
                let (arguments, depth) = self.arguments()?;
                return self.node(ExprKind::Call(name, arguments), token.span.start, depth);
            }
            Kind::Name => {
                let name = self.slice(token.span).to_owned();
                self.take();
                return self.node(ExprKind::Root(name), token.span.start, 0);
            }
            Kind::Text => self.text_literal(token.span),
            Kind::Int | Kind::Float => return self.number(false),
            Kind::Mark("-") => match self.next_kind() {
                Kind::Int | Kind::Float => return self.number(true),
                _ => {
                    return self
                        .fail("a minus can only stand before a number; write 0 - x for the negative of x", "a number")
                }
            },
            Kind::True => Literal::Bool(true),
            Kind::False => Literal::Bool(false),
            Kind::Nil => Literal::Nil,
            Kind::Mark("[") => return self.fail("lists cannot be written here; fill one with Append", A_VALUE),
            Kind::Mark("(") => {
                return self.fail("a statement is an assignment or a call, without brackets around", "a statement")
            }
            _ => {
                let found = self.found();
                return self.fail(format!("a value is missing; {found} stands there"), A_VALUE);
            }
        };
        self.take();
        self.node(ExprKind::Literal(literal), token.span.start, 0)
    }

    /// A text whose escapes are wrong is reported, and reading goes on with it being empty.
    fn text_literal(&mut self, span: Span) -> Literal {
        let text = match literal::unquote(self.slice(span)) {
            Ok(text) => text,
            Err((from, to, what)) => {
                let clamp = |offset: usize| (span.start + offset).min(span.end);
                let (start, end) = (clamp(from), clamp(to));
                let cut = (start..=end).rev().find(|end| self.text.is_char_boundary(*end)).unwrap_or(start);
                self.report.error(Span { start, end: cut }, what, "");
                String::new()
            }
        };
        Literal::Text(text)
    }

    fn number(&mut self, negative: bool) -> Result<Expr, Reported> {
        let start = self.peek().span.start;
        if negative {
            self.take();
        }
        let token = self.take();
        let text = self.slice(token.span);
        let literal = match token.kind {
            Kind::Int => literal::integer(text, negative).map(Literal::Int),
            _ => literal::float(text).map(|value| Literal::Float(if negative { -value } else { value })),
        };
        let literal = literal.unwrap_or_else(|| {
            self.report.error(Span { start, end: token.span.end }, "this number is too large", "a number of 64 bits");
            Literal::Int(0)
        });
        self.node(ExprKind::Literal(literal), start, 0)
    }
}
