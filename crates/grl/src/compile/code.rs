//! What code says of itself.

use super::emit::op;

/// The nodes that code reads, and the shared expressions that it uses.
pub(crate) fn reads_in(code: &[u8]) -> (Vec<u32>, Vec<u32>) {
    let (mut nodes, mut memos) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(op) = code.get(at) {
        let word = code.get(at + 1..at + 5).and_then(|bytes| bytes.first_chunk::<4>()).map(|b| u32::from_le_bytes(*b));
        match (*op, word) {
            (op::PATH, Some(node)) if !nodes.contains(&node) => nodes.push(node),
            (op::MEMO, Some(memo)) if !memos.contains(&memo) => memos.push(memo),
            _ => {}
        }
        at += 1 + words_of(*op) * 4;
    }
    (nodes, memos)
}

/// The nodes that code reads, and the first of them that it reads whatever the facts are.
pub(super) fn reads(code: &[u8]) -> (Vec<u32>, Option<u32>) {
    let (mut nodes, mut first, mut certain) = (Vec::new(), None, true);
    let mut at = 0;
    while let Some(op) = code.get(at) {
        let word = code.get(at + 1..at + 5).and_then(|bytes| bytes.first_chunk::<4>()).map(|b| u32::from_le_bytes(*b));
        match (*op, word) {
            (op::PATH, Some(node)) => {
                if certain && first.is_none() {
                    first = Some(node);
                }
                if !nodes.contains(&node) {
                    nodes.push(node);
                }
            }
            (op::AND | op::OR, _) => certain = false,
            _ => {}
        }
        at += 1 + words_of(*op) * 4;
    }
    (nodes, first)
}

/// Words after an instruction.
fn words_of(op: u8) -> usize {
    match op {
        op::INDEX | op::BOOL | op::NOT | op::DROP | op::SWAP => 0,
        op::METHOD | op::NO_METHOD | op::CALL | op::HOST | op::NO_FUNCTION | op::ASSIGN | op::LINE => 2,
        op::APPEND => 3,
        _ => 1,
    }
}
