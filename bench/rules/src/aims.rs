//! What the project aims at, and which cells miss it.

use crate::cases::Shape;
use crate::suite::Cell;
use crate::table::{event_us, micros};

const NATIVE_TIMES_GRULE: f64 = 10.0;
const WASM_TIMES_GRULE: f64 = 1.0;
/// Of a set of so many rules.
const RULES: usize = 1_000;
const COMPILE_US_MAX: f64 = 50_000.0;
const SET_US_MAX: f64 = 1_000.0;
/// From so many rules to so many, an event whose fields touch one of them or none may cost this much more.
const GROWTH: (usize, usize, f64) = (100, 10_000, 2.0);

/// What was aimed at, what missed it, and of how many.
struct Aim {
    text: String,
    of: usize,
    missed: Vec<String>,
}

pub fn print(cells: &[Cell]) {
    println!("\naims");
    for aim in aims(cells) {
        let verdict = match (aim.of, aim.missed.is_empty()) {
            (0, _) => "not measured".to_owned(),
            (of, true) => format!("met in {of} of {of}"),
            (of, false) => format!("MISSED in {} of {of}: {}", aim.missed.len(), aim.missed.join("; ")),
        };
        println!("  {:<66} {verdict}", aim.text);
    }
}

fn aims(cells: &[Cell]) -> Vec<Aim> {
    let beside = |peer: fn(&Cell) -> Option<f64>, ours: fn(&Cell) -> f64, least: f64| {
        each(cells, |cell| {
            let times = peer(cell)? / ours(cell);
            Some((times >= least, format!("{}x", micros(times))))
        })
    };
    let json = |cell: &Cell| event_us(&cell.grule);
    let go_struct = |cell: &Cell| event_us(cell.grule_struct.as_ref()?);
    let of_sets = |ours: fn(&Cell) -> f64, most: f64| {
        each(cells, |cell| (cell.rules == RULES).then(|| (ours(cell) < most, format!("{} µs", micros(ours(cell))))))
    };
    let (native, wasm) = (|cell: &Cell| cell.language.event.median, |cell: &Cell| cell.wasm.median);
    let compile = of_sets(|cell| cell.language.load.median.max(cell.platform.load.median), COMPILE_US_MAX);
    let set = of_sets(|cell| cell.set.in_wasm.median, SET_US_MAX);
    let (few, many, most) = GROWTH;
    let growth = |ours: fn(&Cell) -> f64| {
        each(cells, |cell| {
            let fewer = cells.iter().find(|other| other.shape == cell.shape && other.rules == few)?;
            let grown = ours(cell) / ours(fewer);
            let touches_few = matches!(cell.shape, Shape::FirstFails | Shape::Keyed);
            (cell.rules == many && touches_few).then(|| (grown < most, format!("{}x", micros(grown))))
        })
    };
    let named = |text: String, (of, missed)| Aim { text, of, missed };
    vec![
        named(format!("grl natively {NATIVE_TIMES_GRULE:.0} times Grule"), beside(json, native, NATIVE_TIMES_GRULE)),
        named(
            format!("grl natively {NATIVE_TIMES_GRULE:.0} times Grule that is given Go structs"),
            beside(go_struct, native, NATIVE_TIMES_GRULE),
        ),
        named("ahead of Grule inside Wasm".to_owned(), beside(json, wasm, WASM_TIMES_GRULE)),
        named(
            "ahead of Grule that is given Go structs inside Wasm".to_owned(),
            beside(go_struct, wasm, WASM_TIMES_GRULE),
        ),
        named(format!("a set of {RULES} rules compiles in under {:.0} ms", COMPILE_US_MAX / 1e3), compile),
        named(format!("and comes into an instance in under {:.0} ms per batch", SET_US_MAX / 1e3), set),
        named(format!("{few} to {many} rules that an event doesn't touch: under {most:.0}x the cost"), growth(native)),
        named("the same inside Wasm, with what it takes to bring the set in".to_owned(), growth(wasm)),
    ]
}

/// How many cells have an opinion, and those that say no.
fn each(cells: &[Cell], judge: impl Fn(&Cell) -> Option<(bool, String)>) -> (usize, Vec<String>) {
    let judged: Vec<_> = cells.iter().filter_map(|cell| judge(cell).map(|verdict| (&cell.name, verdict))).collect();
    let missed = judged.iter().filter(|(_, (met, _))| !met).map(|(name, (_, value))| format!("{name}: {value}"));
    (judged.len(), missed.collect())
}
