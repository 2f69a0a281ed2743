//! Bytes that were changed: damage is found, and what is made to look whole still ends in no panic.

use proptest::prelude::*;

use super::writer::seal;
use super::RuleSet;
use crate::{compile, run, Functions, Mode, NoHost, Options, Scratch, Source};

const RULES: &str = r#"
rule A "a" salience 3 { when E.a > 1 && E.b == "x" && E.c.In("p", "q") || !E.d then E.a = E.a + 1; E.l[E.i] = "y"; }
rule B { when E.a >= 2 && E.a < 9 && E.l[0].ToUpper().Len() > 0 then E.o.n += 2; E.l.Append(E.o); tmp = E.l; }
rule C salience -2 { when E.l[0].ToUpper() == "Y" then Retract("C"); Log("x" + E.a); E["new"] = Max(1, E.a); }
rule D { when E.o.n % 2 == 0 && E.b.MatchString("^[xy]+$") then E.o = E.o.deep; Complete(); Nope(1).x(); }
"#;
const FACTS: [(&str, &str); 2] =
    [("E", r#"{"a":2,"b":"x","c":"p","d":false,"i":0,"l":["y","z"],"o":{"n":2,"deep":{"n":4}}}"#), ("F", "1")];

fn form() -> Vec<u8> {
    compile(&[Source::grl(RULES)], &Functions::new(), Mode::Grule).unwrap().to_bytes()
}

/// Runs whatever can be opened, in all ways.
fn exercise(bytes: &[u8]) {
    let Ok(set) = RuleSet::open(bytes) else { return };
    let mut scratch = Scratch::new();
    for (strict, matching) in [(false, false), (true, false), (false, true)] {
        let mut options = Options { strict, matching, ..Options::default() };
        options.limits.cycles = 20;
        options.limits.steps = 20_000;
        options.limits.built_bytes = 1 << 20;
        run(&set, &FACTS, &mut NoHost, &mut scratch, &options).error();
        crate::explain(&set, &FACTS, &mut NoHost, &options);
    }
    set.names().for_each(drop);
}

#[test]
fn what_is_whole_opens() {
    let bytes = form();
    let set = RuleSet::open(&bytes).unwrap();
    assert_eq!(set.names().collect::<Vec<_>>(), ["A", "B", "D", "C"]);
    assert_eq!(set.as_bytes(), bytes);
    exercise(&bytes);
}

#[test]
fn every_cut_is_refused() {
    let bytes = form();
    for length in 0..bytes.len() {
        assert!(RuleSet::open(&bytes[..length]).is_err(), "{length}");
    }
    assert!(RuleSet::open(&[&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn every_changed_byte_is_found() {
    let mut bytes = form();
    for at in 0..bytes.len() {
        bytes[at] ^= 0x20;
        assert!(RuleSet::open(&bytes).is_err(), "{at}");
        bytes[at] ^= 0x20;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn forged_bytes_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
        let mut bytes = form();
        for (at, value) in changes {
            let at = 24 + at.index(bytes.len() - 24);
            bytes[at] = value;
        }
        seal(&mut bytes);
        exercise(&bytes);
    }

    #[test]
    fn forged_words_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), 0..40_u32), 1..8)) {
        let mut bytes = form();
        for (at, value) in changes {
            let at = (24 + at.index(bytes.len() - 28)) / 4 * 4;
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        seal(&mut bytes);
        exercise(&bytes);
    }

    #[test]
    fn other_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(RuleSet::open(&bytes).is_err());
    }
}
