//! What a consumer may do to its host, until the host puts an end to it.

use std::fmt::Write as _;
use std::hint::black_box;

use crate::bindings::eventrunner::platform::emitter;

const MIB: usize = 1 << 20;
/// Events of one emitted batch.
const STORM_EVENTS: usize = 8;

/// Turns for ever.
pub fn endless() {
    let mut turns = 0_u64;
    while black_box(true) {
        turns = black_box(turns.wrapping_add(1));
    }
}

/// Takes memory, and touches it, until there is none.
pub fn hoard() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    while black_box(true) {
        hoard.push(vec![black_box(1); MIB]);
    }
    black_box(&hoard);
}

/// Calls itself until the stack is used up.
pub fn descend(depth: u64) {
    // Something in every frame that must be kept, so that no loop comes of it.
    let frame = black_box([depth; 16]);
    if black_box(true) {
        descend(frame[0].wrapping_add(1));
    }
    black_box(frame);
}

/// An answer of so many MiB.
pub fn babble(mib: u64) -> String {
    "babble ".repeat(usize::try_from(mib).unwrap_or_default() * MIB / 7)
}

/// Writes log lines for ever.
pub fn flood() {
    let mut line = 0_u64;
    while black_box(true) {
        eprintln!("flood {line}: the log of a consumer that has nothing to say and says it all the same");
        line += 1;
    }
}

/// Emits for ever, whatever it is answered. `event`: what the emitted ids follow from.
pub fn storm(event: &str) {
    let mut wave = 0_u64;
    while black_box(true) {
        let mut batch = String::from("[");
        for drop in 0..STORM_EVENTS {
            let comma = if drop == 0 { "" } else { "," };
            // Writing to a String can't fail.
            let _ = write!(
                batch,
                r#"{comma}{{"type":"test.stormed","source":"/test/storm","id":"{event}-{wave}-{drop}","data":{wave}}}"#
            );
        }
        batch.push(']');
        let _ = black_box(emitter::emit(&batch));
        wave += 1;
    }
}
