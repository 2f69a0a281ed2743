//! What can be known of rules before any fact is there: names that are taken twice, calls of nothing, values of kinds
//! that can never do.

use std::collections::{HashMap, HashSet};

use crate::compile::Mode;
use crate::functions::{builtin, method_named, Builtin, Functions, Method, Param, BUILTINS, METHODS};
use crate::syntax::ast::{Expr, ExprKind, Literal, Name, Op, Rule, Span, Statement, StatementKind};
use crate::syntax::{nearest, Report};
use crate::value::KindOf;

/// Checks the rules of one text; `before` are the names of rules in texts before it.
pub(crate) fn check_rules(rules: &[Rule], before: &[&str], functions: &Functions, mode: Mode, report: &mut Report<'_>) {
    let mut names: HashMap<&str, Option<Span>> = before.iter().map(|name| (*name, None)).collect();
    for rule in rules {
        if let Some(first) = names.get(rule.name.text.as_str()) {
            let place = first.map(|span| format!(" on line {}", report.place(span.start).line)).unwrap_or_default();
            let message = format!("there is a rule {} already{place}", rule.name.text);
            report.error(rule.name.span, message, "another name");
            continue;
        }
        names.insert(&rule.name.text, Some(rule.name.span));
    }
    if mode == Mode::Grule {
        return;
    }
    let names: HashSet<&str> = names.into_keys().collect();
    let mut checker = Checker { functions, names: &names, report };
    for rule in rules {
        let kind = checker.kind(&rule.when);
        if kind.is_some_and(|kind| kind != KindOf::Bool) {
            checker.wrong(rule.when.span, "the condition can never be true or false", "a comparison or a boolean");
        }
        rule.then.iter().for_each(|statement| checker.statement(statement));
    }
}

struct Checker<'c, 'r> {
    functions: &'c Functions,
    names: &'c HashSet<&'c str>,
    report: &'c mut Report<'r>,
}

// === impl Checker ===

impl Checker<'_, '_> {
    fn wrong(&mut self, span: Span, message: impl Into<String>, expected: &str) {
        self.report.error(span, message, expected);
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::Assign { target, op, value } => {
                self.kind(target);
                let right = self.kind(value);
                if let (Some(Op::Sub | Op::Mul | Op::Div), Some(right)) = (op, right.filter(|kind| !is_number(*kind))) {
                    self.wrong(value.span, format!("{} cannot be used in arithmetic", right.text()), "a number");
                }
            }
            StatementKind::Do(expr) => {
                self.kind(expr);
                if matches!(expr.bare().kind, ExprKind::Literal(_) | ExprKind::Root(_) | ExprKind::Member(..)) {
                    self.report.warning(expr.span, "this statement does nothing");
                }
            }
        }
    }

    /// The kind that an expression has whatever the facts are; none when that depends on them.
    fn kind(&mut self, expr: &Expr) -> Option<KindOf> {
        match &expr.kind {
            ExprKind::Literal(literal) => Some(match literal {
                Literal::Nil => KindOf::Null,
                Literal::Bool(_) => KindOf::Bool,
                Literal::Int(_) => KindOf::Int,
                Literal::Float(_) => KindOf::Float,
                Literal::Text(_) => KindOf::Text,
            }),
            ExprKind::Root(_) => None,
            ExprKind::Group(inner) => self.kind(inner),
            ExprKind::Not(inner) => {
                let kind = self.kind(inner);
                if let Some(kind) = kind.filter(|kind| *kind != KindOf::Bool) {
                    self.report.warning(expr.span, format!("! does nothing to {}", kind.text()));
                }
                kind
            }
            ExprKind::Member(base, name) => {
                if let Some(kind) = self.kind(base).filter(|kind| *kind != KindOf::Object) {
                    self.wrong(name.span, format!("{} has no members", kind.text()), "");
                }
                None
            }
            ExprKind::Index(base, index) => {
                let (base_kind, index_kind) = (self.kind(base), self.kind(index));
                if let Some(kind) = base_kind.filter(|kind| !matches!(kind, KindOf::Array | KindOf::Object)) {
                    self.wrong(expr.span, format!("{} has no elements", kind.text()), "");
                } else if let Some(kind) = index_kind.filter(|kind| !is_number(*kind) && *kind != KindOf::Text) {
                    self.wrong(index.span, format!("{} is no selector", kind.text()), "a number or a text");
                }
                None
            }
            ExprKind::Chain(first, rest) => {
                let mut left = self.kind(first);
                let mut span = first.span;
                for (op, right) in rest {
                    let right_kind = self.kind(right);
                    let whole = Span { start: span.start, end: right.span.end };
                    left = self.operator(*op, (left, span), (right_kind, right.span), whole);
                    span = whole;
                }
                left
            }
            ExprKind::Call(name, arguments) => self.call(name, arguments),
            ExprKind::Method(base, name, arguments) => self.method(base, name, arguments),
        }
    }

    fn operator(
        &mut self,
        op: Op,
        (left, left_span): (Option<KindOf>, Span),
        (right, right_span): (Option<KindOf>, Span),
        whole: Span,
    ) -> Option<KindOf> {
        match op {
            Op::And | Op::Or => {
                for (kind, span) in [(left, left_span), (right, right_span)] {
                    if let Some(kind) = kind.filter(|kind| *kind != KindOf::Bool) {
                        self.wrong(span, format!("{} takes booleans, not {}", op.text(), kind.text()), "a condition");
                    }
                }
                Some(KindOf::Bool)
            }
            Op::Eq | Op::NotEq | Op::Gt | Op::Lt | Op::Gte | Op::Lte => {
                if let (Some(left), Some(right)) = (left, right) {
                    let equality = matches!(op, Op::Eq | Op::NotEq);
                    let null = left == KindOf::Null || right == KindOf::Null;
                    let both_numbers = is_number(left) && is_number(right);
                    let ordered = matches!(left, KindOf::Text | KindOf::Time) || equality && left == KindOf::Bool;
                    if !(both_numbers || equality && null || left == right && ordered) {
                        let message =
                            format!("{} and {} cannot be compared by {}", left.text(), right.text(), op.text());
                        self.wrong(whole, message, "values of one kind");
                    }
                }
                Some(KindOf::Bool)
            }
            Op::Add if left == Some(KindOf::Text) || right == Some(KindOf::Text) => {
                let other = if left == Some(KindOf::Text) { right } else { left };
                let fits = match other {
                    None | Some(KindOf::Text | KindOf::Int | KindOf::Float) => true,
                    Some(KindOf::Bool | KindOf::Time) => left == Some(KindOf::Text),
                    Some(_) => false,
                };
                if let (false, Some(other)) = (fits, other) {
                    self.wrong(whole, format!("{} cannot be joined to a text here", other.text()), "");
                }
                Some(KindOf::Text)
            }
            _ => self.arithmetic(op, (left, left_span), (right, right_span)),
        }
    }

    fn arithmetic(
        &mut self,
        op: Op,
        (left, left_span): (Option<KindOf>, Span),
        (right, right_span): (Option<KindOf>, Span),
    ) -> Option<KindOf> {
        let bits = matches!(op, Op::Mod | Op::BitAnd | Op::BitOr);
        for (kind, span) in [(left, left_span), (right, right_span)] {
            let Some(kind) = kind else { continue };
            if bits && kind != KindOf::Int {
                self.wrong(span, format!("{} takes whole numbers, not {}", op.text(), kind.text()), "a whole number");
            } else if !(is_number(kind) || op == Op::Add && kind == KindOf::Text) {
                self.wrong(span, format!("{} takes numbers, not {}", op.text(), kind.text()), "a number");
            }
        }
        match (op, left, right) {
            (Op::Div, ..) => Some(KindOf::Float),
            (Op::Mod | Op::BitAnd | Op::BitOr, ..) => Some(KindOf::Int),
            (_, Some(KindOf::Int), Some(KindOf::Int)) => Some(KindOf::Int),
            (_, Some(KindOf::Float), Some(_)) | (_, Some(_), Some(KindOf::Float)) => Some(KindOf::Float),
            // With +, what is not known may be a text.
            (Op::Add, ..) => None,
            _ => Some(KindOf::Float),
        }
    }

    fn call(&mut self, name: &Name, arguments: &[Expr]) -> Option<KindOf> {
        if let Some((_, function)) = self.functions.find(&name.text) {
            let least = function.params.len().saturating_sub(function.optional);
            self.arguments(name, &function.params, least..=function.params.len(), arguments);
            return function.result;
        }
        let Some((_, function)) = builtin(&name.text) else {
            for argument in arguments {
                self.kind(argument);
            }
            let known = self.functions.list().iter().map(|function| function.name.as_str());
            let near = nearest(&name.text, known.chain(BUILTINS.iter().map(|function| function.name)));
            let help = near.map(|near| format!("perhaps {near}")).unwrap_or_default();
            let method = method_named(&name.text).map(|_| " (it is a method: write it after a value and a dot)");
            let message = format!("there is no function {}{}", name.text, method.unwrap_or(""));
            self.wrong(name.span, message, &help);
            return None;
        };
        let Builtin { params, variadic, result, .. } = *function;
        let count = if variadic { 0..=usize::MAX } else { params.len()..=params.len() };
        self.arguments(name, params, count, arguments);
        if let ("Retract", Some(ExprKind::Literal(Literal::Text(rule)))) =
            (function.name, arguments.first().map(|argument| &argument.kind))
        {
            if !self.names.contains(rule.as_str()) && !self.report.is_full() {
                let near = nearest(rule, self.names.iter().copied());
                let help = near.map(|near| format!("; perhaps {near} is meant")).unwrap_or_default();
                let span = arguments.first().map_or(name.span, |argument| argument.span);
                self.report.warning(span, format!("there is no rule {rule} here{help}"));
            }
        }
        result
    }

    fn method(&mut self, base: &Expr, name: &Name, arguments: &[Expr]) -> Option<KindOf> {
        let on = self.kind(base);
        let Some((_, method)) = method_named(&name.text) else {
            for argument in arguments {
                self.kind(argument);
            }
            let near = nearest(&name.text, METHODS.iter().map(|method| method.name));
            let help = near.map(|near| format!("perhaps {near}")).unwrap_or_default();
            self.wrong(name.span, format!("there is no method {}", name.text), &help);
            return None;
        };
        let Method { of, params, variadic, result, .. } = *method;
        if let Some(on) = on.filter(|on| !of.contains(on)) {
            self.wrong(name.span, format!("{} has no method {}", on.text(), name.text), "");
        }
        let count = if variadic { 0..=usize::MAX } else { params.len()..=params.len() };
        self.arguments(name, params, count, arguments);
        if let ("MatchString", Some(ExprKind::Literal(Literal::Text(pattern)))) =
            (method.name, arguments.first().map(|argument| &argument.kind))
        {
            if crate::run::compile_pattern(pattern).is_none() {
                let span = arguments.first().map_or(name.span, |argument| argument.span);
                self.wrong(span, "this is no pattern that can be used", "a regular expression");
            }
        }
        Some(result)
    }

    fn arguments(&mut self, name: &Name, params: &[Param], count: std::ops::RangeInclusive<usize>, arguments: &[Expr]) {
        let kinds: Vec<Option<KindOf>> = arguments.iter().map(|argument| self.kind(argument)).collect();
        if !count.contains(&arguments.len()) {
            let takes = match (count.start(), count.end()) {
                (0, 0) => "no arguments".to_owned(),
                (1, 1) => "1 argument".to_owned(),
                (least, most) if least == most => format!("{least} arguments"),
                (least, most) => format!("{least} to {most} arguments"),
            };
            let message = format!("{} takes {takes}, not {}", name.text, arguments.len());
            self.wrong(name.span, message, "");
            return;
        }
        for (at, (argument, kind)) in arguments.iter().zip(kinds).enumerate() {
            let Some(param) = params.get(at).or(params.last()) else { return };
            let Some(kind) = kind else { continue };
            let (fits, what) = match param {
                Param::Text => (kind == KindOf::Text, "a text"),
                Param::Number => (is_number(kind), "a number"),
                Param::Whole => (is_number(kind), "a whole number"),
                Param::Bool => (kind == KindOf::Bool, "a boolean"),
                Param::Time => (kind == KindOf::Time, "a time"),
                Param::Texts => (kind == KindOf::Array, "an array of texts"),
                Param::Any => (true, ""),
            };
            if !fits {
                let message = format!("{} does not take {} here", name.text, kind.text());
                self.wrong(argument.span, message, what);
            }
        }
    }
}

fn is_number(kind: KindOf) -> bool {
    matches!(kind, KindOf::Int | KindOf::Float)
}
