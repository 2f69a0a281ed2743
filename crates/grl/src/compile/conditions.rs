//! Conditions taken apart: the parts that `&&` joins, and what of each can be found by the value of one field.

use super::emit::{constant, place};
use super::paths::Step;
use crate::syntax::ast::{Expr, ExprKind, Op};
use crate::value::{KindOf, Value};

/// A part that the value of one path decides.
pub(crate) struct Probe {
    pub(crate) steps: Vec<Step>,
    pub(crate) wanted: Wanted,
}

pub(crate) enum Wanted {
    /// It equals one of these.
    OneOf(Vec<Value<'static>>),
    /// A number on that side of this one.
    Side(Op, Value<'static>),
}

// === impl Probe ===

impl Probe {
    /// The same for probes of the same path for the same values; none for ranges.
    pub(crate) fn key(&self) -> Option<String> {
        match &self.wanted {
            Wanted::OneOf(values) => Some(format!("{:?} {values:?}", self.steps)),
            Wanted::Side(..) => None,
        }
    }
}

/// The parts of a condition that must all be true. Literal `true` is none.
pub(crate) fn parts(when: &Expr) -> Vec<&Expr> {
    let mut parts = Vec::new();
    let mut open = vec![when];
    while let Some(expr) = open.pop() {
        match &expr.bare().kind {
            ExprKind::Chain(first, rest) if matches!(rest.first(), Some((Op::And, _))) => {
                open.extend(rest.iter().rev().map(|(_, right)| right));
                open.push(first);
            }
            _ if matches!(constant(expr), Some(Value::Bool(true))) => {}
            _ => parts.push(expr.bare()),
        }
    }
    parts
}

/// What of a part can be looked up; none when it must be evaluated.
pub(crate) fn probe(part: &Expr) -> Option<Probe> {
    match &part.bare().kind {
        ExprKind::Chain(first, rest) => {
            let [(op, right)] = rest.as_slice() else { return None };
            let (steps, value, op) = match (whole_place(first), constant(right)) {
                (Some(steps), Some(value)) => (steps, value, *op),
                _ => (whole_place(right)?, constant(first)?, op.mirrored()),
            };
            let number = matches!(value.kind(), KindOf::Int | KindOf::Float);
            let wanted = match op {
                Op::Eq => Wanted::OneOf(vec![value]),
                Op::Gt | Op::Lt | Op::Gte | Op::Lte if number => Wanted::Side(op, value),
                _ => return None,
            };
            Some(Probe { steps, wanted })
        }
        ExprKind::Method(base, name, arguments) if name.text == "In" && !arguments.is_empty() => {
            let texts: Option<Vec<_>> =
                arguments.iter().map(|argument| constant(argument).filter(|value| value.as_str().is_some())).collect();
            Some(Probe { steps: whole_place(base)?, wanted: Wanted::OneOf(texts?) })
        }
        ExprKind::Not(inner) => truth(inner, false),
        _ => truth(part, true),
    }
}

fn truth(expr: &Expr, is: bool) -> Option<Probe> {
    Some(Probe { steps: whole_place(expr)?, wanted: Wanted::OneOf(vec![Value::Bool(is)]) })
}

fn whole_place(expr: &Expr) -> Option<Vec<Step>> {
    place(expr.bare()).filter(|parts| parts.dynamic.is_empty()).map(|parts| parts.steps)
}

/// Every constant path that an expression reads, with the constant beginnings of the others.
pub(crate) fn paths_of(expr: &Expr, add: &mut impl FnMut(&[Step])) {
    if let Some(parts) = place(expr) {
        add(&parts.steps);
    }
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Root(_) => {}
        ExprKind::Member(base, _) | ExprKind::Not(base) | ExprKind::Group(base) => paths_of(base, add),
        ExprKind::Index(base, index) => {
            paths_of(base, add);
            paths_of(index, add);
        }
        ExprKind::Call(_, arguments) => arguments.iter().for_each(|argument| paths_of(argument, add)),
        ExprKind::Method(base, _, arguments) => {
            paths_of(base, add);
            arguments.iter().for_each(|argument| paths_of(argument, add));
        }
        ExprKind::Chain(first, rest) => {
            paths_of(first, add);
            rest.iter().for_each(|(_, right)| paths_of(right, add));
        }
    }
}
