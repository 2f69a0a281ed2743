//! A plain evaluator of the tree: every rule, every cycle, no index and no memory. What the network is held against.

use grl::syntax::ast::{Expr, ExprKind, Literal, Op, Rule, StatementKind};
use serde_json::{Map, Value};

/// A run by the tree.
pub struct Naive {
    pub facts: Map<String, Value>,
    pub fired: Vec<String>,
    pub failed: bool,
    retracted: Vec<String>,
    complete: bool,
}

/// Something that cannot be evaluated.
pub struct Wrong;

type Got<T> = Result<T, Wrong>;

// === impl Naive ===

impl Naive {
    pub fn run(rules: &[Rule], facts: Map<String, Value>, strict: bool, cycles: usize) -> Naive {
        let mut naive = Naive { facts, fired: vec![], failed: false, retracted: vec![], complete: false };
        loop {
            let mut best: Option<&Rule> = None;
            for rule in rules {
                if naive.retracted.contains(&rule.name.text) {
                    continue;
                }
                match naive.eval(&rule.when) {
                    Ok(Value::Bool(true)) if best.is_none_or(|best| rule.salience > best.salience) => best = Some(rule),
                    Ok(Value::Bool(_)) => {}
                    _ if strict => naive.failed = true,
                    _ => {}
                }
            }
            let Some(rule) = best.filter(|_| !naive.failed) else { return naive };
            if naive.fired.len() == cycles {
                naive.failed = true;
                return naive;
            }
            naive.fired.push(rule.name.text.clone());
            naive.failed = naive.act(rule).is_err();
            if naive.failed || naive.complete {
                return naive;
            }
        }
    }

    /// The rules that match, highest salience first.
    pub fn matching(rules: &[Rule], facts: Map<String, Value>) -> Vec<String> {
        let mut naive = Naive { facts, fired: vec![], failed: false, retracted: vec![], complete: false };
        let mut matched: Vec<&Rule> =
            rules.iter().filter(|rule| matches!(naive.eval(&rule.when), Ok(Value::Bool(true)))).collect();
        matched.sort_by_key(|rule| std::cmp::Reverse(rule.salience));
        matched.into_iter().map(|rule| rule.name.text.clone()).collect()
    }

    fn act(&mut self, rule: &Rule) -> Got<()> {
        for statement in &rule.then {
            match &statement.kind {
                StatementKind::Assign { target, op, value } => {
                    let mut new = self.eval(value)?;
                    if let Some(op) = op {
                        new = binary(*op, &self.eval(target)?, &new)?;
                    }
                    *self.place(target)? = new;
                }
                StatementKind::Do(expr) => match &expr.kind {
                    ExprKind::Method(base, name, arguments) if name.text == "Append" => {
                        let values: Vec<Value> = arguments.iter().map(|one| self.eval(one)).collect::<Got<_>>()?;
                        self.eval(base)?;
                        self.place(base)?.as_array_mut().ok_or(Wrong)?.extend(values);
                    }
                    _ => drop(self.eval(expr)?),
                },
            }
        }
        Ok(())
    }

    /// Where to write; a member that is not there yet is made, its parents are not.
    fn place(&mut self, expr: &Expr) -> Got<&mut Value> {
        let key = match &expr.kind {
            ExprKind::Root(name) => return Ok(self.facts.entry(name.clone()).or_insert(Value::Null)),
            ExprKind::Member(_, name) => Value::from(name.text.clone()),
            ExprKind::Index(_, index) => self.eval(index)?,
            _ => return Err(Wrong),
        };
        let (ExprKind::Member(base, _) | ExprKind::Index(base, _)) = &expr.kind else { return Err(Wrong) };
        self.eval(base)?;
        match (self.place(base)?, key) {
            (Value::Object(map), Value::String(key)) => Ok(map.entry(key).or_insert(Value::Null)),
            (Value::Array(list), key) => list.get_mut(element(&key)?).ok_or(Wrong),
            _ => Err(Wrong),
        }
    }

    pub fn eval(&mut self, expr: &Expr) -> Got<Value> {
        match &expr.kind {
            ExprKind::Literal(literal) => Ok(match literal {
                Literal::Nil => Value::Null,
                Literal::Bool(value) => Value::from(*value),
                Literal::Int(value) => Value::from(*value),
                Literal::Float(value) => Value::from(*value),
                Literal::Text(value) => Value::from(value.clone()),
            }),
            ExprKind::Root(name) => self.facts.get(name).cloned().ok_or(Wrong),
            ExprKind::Member(base, name) => self.eval(base)?.get(&name.text).cloned().ok_or(Wrong),
            ExprKind::Index(base, index) => match (self.eval(base)?, self.eval(index)?) {
                (Value::Object(map), Value::String(key)) => map.get(&key).cloned().ok_or(Wrong),
                (Value::Array(list), key) => list.get(element(&key)?).cloned().ok_or(Wrong),
                _ => Err(Wrong),
            },
            ExprKind::Group(inner) => self.eval(inner),
            ExprKind::Not(inner) => Ok(match self.eval(inner)? {
                Value::Bool(value) => Value::from(!value),
                other => other,
            }),
            ExprKind::Chain(first, rest) => {
                let mut left = self.eval(first)?;
                for (op, right) in rest {
                    left = match (op, &left) {
                        (Op::And, Value::Bool(false)) | (Op::Or, Value::Bool(true)) => left,
                        (Op::And | Op::Or, Value::Bool(_)) => match self.eval(right)? {
                            Value::Bool(value) => Value::from(value),
                            _ => return Err(Wrong),
                        },
                        (Op::And | Op::Or, _) => return Err(Wrong),
                        _ => binary(*op, &left, &self.eval(right)?)?,
                    };
                }
                Ok(left)
            }
            ExprKind::Call(name, arguments) => {
                let arguments: Vec<Value> = arguments.iter().map(|one| self.eval(one)).collect::<Got<_>>()?;
                match (name.text.as_str(), arguments.as_slice()) {
                    ("Retract", [Value::String(rule)]) => self.retracted.push(rule.clone()),
                    ("Complete", []) => self.complete = true,
                    _ => return Err(Wrong),
                }
                Ok(Value::Null)
            }
            ExprKind::Method(base, name, arguments) => {
                let base = self.eval(base)?;
                let arguments: Vec<Value> = arguments.iter().map(|one| self.eval(one)).collect::<Got<_>>()?;
                method(&base, &name.text, &arguments)
            }
        }
    }
}

/// Of an element; a float will do when it is whole.
fn element(key: &Value) -> Got<usize> {
    let number = key.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0).ok_or(Wrong)?;
    Ok(number as usize)
}

fn method(base: &Value, name: &str, arguments: &[Value]) -> Got<Value> {
    let first = arguments.first().and_then(Value::as_str);
    Ok(match (base, name, first) {
        (Value::String(text), "Len", None) if arguments.is_empty() => Value::from(text.len()),
        (Value::Array(list), "Len", None) if arguments.is_empty() => Value::from(list.len()),
        (Value::Object(map), "Len", None) if arguments.is_empty() => Value::from(map.len()),
        (Value::String(text), "ToUpper", None) if arguments.is_empty() => Value::from(text.to_uppercase()),
        (Value::String(text), "Contains", Some(part)) => Value::from(text.contains(part)),
        (Value::String(text), "HasPrefix", Some(part)) => Value::from(text.starts_with(part)),
        (Value::String(text), "In", _) => {
            for argument in arguments {
                if argument.as_str().ok_or(Wrong)? == text {
                    return Ok(Value::from(true));
                }
            }
            Value::from(false)
        }
        _ => return Err(Wrong),
    })
}

fn binary(op: Op, left: &Value, right: &Value) -> Got<Value> {
    let numbers = left.as_f64().zip(right.as_f64());
    let wholes = left.as_i64().zip(right.as_i64());
    Ok(match op {
        Op::Eq | Op::NotEq => {
            let equal = match (left, right, numbers) {
                (Value::Null, _, _) | (_, Value::Null, _) => left.is_null() && right.is_null(),
                (Value::String(a), Value::String(b), _) => a == b,
                (Value::Bool(a), Value::Bool(b), _) => a == b,
                // Neither equal nor different.
                (Value::String(_) | Value::Bool(_), ..) => return Ok(Value::from(false)),
                (_, _, Some((a, b))) => a == b,
                _ => return Err(Wrong),
            };
            Value::from(equal == (op == Op::Eq))
        }
        Op::Gt | Op::Lt | Op::Gte | Op::Lte => {
            let order = match (left, right, numbers) {
                (Value::String(a), Value::String(b), _) => a.cmp(b),
                (_, _, Some((a, b))) => a.partial_cmp(&b).ok_or(Wrong)?,
                _ => return Err(Wrong),
            };
            Value::from(match op {
                Op::Gt => order.is_gt(),
                Op::Lt => order.is_lt(),
                Op::Gte => order.is_ge(),
                _ => order.is_le(),
            })
        }
        Op::Add if left.is_string() || right.is_string() => {
            let text = |value: &Value, on_the_right: bool| match value {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) if number.is_f64() => Ok(format!("{:.6}", number.as_f64().unwrap_or(0.0))),
                Value::Number(number) => Ok(number.to_string()),
                Value::Bool(value) if on_the_right => Ok(value.to_string()),
                _ => Err(Wrong),
            };
            Value::from(text(left, false)? + &text(right, true)?)
        }
        Op::Mod | Op::BitAnd | Op::BitOr => {
            let (a, b) = wholes.ok_or(Wrong)?;
            Value::from(match op {
                Op::Mod => a.checked_rem(b).ok_or(Wrong)?,
                Op::BitAnd => a & b,
                _ => a | b,
            })
        }
        _ => {
            let (a, b) = numbers.ok_or(Wrong)?;
            match (op, wholes) {
                (Op::Add, Some((a, b))) => Value::from(a + b),
                (Op::Sub, Some((a, b))) => Value::from(a - b),
                (Op::Mul, Some((a, b))) => Value::from(a * b),
                (Op::Add, _) => Value::from(a + b),
                (Op::Sub, _) => Value::from(a - b),
                (Op::Mul, _) => Value::from(a * b),
                _ => Value::from(a / b),
            }
        }
    })
}
