//! Expressions and statements to code for a stack of values.

use std::collections::HashMap;

use super::paths::Step;
use super::tables::Tables;
use crate::functions::{builtin, method_named, Functions, APPEND};
use crate::syntax::ast::{Expr, ExprKind, Literal, Op, Statement, StatementKind};
use crate::syntax::Report;
use crate::value::{apply, Str, Value};

/// Instructions: one byte, then words.
pub(crate) mod op {
    /// Pushes a constant.
    pub(crate) const CONST: u8 = 1;
    /// Pushes the value at a node.
    pub(crate) const PATH: u8 = 2;
    /// Selector, base: pushes the element or member.
    pub(crate) const INDEX: u8 = 3;
    /// Base: pushes the member of that name.
    pub(crate) const FIELD: u8 = 4;
    /// Right, left: applies the operator.
    pub(crate) const BINARY: u8 = 5;
    /// A boolean: jumps ahead, keeping it, when it is false; else drops it.
    pub(crate) const AND: u8 = 6;
    /// A boolean: jumps ahead, keeping it, when it is true; else drops it.
    pub(crate) const OR: u8 = 7;
    /// Fails unless there is a boolean.
    pub(crate) const BOOL: u8 = 8;
    pub(crate) const NOT: u8 = 9;
    /// Method, count of arguments.
    pub(crate) const METHOD: u8 = 10;
    /// Name, count: fails, having taken base and arguments.
    pub(crate) const NO_METHOD: u8 = 11;
    /// Built-in, count.
    pub(crate) const CALL: u8 = 12;
    /// Host function, count.
    pub(crate) const HOST: u8 = 13;
    /// Name, count: fails.
    pub(crate) const NO_FUNCTION: u8 = 14;
    /// Pushes the value of an expression that several conditions share.
    pub(crate) const MEMO: u8 = 15;
    /// Drops the value of a statement.
    pub(crate) const DROP: u8 = 16;
    /// Node, count of selectors: selectors, value: assigns.
    pub(crate) const ASSIGN: u8 = 17;
    /// Node, count of selectors, count of arguments: appends to the array in the fact, pushes it.
    pub(crate) const APPEND: u8 = 18;
    /// Line and column of the statement that follows.
    pub(crate) const LINE: u8 = 19;
    /// Swaps the topmost two.
    pub(crate) const SWAP: u8 = 20;
}

/// Makes code.
pub(crate) struct Emitter<'c> {
    pub(crate) tables: &'c mut Tables,
    pub(crate) functions: &'c Functions,
    /// Calls that several conditions make, by their code, and their memo once it has one; none while counting.
    pub(crate) shared: Option<&'c mut HashMap<Vec<u8>, Option<u32>>>,
    pub(crate) code: Vec<u8>,
}

/// A place split into what is constant and what is known only when it runs.
pub(crate) struct PlaceParts<'e> {
    pub(crate) steps: Vec<Step>,
    pub(crate) dynamic: Vec<Selector<'e>>,
}

pub(crate) enum Selector<'e> {
    Name(&'e str),
    Expr(&'e Expr),
}

/// The parts of a place; none of another expression.
pub(crate) fn place(expr: &Expr) -> Option<PlaceParts<'_>> {
    let mut selectors = Vec::new();
    let mut at = expr;
    let root = loop {
        match &at.kind {
            ExprKind::Root(name) => break name,
            ExprKind::Member(base, name) => {
                selectors.push(Selector::Name(&name.text));
                at = base;
            }
            ExprKind::Index(base, index) => {
                selectors.push(Selector::Expr(index));
                at = base;
            }
            _ => return None,
        }
    };
    let mut steps = vec![Step::Name(root.clone())];
    let mut dynamic = Vec::new();
    for selector in selectors.into_iter().rev() {
        let step = match &selector {
            _ if !dynamic.is_empty() => None,
            Selector::Name(name) => Some(Step::Name((*name).to_owned())),
            Selector::Expr(index) => match constant(index) {
                Some(Value::Str(text)) => Some(Step::Name(text.as_str().to_owned())),
                Some(number) => number.as_i64().and_then(|index| u32::try_from(index).ok()).map(Step::Index),
                None => None,
            },
        };
        match step {
            Some(step) => steps.push(step),
            None => dynamic.push(selector),
        }
    }
    Some(PlaceParts { steps, dynamic })
}

/// The value of an expression of literals only; none when it would fail, which is left to the run. Whole numbers wrap
/// here, as Grule's literals do.
pub(crate) fn constant(expr: &Expr) -> Option<Value<'static>> {
    match &expr.kind {
        ExprKind::Literal(literal) => Some(match literal {
            Literal::Nil => Value::Null,
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Int(value) => Value::Int(*value),
            Literal::Float(value) => Value::Float(*value),
            Literal::Text(text) => Value::Str(Str::from(text.clone())),
        }),
        ExprKind::Group(inner) => constant(inner),
        ExprKind::Chain(first, rest) => {
            let mut left = constant(first)?;
            for (op, right) in rest {
                let right = constant(right)?;
                left = match (op, &left, &right) {
                    (Op::And | Op::Or, ..) => return None,
                    (Op::Add, Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_add(*b)),
                    (Op::Sub, Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_sub(*b)),
                    (Op::Mul, Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_mul(*b)),
                    _ => apply(*op, &left, &right).ok()?,
                };
            }
            Some(left)
        }
        _ => None,
    }
}

// === impl Emitter ===

impl Emitter<'_> {
    fn op(&mut self, op: u8, words: &[u32]) {
        self.code.push(op);
        for word in words {
            self.code.extend_from_slice(&word.to_le_bytes());
        }
    }

    fn constant(&mut self, value: &Value<'_>) {
        let id = self.tables.constant(value);
        self.op(op::CONST, &[id]);
    }

    /// Code of an expression on its own.
    pub(crate) fn alone(&mut self, expr: &Expr) -> Vec<u8> {
        let before = std::mem::take(&mut self.code);
        self.value(expr);
        std::mem::replace(&mut self.code, before)
    }

    pub(crate) fn value(&mut self, expr: &Expr) {
        if let Some(value) = constant(expr) {
            return self.constant(&value);
        }
        if let Some(parts) = place(expr) {
            let node = self.tables.paths.find(&parts.steps);
            self.op(op::PATH, &[node]);
            return self.selectors(&parts.dynamic);
        }
        match &expr.kind {
            ExprKind::Literal(_) | ExprKind::Root(_) => {}
            ExprKind::Group(inner) => self.value(inner),
            ExprKind::Not(inner) => {
                self.value(inner);
                self.op(op::NOT, &[]);
            }
            ExprKind::Member(base, name) => {
                self.value(base);
                let name = self.tables.text(&name.text);
                self.op(op::FIELD, &[name]);
            }
            ExprKind::Index(base, index) => {
                self.value(base);
                self.value(index);
                self.op(op::INDEX, &[]);
            }
            ExprKind::Chain(first, rest) => self.chain(first, rest),
            ExprKind::Call(..) | ExprKind::Method(..) => self.shared_call(expr),
        }
    }

    fn selectors(&mut self, selectors: &[Selector<'_>]) {
        for selector in selectors {
            match selector {
                Selector::Name(name) => {
                    let name = self.tables.text(name);
                    self.op(op::FIELD, &[name]);
                }
                Selector::Expr(index) => {
                    self.value(index);
                    self.op(op::INDEX, &[]);
                }
            }
        }
    }

    fn chain(&mut self, first: &Expr, rest: &[(Op, Expr)]) {
        self.value(first);
        let jump = match rest.first() {
            Some((Op::And, _)) => op::AND,
            Some((Op::Or, _)) => op::OR,
            _ => {
                for (op, right) in rest {
                    self.value(right);
                    self.op(op::BINARY, &[binary_code(*op)]);
                }
                return;
            }
        };
        let mut jumps = Vec::new();
        for (_, right) in rest {
            self.op(jump, &[0]);
            jumps.push(self.code.len());
            self.value(right);
        }
        self.op(op::BOOL, &[]);
        for after in jumps {
            let distance = ((self.code.len() - after) as u32).to_le_bytes();
            if let Some(slot) = self.code.get_mut(after - 4..after) {
                slot.copy_from_slice(&distance);
            }
        }
    }

    /// A call, or the memo of it when other conditions make the same one.
    fn shared_call(&mut self, expr: &Expr) {
        if self.shared.is_some() {
            let shared = self.shared.take();
            let key = self.alone(expr);
            self.shared = shared;
            let memo = self.shared.as_ref().and_then(|shared| shared.get(&key).copied());
            match memo {
                Some(Some(memo)) => return self.op(op::MEMO, &[memo]),
                Some(None) => {
                    let before = std::mem::take(&mut self.code);
                    self.call(expr);
                    let code = std::mem::replace(&mut self.code, before);
                    let memo = self.tables.memo(&code, &key);
                    if let Some(shared) = &mut self.shared {
                        shared.insert(key, Some(memo));
                    }
                    return self.op(op::MEMO, &[memo]);
                }
                None => {}
            }
        }
        self.call(expr);
    }

    fn call(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Method(base, name, arguments) => {
                self.value(base);
                arguments.iter().for_each(|argument| self.value(argument));
                let count = arguments.len() as u32;
                match method_named(&name.text) {
                    Some((method, _)) => self.op(op::METHOD, &[method as u32, count]),
                    None => {
                        let name = self.tables.text(&name.text);
                        self.op(op::NO_METHOD, &[name, count]);
                    }
                }
            }
            ExprKind::Call(name, arguments) => {
                arguments.iter().for_each(|argument| self.value(argument));
                let count = arguments.len() as u32;
                match (self.functions.find(&name.text), builtin(&name.text)) {
                    (Some((function, _)), _) => self.op(op::HOST, &[function as u32, count]),
                    (None, Some((function, _))) => self.op(op::CALL, &[function as u32, count]),
                    (None, None) => {
                        let name = self.tables.text(&name.text);
                        self.op(op::NO_FUNCTION, &[name, count]);
                    }
                }
            }
            _ => {}
        }
    }

    pub(crate) fn statement(&mut self, statement: &Statement, report: &Report<'_>) {
        let place_of = report.place(statement.span.start);
        self.op(op::LINE, &[place_of.line as u32, place_of.column as u32]);
        match &statement.kind {
            StatementKind::Assign { target, op: operator, value } => {
                self.value(value);
                if let Some(operator) = operator {
                    self.value(target);
                    self.op(op::SWAP, &[]);
                    self.op(op::BINARY, &[binary_code(*operator)]);
                }
                if let Some(parts) = place(target) {
                    let (node, count) = self.target(&parts);
                    self.op(op::ASSIGN, &[node, count]);
                }
            }
            StatementKind::Do(expr) => {
                match &expr.kind {
                    ExprKind::Method(base, name, arguments) if name.text == APPEND && base.is_place() => {
                        if let Some(parts) = place(base) {
                            let (node, count) = self.target(&parts);
                            arguments.iter().for_each(|argument| self.value(argument));
                            self.op(op::APPEND, &[node, count, arguments.len() as u32]);
                        }
                    }
                    _ => self.value(expr),
                }
                self.op(op::DROP, &[]);
            }
        }
    }

    /// Pushes the selectors of a place that is written to.
    fn target(&mut self, parts: &PlaceParts<'_>) -> (u32, u32) {
        for selector in &parts.dynamic {
            match selector {
                Selector::Name(name) => self.constant(&Value::text(*name)),
                Selector::Expr(index) => self.value(index),
            }
        }
        (self.tables.paths.find(&parts.steps), parts.dynamic.len() as u32)
    }
}

const BINARY: [Op; 13] = [
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
];

fn binary_code(op: Op) -> u32 {
    BINARY.iter().position(|other| *other == op).unwrap_or(0) as u32
}

pub(crate) fn binary_of(code: u32) -> Option<Op> {
    BINARY.get(code as usize).copied()
}
