//! An object or array that was written to: its items with the text that stood between them, so that what is written
//! out differs from what came in only where a rule changed it.

use std::borrow::Cow;
use std::rc::Rc;

use super::{Str, Value};
use crate::json::{write_string, Items};
use crate::limits::{ITEM_BYTES, VALUE_BYTES_MAX, VALUE_DEPTH_MAX};

#[derive(Debug, Clone)]
pub struct Container<'a> {
    object: bool,
    items: Vec<Item<'a>>,
    /// Blanks before the closing bracket.
    tail: &'a str,
    weight: usize,
    depth: u32,
}

#[derive(Debug, Clone)]
struct Item<'a> {
    /// Comma, key, colon and blanks before the value.
    before: Cow<'a, str>,
    /// Of a member; empty in an array.
    key: Str<'a>,
    value: Value<'a>,
}

/// One step of a path.
#[derive(Debug, Clone)]
pub enum Seg<'a> {
    Name(Str<'a>),
    Index(usize),
}

/// Why a value could not be put somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMuch {
    /// There is nothing at a step before the last, or no such element.
    Missing,
    /// A step goes into something that has no such members.
    Unfit,
    Bytes,
    Depth,
}

// === impl Container ===

impl<'a> Container<'a> {
    pub(crate) fn array(values: Vec<Value<'a>>) -> Self {
        let mut array =
            Container { object: false, items: Vec::with_capacity(values.len()), tail: "", weight: 2, depth: 1 };
        for value in values {
            array.push(value);
        }
        array
    }

    /// One level of a raw object or array.
    pub(crate) fn open(raw: &'a str) -> Option<Self> {
        let mut walk = Items::new(raw, 0)?;
        let object = walk.is_object();
        let mut items = Vec::new();
        while let Some(item) = walk.next() {
            let key = match item.key {
                Cow::Borrowed(key) => Str::Borrowed(key),
                Cow::Owned(key) => Str::from(key),
            };
            let before = Cow::Borrowed(raw.get(item.from..item.start)?);
            items.push(Item { before, key, value: Value::Raw(raw.get(item.start..item.end)?) });
        }
        let tail = raw.get(walk.offset()..raw.len().checked_sub(1)?).unwrap_or("");
        Some(Container { object, items, tail, weight: raw.len(), depth: 1 })
    }

    /// An array or object as a container, whatever it was before.
    pub(crate) fn of(value: &Value<'a>) -> Option<Rc<Container<'a>>> {
        match value {
            Value::Container(container) => Some(container.clone()),
            Value::Raw(raw) => Container::open(raw).map(Rc::new),
            _ => None,
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        self.object
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    pub(crate) fn depth(&self) -> u32 {
        self.depth
    }

    /// Bytes of memory that a copy takes.
    fn cost(&self) -> usize {
        self.weight + self.items.len() * ITEM_BYTES
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Value<'a>> {
        self.items.iter().map(|item| &item.value)
    }

    pub(crate) fn push(&mut self, value: Value<'a>) {
        let before = Cow::Borrowed(if self.items.is_empty() { "" } else { "," });
        self.weight += value.weight() + 1;
        self.depth = self.depth.max(value.depth() + 1);
        self.items.push(Item { before, key: Str::Borrowed(""), value });
    }

    /// Members named `""` of arrays do not exist, so a name never finds an element. The last of equal keys counts.
    fn position(&self, seg: &Seg<'_>) -> Option<usize> {
        match seg {
            Seg::Name(name) if self.object => self.items.iter().rposition(|item| item.key.as_str() == name.as_str()),
            Seg::Index(index) if !self.object => Some(*index).filter(|index| *index < self.items.len()),
            _ => None,
        }
    }

    pub(crate) fn get(&self, seg: &Seg<'_>) -> Option<&Value<'a>> {
        self.position(seg).and_then(|at| self.items.get(at)).map(|item| &item.value)
    }

    fn set_last(&mut self, seg: &Seg<'a>, value: Value<'a>) -> Result<(), TooMuch> {
        if let Some(item) = self.position(seg).and_then(|at| self.items.get_mut(at)) {
            item.value = value;
            return Ok(());
        }
        match seg {
            Seg::Name(name) if self.object => {
                let mut before = String::from(if self.items.is_empty() { "" } else { "," });
                write_string(&mut before, name.as_str());
                before.push(':');
                self.weight += before.len();
                self.items.push(Item { before: Cow::Owned(before), key: name.clone(), value });
                Ok(())
            }
            Seg::Index(_) if !self.object => Err(TooMuch::Missing),
            _ => Err(TooMuch::Unfit),
        }
    }

    pub(crate) fn write_json(&self, out: &mut String) {
        out.push(if self.object { '{' } else { '[' });
        for item in &self.items {
            out.push_str(&item.before);
            item.value.write_json(out);
        }
        out.push_str(self.tail);
        out.push(if self.object { '}' } else { ']' });
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    /// Puts `new` at the end of `path`, opening raw text on the way. The bytes that were copied for it.
    pub(crate) fn put(&mut self, path: &[Seg<'a>], new: Value<'a>) -> Result<usize, TooMuch> {
        let Some((seg, rest)) = path.split_first() else {
            *self = new;
            return Ok(0);
        };
        let mut copied = 0;
        let mut opened = false;
        if let Value::Raw(raw) = self {
            *self = Container::open(raw).map_or(Value::Null, |container| Value::Container(Rc::new(container)));
            opened = true;
        }
        let Value::Container(shared) = self else { return Err(TooMuch::Unfit) };
        if opened || Rc::strong_count(shared) > 1 {
            copied += shared.cost();
        }
        let container = Rc::make_mut(shared);
        let before = container.get(seg).map_or(0, Value::weight);
        if rest.is_empty() {
            container.set_last(seg, new)?;
        } else {
            let at = container.position(seg).ok_or(TooMuch::Missing)?;
            let item = container.items.get_mut(at).ok_or(TooMuch::Missing)?;
            copied += item.value.put(rest, new)?;
        }
        let (after, depth) = container.get(seg).map_or((0, 0), |value| (value.weight(), value.depth()));
        container.weight = (container.weight + after).saturating_sub(before);
        container.depth = container.depth.max(depth + 1);
        if container.weight > VALUE_BYTES_MAX {
            return Err(TooMuch::Bytes);
        }
        if container.depth > VALUE_DEPTH_MAX {
            return Err(TooMuch::Depth);
        }
        Ok(copied)
    }

    /// What is at the end of `path`.
    pub(crate) fn find(&self, path: &[Seg<'_>]) -> Option<Value<'a>> {
        let mut value = self.clone();
        for seg in path {
            value = value.child(seg)?;
        }
        Some(value.decoded())
    }

    /// One step into an object or array.
    pub(crate) fn child(&self, seg: &Seg<'_>) -> Option<Value<'a>> {
        match self {
            Value::Container(container) => container.get(seg).map(Value::decoded),
            Value::Raw(raw) => {
                let mut walk = Items::new(raw, 0)?;
                let mut found = None;
                let mut index = 0;
                while let Some(item) = walk.next() {
                    let hit = match seg {
                        Seg::Name(name) => walk.is_object() && item.key == name.as_str(),
                        Seg::Index(wanted) => !walk.is_object() && index == *wanted,
                    };
                    if hit {
                        found = raw.get(item.start..item.end);
                    }
                    index += 1;
                }
                found.and_then(crate::json::value)
            }
            _ => None,
        }
    }

    /// Items of an object or array; none for everything else.
    pub(crate) fn items(&self) -> Option<usize> {
        match self {
            Value::Container(container) if !container.is_object() => Some(container.len()),
            // Equal keys count once.
            Value::Container(container) => {
                let mut keys: Vec<&str> = container.items.iter().map(|item| item.key.as_str()).collect();
                keys.sort_unstable();
                keys.dedup();
                Some(keys.len())
            }
            Value::Raw(raw) => {
                let mut walk = Items::new(raw, 0)?;
                let mut keys = Vec::new();
                let mut count = 0;
                while let Some(item) = walk.next() {
                    count += 1;
                    keys.push(item.key);
                }
                if walk.is_object() {
                    keys.sort_unstable();
                    keys.dedup();
                    count = keys.len();
                }
                Some(count)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Seg<'_> {
        Seg::Name(Str::Borrowed(text))
    }

    #[test]
    fn only_what_is_written_changes() {
        let text = "{ \"a\" : 1.50,\n \"b\":{ \"c\":[1, 2 ]} , \"id\":9007199254740993 }";
        let mut value = Value::Raw(text);
        value.put(&[name("b"), name("c"), Seg::Index(1)], Value::Int(7)).unwrap();
        value.put(&[name("b"), name("new")], Value::text("x\"")).unwrap();
        assert_eq!(
            value.to_json(),
            "{ \"a\" : 1.50,\n \"b\":{ \"c\":[1, 7 ],\"new\":\"x\\\"\"} , \"id\":9007199254740993 }"
        );
        assert_eq!(value.find(&[name("b"), name("c"), Seg::Index(0)]), Some(Value::Int(1)));
        assert_eq!(value.find(&[name("b"), name("c"), Seg::Index(2)]), None);
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        let mut value = Value::Raw(r#"{"a":1,"a":2}"#);
        assert_eq!(value.find(&[name("a")]), Some(Value::Int(2)));
        assert_eq!(value.items(), Some(1));
        value.put(&[name("a")], Value::Int(3)).unwrap();
        assert_eq!(value.to_json(), r#"{"a":1,"a":3}"#);
        assert_eq!(value.items(), Some(1));
    }

    #[test]
    fn nothing_is_put_where_nothing_can_be() {
        let mut value = Value::Raw(r#"{"a":[1],"s":"x"}"#);
        assert_eq!(value.put(&[name("z"), name("y")], Value::Null), Err(TooMuch::Missing));
        assert_eq!(value.put(&[name("a"), Seg::Index(1)], Value::Null), Err(TooMuch::Missing));
        assert_eq!(value.put(&[name("a"), name("y")], Value::Null), Err(TooMuch::Unfit));
        assert_eq!(value.put(&[name("s"), name("y")], Value::Null), Err(TooMuch::Unfit));
        assert_eq!(value.put(&[Seg::Index(0)], Value::Null), Err(TooMuch::Unfit));
    }

    #[test]
    fn nesting_and_size_have_an_end() {
        let mut value = Value::Raw("{}");
        let mut failed = None;
        for _ in 0..100 {
            let copy = value.clone();
            if let Err(error) = value.put(&[name("in")], copy) {
                failed = Some(error);
                break;
            }
        }
        assert_eq!(failed, Some(TooMuch::Depth));
        let mut value = Value::Raw("{}");
        let long = Value::text("x".repeat(VALUE_BYTES_MAX));
        assert_eq!(value.put(&[name("a")], long), Err(TooMuch::Bytes));
    }
}
