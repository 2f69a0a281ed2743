//! The machine that evaluates what no index decides, and the actions.

use super::cycle::Engine;
use super::facts::appended;
use super::methods::index;
use super::{builtins, methods, Fault};
use crate::compile::{binary_of, op};
use crate::form::Section;
use crate::functions::{BUILTINS, METHODS};
use crate::limits::EXPRESSION_DEPTH_MAX;
use crate::syntax::ast::Op;
use crate::value::{apply, Seg, Value};

/// Where the code is read.
struct Cursor<'c> {
    code: &'c [u8],
    at: usize,
}

// === impl Cursor ===

impl Cursor<'_> {
    #[inline]
    fn op(&mut self) -> Option<u8> {
        let op = self.code.get(self.at).copied()?;
        self.at += 1;
        Some(op)
    }

    #[inline]
    fn word(&mut self) -> Result<u32, Fault> {
        let word = self.code.get(self.at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(Fault::Damaged)?;
        self.at += 4;
        Ok(u32::from_le_bytes(*word))
    }
}

// === impl Engine ===

impl<'a> Engine<'a, '_> {
    fn code(&self, from: u32, length: u32) -> Cursor<'a> {
        let set = self.set;
        let from = from as usize;
        let code = set.section(Section::Code).get(from..from.saturating_add(length as usize)).unwrap_or(&[]);
        Cursor { code, at: 0 }
    }

    /// The value of an expression.
    pub(crate) fn evaluate(&mut self, from: u32, length: u32) -> Result<Value<'a>, Fault> {
        if self.nested > EXPRESSION_DEPTH_MAX {
            return Err(Fault::Damaged);
        }
        self.nested += 1;
        let done = self.execute(from, length);
        self.nested -= 1;
        done?;
        self.pop()
    }

    pub(super) fn execute(&mut self, from: u32, length: u32) -> Result<(), Fault> {
        let mut cursor = self.code(from, length);
        while let Some(op) = cursor.op() {
            self.step(1)?;
            self.instruction(op, &mut cursor)?;
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'a>, Fault> {
        self.stack.pop().ok_or(Fault::Damaged)
    }

    /// The topmost values, in the order they were pushed.
    fn take(&mut self, count: u32) -> Result<Vec<Value<'a>>, Fault> {
        let from = self.stack.len().checked_sub(count as usize).ok_or(Fault::Damaged)?;
        Ok(self.stack.split_off(from))
    }

    #[inline]
    fn instruction(&mut self, op: u8, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        match op {
            op::CONST => {
                let value = self.set.constant(cursor.word()?);
                self.stack.push(value);
            }
            op::PATH => {
                let node = cursor.word()?;
                let value = self.read(node).ok_or(Fault::Missing(node))?;
                self.step(self.reading(node))?;
                self.stack.push(value);
            }
            op::BINARY => {
                let op = binary_of(cursor.word()?).ok_or(Fault::Damaged)?;
                self.binary(op)?;
            }
            op::AND | op::OR => {
                let distance = cursor.word()?;
                match self.stack.last() {
                    Some(Value::Bool(value)) if *value == (op == op::OR) => {
                        cursor.at = cursor.at.saturating_add(distance as usize);
                    }
                    Some(Value::Bool(_)) => {
                        self.stack.pop();
                    }
                    other => return Err(other.map_or(Fault::Damaged, |value| Fault::NotBool(value.kind()))),
                }
            }
            op::BOOL => match self.stack.last() {
                Some(Value::Bool(_)) => {}
                other => return Err(other.map_or(Fault::Damaged, |value| Fault::NotBool(value.kind()))),
            },
            // Of anything but a boolean it does nothing, as in Grule.
            op::NOT => {
                if let Some(Value::Bool(value)) = self.stack.last_mut() {
                    *value = !*value;
                }
            }
            op::DROP => drop(self.pop()?),
            op::SWAP => {
                let (top, below) = (self.pop()?, self.pop()?);
                self.stack.extend([top, below]);
            }
            op::LINE => {
                self.line = cursor.word()?;
                cursor.word()?;
            }
            _ => return self.less_frequent(op, cursor),
        }
        Ok(())
    }

    fn binary(&mut self, op: Op) -> Result<(), Fault> {
        let right = self.pop()?;
        let left = self.pop()?;
        let text = op == Op::Add && (left.as_str().is_some() || right.as_str().is_some());
        if text {
            let bytes = left.weight() + right.weight();
            if bytes > crate::limits::VALUE_BYTES_MAX {
                return Err(Fault::Limit(super::Limit::Size));
            }
            self.built(bytes)?;
        }
        let value = apply(op, &left, &right)?;
        self.stack.push(value);
        Ok(())
    }

    fn less_frequent(&mut self, op: u8, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let value = match op {
            op::INDEX => {
                let selector = self.pop()?;
                let base = self.pop()?;
                self.step((base.weight() / crate::limits::BYTES_PER_STEP) as u64)?;
                index(&base, &selector)?
            }
            op::FIELD => {
                let set = self.set;
                let name = set.text(cursor.word()?);
                let base = self.pop()?;
                self.step((base.weight() / crate::limits::BYTES_PER_STEP) as u64)?;
                let seg = Seg::Name(crate::value::Str::Borrowed(name));
                base.child(&seg).ok_or(match base.items() {
                    Some(_) => Fault::NoElement,
                    None => Fault::NoMembers(base.kind()),
                })?
            }
            op::METHOD => {
                let method = METHODS.get(cursor.word()? as usize).ok_or(Fault::Damaged)?;
                let arguments = cursor.word()?;
                let arguments = self.take(arguments)?;
                let base = self.pop()?;
                methods::call(self, method, &base, &arguments)?
            }
            op::NO_METHOD => {
                let (name, count) = (cursor.word()?, cursor.word()?);
                self.take(count)?;
                let on = self.pop()?.kind();
                return Err(Fault::Method { name: self.set.text(name).to_owned(), on });
            }
            op::CALL => {
                let function = BUILTINS.get(cursor.word()? as usize).ok_or(Fault::Damaged)?;
                let count = cursor.word()?;
                let arguments = self.take(count)?;
                builtins::call(self, function, &arguments)?
            }
            op::HOST => {
                let (function, count) = (cursor.word()?, cursor.word()?);
                let arguments = self.take(count)?;
                self.step(16)?;
                let set = self.set;
                let rule = self.firing.map_or("", |rank| set.rule_name(rank));
                self.host.call(rule, function as usize, &arguments).map_err(Fault::Host)?
            }
            op::NO_FUNCTION => {
                let (name, count) = (cursor.word()?, cursor.word()?);
                self.take(count)?;
                return Err(Fault::Unknown(self.set.text(name).to_owned()));
            }
            op::MEMO => self.memo(cursor.word()?)?,
            op::ASSIGN => {
                let (node, count) = (cursor.word()?, cursor.word()?);
                let selectors = self.take(count)?;
                let value = self.pop()?;
                self.step(4)?;
                return self.assign(node, &selectors, value);
            }
            op::APPEND => {
                let (node, selectors, count) = (cursor.word()?, cursor.word()?, cursor.word()?);
                let values = self.take(count)?;
                let selectors = self.take(selectors)?;
                self.append(node, &selectors, &values)?
            }
            _ => return Err(Fault::Damaged),
        };
        self.stack.push(value);
        Ok(())
    }

    /// The value of a shared expression; it is kept until something that it reads is written.
    fn memo(&mut self, memo: u32) -> Result<Value<'a>, Fault> {
        if let Some(Some(value)) = self.memos.get(memo as usize) {
            return Ok(value.clone());
        }
        let at = memo as usize * 2;
        let (from, length) = (self.set.word(Section::Memos, at), self.set.word(Section::Memos, at + 1));
        let value = self.evaluate(from, length)?;
        if let Some(place) = self.memos.get_mut(memo as usize) {
            *place = Some(value.clone());
        }
        Ok(value)
    }

    /// `Append` where it is part of an expression: the fact stays as it is.
    pub(super) fn longer(&mut self, array: &Value<'a>, values: &[Value<'a>]) -> Result<Value<'a>, Fault> {
        let items = array.items().unwrap_or(0);
        self.built(array.weight().saturating_add(items.saturating_mul(crate::limits::ITEM_BYTES)))?;
        appended(array, values)
    }
}
