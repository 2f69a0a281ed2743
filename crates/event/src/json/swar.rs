//! Eight bytes at a time in plain integers: quick in Wasm too, and without unsafe code.
//!
//! Each test sets the high bit of a byte that matches. A borrow can only spoil bytes above a match, and the
//! lowest match is the one looked for.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const QUOTES: u64 = ONES * b'"' as u64;
const BACKSLASHES: u64 = ONES * b'\\' as u64;
const SPACES: u64 = ONES * b' ' as u64;

fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

fn quote_or_backslash(word: u64) -> u64 {
    zero(word ^ QUOTES) | zero(word ^ BACKSLASHES)
}

fn control(word: u64) -> u64 {
    word.wrapping_sub(SPACES) & !word & HIGHS
}

#[inline(always)]
fn find(bytes: &[u8], mut at: usize, words: impl Fn(u64) -> u64, byte: impl Fn(u8) -> bool) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let hits = words(u64::from_le_bytes(*chunk));
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(found) = bytes.get(at) {
        if byte(*found) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// The first `"` or `\` from `at` on, or the length.
#[inline]
pub(super) fn string_end(bytes: &[u8], at: usize) -> usize {
    find(bytes, at, quote_or_backslash, |byte| byte == b'"' || byte == b'\\')
}

/// The first `"`, `\` or control character from `at` on, or the length.
#[inline]
pub(super) fn string_special(bytes: &[u8], at: usize) -> usize {
    find(
        bytes,
        at,
        |word| quote_or_backslash(word) | control(word),
        |byte| byte == b'"' || byte == b'\\' || byte < b' ',
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_found_at_each_place_and_no_other_is() {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                // 0x80 and 0xFF around it would show a borrow that leaks.
                for around in [b'x', 0x80, 0xFF, b'#', b'!'] {
                    let mut text = [around; 20];
                    text[place] = byte;
                    let ends = byte == b'"' || byte == b'\\';
                    assert_eq!(string_end(&text, 0), if ends { place } else { 20 });
                    let special = ends || byte < 0x20;
                    assert_eq!(string_special(&text, 0), if special { place } else { 20 });
                }
            }
        }
    }
}
