//! The paths that a set reads or writes, as one tree: what the scanner of an event looks for.

use std::collections::HashMap;

use crate::form::{node, RuleSet, Section, Writer, NONE};

/// One step of a constant path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step {
    Name(String),
    Index(u32),
}

/// Numbers of nodes change when the tree is written out, so code is made only after all paths are known.
#[derive(Default)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
    children: HashMap<(usize, Step), usize>,
    /// From the order of adding to the order of writing.
    numbers: Vec<u32>,
}

struct Node {
    step: Option<Step>,
    children: Vec<usize>,
}

/// What the network knows of a node, by its written number.
#[derive(Default, Clone)]
pub(crate) struct NodeFacts {
    pub(crate) alpha: Option<u32>,
    /// Residual tests and memos, then indexed tests.
    pub(crate) readers: Vec<u32>,
    pub(crate) indexed_readers: Vec<u32>,
}

// === impl Paths ===

impl Paths {
    pub(crate) fn new() -> Self {
        Paths { nodes: vec![Node { step: None, children: Vec::new() }], ..Paths::default() }
    }

    pub(crate) fn add(&mut self, steps: &[Step]) {
        let mut at = 0;
        for step in steps {
            let key = (at, step.clone());
            at = match self.children.get(&key) {
                Some(child) => *child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(Node { step: Some(step.clone()), children: Vec::new() });
                    if let Some(parent) = self.nodes.get_mut(at) {
                        parent.children.push(child);
                    }
                    self.children.insert(key, child);
                    child
                }
            };
        }
    }

    /// Orders the tree level by level, children of a node side by side and sorted.
    pub(crate) fn number(&mut self) {
        self.numbers = vec![NONE; self.nodes.len()];
        let mut order = vec![0];
        let mut at = 0;
        while let Some(node) = order.get(at).copied() {
            self.numbers[node] = at as u32;
            let mut children = std::mem::take(&mut self.nodes[node].children);
            children.sort_by(|a, b| self.nodes[*a].step.cmp(&self.nodes[*b].step));
            order.extend(&children);
            self.nodes[node].children = children;
            at += 1;
        }
    }

    /// The number of a path that was added.
    pub(crate) fn find(&self, steps: &[Step]) -> u32 {
        let mut at = 0;
        for step in steps {
            match self.children.get(&(at, step.clone())) {
                Some(child) => at = *child,
                None => return NONE,
            }
        }
        self.numbers.get(at).copied().unwrap_or(NONE)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Writes the nodes; `text` gives the id of a name.
    pub(crate) fn write(
        &self,
        facts: &[NodeFacts],
        writer: &mut Writer,
        mut text: impl FnMut(&mut Writer, &str) -> u32,
    ) {
        let mut by_number: Vec<usize> = (0..self.nodes.len()).collect();
        by_number.sort_by_key(|index| self.numbers[*index]);
        let mut parents = vec![NONE; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for child in &node.children {
                parents[*child] = self.numbers[index];
            }
        }
        for index in by_number {
            let current = &self.nodes[index];
            let (kind, key) = match &current.step {
                None => (0, 0),
                Some(Step::Name(name)) => (1, text(writer, name)),
                Some(Step::Index(index)) => (2, *index),
            };
            let named = current.children.iter().filter(|child| matches!(self.nodes[**child].step, Some(Step::Name(_))));
            let named = named.count() as u32;
            let first = current.children.first().map_or(NONE, |child| self.numbers[*child]);
            let known = facts.get(self.numbers[index] as usize).cloned().unwrap_or_default();
            let readers = (writer.len(Section::Pool) / 4) as u32;
            writer.words(Section::Pool, &known.readers);
            writer.words(Section::Pool, &known.indexed_readers);
            let mut record = [0; node::WORDS];
            record[node::PARENT] = parents[index];
            record[node::KIND] = kind;
            record[node::KEY] = key;
            record[node::CHILDREN] = first;
            record[node::NAMED] = named;
            record[node::INDEXED] = current.children.len() as u32 - named;
            record[node::ALPHA] = known.alpha.unwrap_or(NONE);
            record[node::READERS] = readers;
            record[node::READERS_LEN] = known.readers.len() as u32;
            record[node::READERS_ALL] = (known.readers.len() + known.indexed_readers.len()) as u32;
            writer.words(Section::Nodes, &record);
        }
    }
}

/// Up to where a node's ancestors are followed; deeper ones cannot come out of the compiler.
pub(crate) const DEPTH_MAX: usize = 256;

// === impl RuleSet ===

impl RuleSet<'_> {
    /// A node and those above it, without the place of all facts, from below.
    pub(crate) fn ancestors(&self, from: u32) -> impl Iterator<Item = u32> + '_ {
        let mut at = from;
        std::iter::from_fn(move || {
            let current = at;
            if self.node(current, node::KIND) == 0 {
                return None;
            }
            at = self.node(current, node::PARENT);
            Some(current)
        })
        .take(DEPTH_MAX)
    }
}
