//! The facts of one event: the paths that the set reads are found in one pass, everything else stays text.

use super::cycle::Engine;
use super::Fault;
use crate::form::{node, NONE};
use crate::json::{blanks, skip, value, Items};
use crate::limits::{EXPRESSION_DEPTH_MAX, TREE_BYTES_PER_STEP};
use crate::value::{Container, Seg, Str, TooMuch, Value};

/// Where the value of a node is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slot {
    /// Of the event that it belongs to; of another one, there is no value.
    generation: u32,
    fact: u32,
    start: u32,
    /// [`IN_TREE`] when it is not in the text any more.
    end: u32,
}

const IN_TREE: u32 = u32::MAX;

/// One fact, or a name that an assignment made.
pub(crate) struct Fact<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    /// Since something was written to it.
    pub(crate) tree: Option<Value<'a>>,
    /// Not made by an assignment.
    pub(crate) given: bool,
}

// === impl Engine ===

impl<'a> Engine<'a, '_> {
    /// Finds the paths of a fact. The fact's number is its place in `self.facts`.
    pub(super) fn extract(&mut self, fact: u32) {
        let Some(known) = self.facts.get(fact as usize) else { return };
        if let Some(root) = self.set.child_named(0, known.name) {
            let text = known.text;
            self.scan(text, fact, root, blanks(text.as_bytes(), 0), 0);
        }
    }

    fn slot(&self, node: u32) -> Option<Slot> {
        self.scratch.slots.get(node as usize).copied().filter(|slot| slot.generation == self.scratch.generation)
    }

    fn set_slot(&mut self, node: u32, slot: Option<Slot>) {
        if let Some(place) = self.scratch.slots.get_mut(node as usize) {
            *place = slot.unwrap_or_default();
        }
    }

    /// Notes the value at `at` for `node` and what is looked for inside of it; the offset after it.
    fn scan(&mut self, text: &'a str, fact: u32, node: u32, at: usize, depth: usize) -> usize {
        let (first, named, indexed) =
            (self.set.node(node, node::CHILDREN), self.set.node(node, node::NAMED), self.set.node(node, node::INDEXED));
        let children = first != NONE && depth < EXPRESSION_DEPTH_MAX + 8;
        let mut walk = Items::new(text, at).filter(|walk| {
            children && text.as_bytes().get(at).is_some() && if walk.is_object() { named > 0 } else { indexed > 0 }
        });
        let end = match &mut walk {
            None => skip(text.as_bytes(), at),
            Some(walk) => {
                let mut index = 0;
                while let Some((_, key, start)) = walk.head() {
                    let child = match walk.is_object() {
                        true => self.set.child_named(node, &key),
                        false => self.set.child_at(node, index),
                    };
                    let end = match child.filter(|child| *child > node) {
                        Some(child) => {
                            if self.slot(child).is_some() {
                                self.forget(child);
                            }
                            self.scan(text, fact, child, start, depth + 1)
                        }
                        None => skip(text.as_bytes(), start),
                    };
                    if end <= start || !walk.pass(end) {
                        break;
                    }
                    index += 1;
                }
                (blanks(text.as_bytes(), walk.offset()) + 1).min(text.len())
            }
        };
        if end > at {
            let slot = Slot {
                generation: self.scratch.generation,
                fact,
                start: at as u32,
                end: (end as u32).min(IN_TREE - 1),
            };
            self.set_slot(node, Some(slot));
            if self.set.node(node, node::ALPHA) != NONE {
                self.scratch.touched.push(node);
            }
        }
        end
    }

    /// Drops what an earlier one of equal keys gave.
    fn forget(&mut self, node: u32) {
        self.set_slot(node, None);
        self.scratch.touched.retain(|other| *other != node);
        for child in self.children(node) {
            if self.slot(child).is_some() {
                self.forget(child);
            }
        }
    }

    pub(super) fn children(&self, node: u32) -> std::ops::Range<u32> {
        let first = self.set.node(node, node::CHILDREN);
        let count = self.set.node(node, node::NAMED).saturating_add(self.set.node(node, node::INDEXED));
        // Children come after their parent; other bytes did not come out of the compiler.
        if first == NONE || first <= node {
            return 0..0;
        }
        first..first.saturating_add(count).min(self.set.nodes_len() as u32)
    }

    /// The value at a node.
    #[inline]
    pub(super) fn read(&self, node: u32) -> Option<Value<'a>> {
        let slot = self.slot(node)?;
        let fact = self.facts.get(slot.fact as usize)?;
        if slot.end == IN_TREE {
            return fact.tree.as_ref()?.find(&self.segs(node));
        }
        value(fact.text.get(slot.start as usize..slot.end as usize)?)
    }

    /// What reading a node costs beside its instruction: something only when it must be found in a changed fact.
    pub(super) fn reading(&self, node: u32) -> u64 {
        let slot = self.slot(node).filter(|slot| slot.end == IN_TREE);
        let tree = slot.and_then(|slot| self.facts.get(slot.fact as usize)?.tree.as_ref());
        tree.map_or(0, |tree| (tree.weight() / TREE_BYTES_PER_STEP) as u64)
    }

    /// The steps from the fact to the node.
    fn segs(&self, node: u32) -> Vec<Seg<'a>> {
        let set = self.set;
        let mut segs: Vec<Seg<'a>> = set
            .ancestors(node)
            .map(|step| {
                let key = set.node(step, node::KEY);
                match set.node(step, node::KIND) {
                    1 => Seg::Name(Str::Borrowed(set.text(key))),
                    _ => Seg::Index(key as usize),
                }
            })
            .collect();
        segs.pop();
        segs.reverse();
        segs
    }

    /// The number of the fact that a node is in, made when there is none yet and `make` says so.
    fn fact_of(&mut self, node: u32, make: bool) -> Option<u32> {
        let root = self.set.ancestors(node).last()?;
        let name = self.set.text(self.set.node(root, node::KEY));
        if let Some(at) = self.facts.iter().position(|fact| fact.name == name) {
            return Some(at as u32);
        }
        if !make {
            return None;
        }
        self.facts.push(Fact { name, text: "null", tree: None, given: false });
        Some(self.facts.len() as u32 - 1)
    }

    /// Assigns to the place that `selectors` lead to from a node, and wakes what reads it.
    pub(super) fn assign(&mut self, base: u32, selectors: &[Value<'a>], new: Value<'a>) -> Result<(), Fault> {
        let mut segs = self.segs(base);
        let root = selectors.is_empty() && segs.is_empty();
        let fact = self.fact_of(base, root).ok_or(Fault::Put(TooMuch::Missing, base))?;
        let mut target = Some(base);
        for selector in selectors {
            let (seg, child) = match selector {
                Value::Str(name) => {
                    (Seg::Name(name.clone()), target.and_then(|node| self.set.child_named(node, name.as_str())))
                }
                number => {
                    let index = number.as_i64().and_then(|index| usize::try_from(index).ok());
                    let index = index.ok_or(Fault::Put(TooMuch::Unfit, base))?;
                    (Seg::Index(index), target.and_then(|node| self.set.child_at(node, index)))
                }
            };
            segs.push(seg);
            target = child;
        }
        if new.weight() > crate::limits::VALUE_BYTES_MAX {
            return Err(Fault::Limit(super::Limit::Size));
        }
        let below = self.below(target);
        let weight = self.facts.get(fact as usize).map_or(0, |fact| fact.text.len());
        self.spend(weight / TREE_BYTES_PER_STEP * (1 + below.len()));
        for node in &below {
            self.leave(*node);
        }
        let known = self.facts.get_mut(fact as usize).ok_or(Fault::Damaged)?;
        let tree = known.tree.get_or_insert(Value::Raw(known.text));
        if self.settle && tree.find(&segs).is_none_or(|old| old.to_json() != new.to_json()) {
            self.changes += 1;
        }
        let put = tree.put(&segs, new);
        let slot = Some(Slot { generation: self.scratch.generation, fact, start: 0, end: IN_TREE });
        let above: Vec<u32> = self.set.ancestors(base).collect();
        for node in above {
            self.set_slot(node, slot);
            self.wake_readers(node);
        }
        for node in &below {
            let found = {
                let segs = self.segs(*node);
                self.facts.get(fact as usize).and_then(|fact| fact.tree.as_ref()).and_then(|tree| tree.find(&segs))
            };
            self.set_slot(*node, found.and(slot));
            self.enter(*node);
            self.wake_readers(*node);
        }
        self.scratch.nodes = below;
        match put {
            Ok(copied) => self.built(copied),
            Err(TooMuch::Bytes) => Err(Fault::Limit(super::Limit::Size)),
            Err(TooMuch::Depth) => Err(Fault::Limit(super::Limit::Depth)),
            Err(why) => Err(Fault::Put(why, base)),
        }
    }

    /// A node and all nodes below it, in memory that is used again.
    fn below(&mut self, target: Option<u32>) -> Vec<u32> {
        let mut nodes = std::mem::take(&mut self.scratch.nodes);
        nodes.clear();
        nodes.extend(target);
        let mut at = 0;
        while let Some(node) = nodes.get(at).copied() {
            nodes.extend(self.children(node));
            at += 1;
            // No node is below two others, unless the bytes were forged.
            if nodes.len() > self.set.nodes_len() {
                nodes.truncate(at);
                break;
            }
        }
        nodes
    }

    /// Appends to the array at a place; the longer array.
    pub(super) fn append(
        &mut self,
        base: u32,
        selectors: &[Value<'a>],
        values: &[Value<'a>],
    ) -> Result<Value<'a>, Fault> {
        let mut array = self.read(base).ok_or(Fault::Missing(base))?;
        for selector in selectors {
            array = super::methods::index(&array, selector)?;
        }
        let longer = appended(&array, values)?;
        self.built(crate::limits::ITEM_BYTES * values.len())?;
        // Only this one holds the array then, so that it need not be copied for each call.
        drop(array);
        self.assign(base, selectors, longer.clone())?;
        Ok(longer)
    }
}

/// An array with more elements.
pub(super) fn appended<'a>(array: &Value<'a>, values: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let no_array = || Fault::Method { name: crate::functions::APPEND.to_owned(), on: array.kind() };
    let mut container = Container::of(array).filter(|container| !container.is_object()).ok_or_else(no_array)?;
    let longer = std::rc::Rc::make_mut(&mut container);
    values.iter().for_each(|value| longer.push(value.clone()));
    Ok(Value::Container(container))
}
