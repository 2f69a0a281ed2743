//! Several values out of one text in one pass.

use std::borrow::Cow;

use super::skip;

/// JSON pointers (RFC 6901), made ready for one pass: the paths they share are walked once.
#[derive(Debug, Clone)]
pub struct Pointers {
    nodes: Vec<Node>,
    slots: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Which answers are the value at this place.
    slots: Vec<usize>,
    /// Token, and the node it leads to.
    children: Vec<(String, usize)>,
}

impl Pointers {
    /// `""` is the whole text. One that is neither empty nor starts with `/` is never found.
    pub fn new<S: AsRef<str>>(pointers: impl IntoIterator<Item = S>) -> Self {
        let mut all = Pointers { nodes: vec![Node::default()], slots: 0 };
        for pointer in pointers {
            all.add(pointer.as_ref());
        }
        all
    }

    /// How many pointers there are.
    pub fn len(&self) -> usize {
        self.slots
    }

    pub fn is_empty(&self) -> bool {
        self.slots == 0
    }

    fn add(&mut self, pointer: &str) {
        let slot = self.slots;
        self.slots += 1;
        let mut node = 0;
        let mut tokens = pointer.split('/');
        if tokens.next() != Some("") {
            return;
        }
        for token in tokens {
            let token = match token.contains('~') {
                true => Cow::Owned(token.replace("~1", "/").replace("~0", "~")),
                false => Cow::Borrowed(token),
            };
            node = match self.child(node, &token) {
                Some(child) => child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(Node::default());
                    self.nodes[node].children.push((token.into_owned(), child));
                    child
                }
            };
        }
        self.nodes[node].slots.push(slot);
    }

    fn child(&self, node: usize, token: &str) -> Option<usize> {
        self.nodes[node].children.iter().find(|(name, _)| name == token).map(|(_, child)| *child)
    }

    fn element(&self, node: usize, index: usize) -> Option<usize> {
        // RFC 6901 writes indices without leading zeros, so each has one spelling.
        let is = |name: &str| name.parse() == Ok(index) && (name == "0" || !name.starts_with(['0', '+']));
        self.nodes[node].children.iter().find(|(name, _)| is(name)).map(|(_, child)| *child)
    }
}

/// The raw text of each pointer's value in valid JSON, in the order of the pointers; none where there is none.
/// Stops as soon as all are found. In broken text it finds what comes before the fault.
pub fn lookup<'a>(text: &'a str, pointers: &Pointers) -> Vec<Option<&'a str>> {
    let mut walk = Walk {
        text,
        bytes: text.as_bytes(),
        at: 0,
        pointers,
        found: vec![None; pointers.slots],
        left: pointers.nodes.iter().map(|node| node.slots.len()).sum(),
        open: Vec::new(),
    };
    walk.run();
    walk.found
}

struct Walk<'a, 'p> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    pointers: &'p Pointers,
    found: Vec<Option<&'a str>>,
    left: usize,
    open: Vec<Open>,
}

/// An object or array on the way to a value that is looked for.
struct Open {
    node: usize,
    object: bool,
    /// Elements passed.
    index: usize,
    /// Children of the node that were not met yet.
    left: usize,
}

impl<'a> Walk<'a, '_> {
    fn run(&mut self) {
        self.at = skip::blanks(self.bytes, 0);
        self.meet(0);
        while self.left > 0 {
            let Some(open) = self.open.last_mut() else { return };
            if open.left == 0 {
                self.at = skip::rest(self.bytes, self.at);
                self.open.pop();
                continue;
            }
            self.at = skip::blanks(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}' | b']') => {
                    self.at += 1;
                    self.open.pop();
                }
                Some(_) => {
                    if self.step().is_none() {
                        return;
                    }
                }
                None => return,
            }
        }
    }

    /// Passes one member or element of the innermost container; none in broken text.
    fn step(&mut self) -> Option<()> {
        let before = self.at;
        let open = self.open.last_mut()?;
        let child = if open.object {
            let (key, value) = skip::key(self.text, self.at)?;
            self.at = value;
            self.pointers.child(open.node, &key)
        } else {
            let index = open.index;
            open.index += 1;
            self.pointers.element(open.node, index)
        };
        match child {
            Some(child) => {
                open.left -= 1;
                self.meet(child);
            }
            None => self.at = skip::value(self.bytes, self.at),
        }
        (self.at > before).then_some(())
    }

    /// A value that `node` stands for: notes it, and goes into it if there is more to look for inside.
    fn meet(&mut self, node: usize) {
        let Node { slots, children } = &self.pointers.nodes[node];
        let start = self.at;
        if !slots.is_empty() || children.is_empty() {
            self.at = skip::value(self.bytes, start);
            let value = self.text.get(start..self.at).filter(|value| !value.is_empty());
            for slot in slots {
                self.left -= usize::from(self.found[*slot].is_none());
                self.found[*slot] = value;
            }
        }
        if children.is_empty() {
            return;
        }
        match self.bytes.get(start) {
            Some(open @ (b'{' | b'[')) => {
                self.at = start + 1;
                self.open.push(Open { node, object: *open == b'{', index: 0, left: children.len() });
            }
            _ => self.at = skip::value(self.bytes, start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#" {"a":{"b":[10,{"c":"x"},[]],"d":null},"e/f":1,"g~h":2,"":3,"\u0069":4} "#;

    fn find<'a>(text: &'a str, pointers: &[&str]) -> Vec<Option<&'a str>> {
        lookup(text, &Pointers::new(pointers))
    }

    #[test]
    fn values_are_found_wherever_they_are() {
        let found = find(TEXT, &["/a/b/1/c", "/a/b/0", "/a/b", "/e~1f", "/g~0h", "/", "/i", "/a/d", "/a/b/2"]);
        let want = ["\"x\"", "10", r#"[10,{"c":"x"},[]]"#, "1", "2", "3", "4", "null", "[]"];
        assert_eq!(found, want.map(Some));
        assert_eq!(find("[1,2]", &[""]), [Some("[1,2]")]);
        assert_eq!(find("7", &["", "/a"]), [Some("7"), None]);
    }

    #[test]
    fn the_same_pointer_may_be_asked_twice() {
        assert_eq!(find(TEXT, &["/i", "/i", "/z"]), [Some("4"), Some("4"), None]);
    }

    #[test]
    fn what_is_not_there_is_none() {
        let none = ["/a/b/01", "/a/b/+1", "/a/b/3", "/a/b/-", "/a/x", "/a/d/x", "a", "/a/b/0/c", "/a/b/1/c/0"];
        assert_eq!(find(TEXT, &none), [None; 9]);
    }

    #[test]
    fn the_walk_stops_when_all_is_found() {
        assert_eq!(find("{\"a\":1,\"b\":2, this is no JSON", &["/b", "/a"]), [Some("2"), Some("1")]);
    }

    #[test]
    fn broken_text_ends_the_walk() {
        for text in [
            "",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":{",
            "{\"a\":[",
            "[",
            "[[[",
            "{\"a\":}",
            "{{",
            "[}",
            "}{",
            "{\"a\":1]}",
        ] {
            find(text, &["/a/b", "/0/0", "/x"]);
        }
    }
}
