//! The order of the cells. In each, every engine must fire the same rules for the same events before it counts.

use std::collections::BTreeMap;

use anyhow::Context as _;
use er_event::limits::BATCH_BYTES_MAX;

use crate::cases::{Case, Shape};
use crate::clock::{Middle, Pace};
use crate::engine::{self, Figures};
use crate::facts::{Samples, EVENTS};
use crate::grule::Grule;
use crate::wasm::Guest;
use crate::{aims, table, Args};

/// Peers are not asked for more rules: Grule would load 10,000 for the better part of a minute.
const PEER_RULES_MAX: usize = 1_000;
/// A set that costs next to nothing to bring in, and an event that no rule looks at further.
const SMALL_SET: &str = r#"rule R0 { when Event.subject == "key-0" then Retract("R0"); }"#;
const BLANK: &str = r#"[{"specversion":"1.0","id":"1","source":"/bench","type":"bench.blank"}]"#;

/// What a peer came to, or why it did not.
pub type Peer = Result<Figures, String>;

/// All that was measured of one case.
#[derive(Debug)]
pub struct Cell {
    pub shape: Shape,
    pub name: String,
    pub rules: usize,
    pub event_bytes: usize,
    pub grule: Peer,
    /// Only where Grule's own benchmark has it.
    pub grule_struct: Option<Peer>,
    pub runes: Peer,
    pub language: Figures,
    pub platform: Figures,
    /// Microseconds per event, the call spread over its batch.
    pub wasm: Middle,
    pub set: SetCost,
}

/// What it takes to bring a set into an instance.
#[derive(Debug)]
pub struct SetCost {
    pub compiled_bytes: usize,
    pub stored_chars: usize,
    /// Microseconds per call, beyond those of a set of one rule.
    pub in_wasm: Middle,
    /// Microseconds natively, of which it consists there.
    pub unpack: Middle,
    pub open: Middle,
}

struct Suite<'a> {
    pace: Pace,
    guest: &'a Guest,
    grule: Result<Grule, String>,
    /// Microseconds of a call with one event and a set of one rule, which other sets' calls are compared with.
    small_call: Middle,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let started = std::time::Instant::now();
    let samples = Samples::read(&args.samples)?;
    let guest = Guest::load(&args.component)?;
    let dir = tempfile::tempdir()?;
    let grule = match &args.grule {
        Some(program) => Grule::start(program, dir.path()).map_err(|error| format!("{error:#}")),
        None => Err(args.no_grule.clone()),
    };
    let small_call = small_call(&guest, &args.pace())?;
    let mut suite = Suite { pace: args.pace(), guest: &guest, grule, small_call };
    let mut cells = Vec::new();
    for shape in Shape::ALL {
        for rules in shape.sizes() {
            let case = Case::new(shape, *rules, &samples);
            if !case.name().contains(&args.only) {
                continue;
            }
            eprintln!("{}", case.name());
            cells.push(suite.cell(&case).with_context(|| case.name())?);
        }
    }
    anyhow::ensure!(!cells.is_empty(), "no case's name contains {:?}", args.only);
    table::print(&cells, suite.small_call);
    aims::print(&cells);
    println!("\nthe whole run took {:.0} s", started.elapsed().as_secs_f64());
    let lines = table::append(&args.out, &args.commit, &cells)?;
    eprintln!("appended {lines} lines to {}", args.out.display());
    Ok(())
}

fn small_call(guest: &Guest, pace: &Pace) -> anyhow::Result<Middle> {
    let set = er_rules::pack(&grl_bytes(SMALL_SET)?);
    let blank = BLANK.to_owned();
    pace.measure(|| guest.call(&set, &blank).map(drop))
}

fn grl_bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    Ok(grl::compile(&[grl::Source::grl(text)], &grl::Functions::eventrunner(), grl::Mode::Check)?.to_bytes())
}

// === impl Suite ===

impl Suite<'_> {
    fn cell(&mut self, case: &Case) -> anyhow::Result<Cell> {
        let pace = self.pace;
        let language = engine::language(case, &pace).context("the language")?;
        let (platform, compiled) = engine::platform(case, &pace).context("the platform's rules")?;
        anyhow::ensure!(platform.fired == language.fired, "the platform's rules fire others than the language's");
        let stored = er_rules::pack(&compiled);
        let wasm = self.wasm(case, &stored, &language.fired).context("in Wasm")?;
        let set = self.set_cost(compiled.len(), &stored)?;
        let agreed = |figures: Figures| match figures.fired == language.fired {
            true => Ok(figures),
            false => Err(differs(&figures.fired, &language.fired)),
        };
        let asked = case.rules <= PEER_RULES_MAX;
        let peer = |measured: &mut dyn FnMut() -> anyhow::Result<Figures>| match asked {
            true => measured().map_err(|error| format!("{error:#}")).and_then(agreed),
            false => Err(format!("not asked for more than {PEER_RULES_MAX} rules")),
        };
        let runes = peer(&mut || engine::runes(case, &pace));
        let (grule, grule_struct) = match &mut self.grule {
            Ok(grule) => {
                let json = peer(&mut || grule.measure(case, &pace));
                let own = (case.shape == Shape::Shared).then(|| {
                    peer(&mut || {
                        let mut figures = grule.measure_struct(case, &pace)?;
                        // It has one event, equal to all of ours.
                        figures.fired = vec![figures.fired.concat(); case.events.len()];
                        Ok(figures)
                    })
                });
                (json, own)
            }
            Err(reason) => (Err(reason.clone()), None),
        };
        Ok(Cell {
            shape: case.shape,
            name: case.name(),
            rules: case.rules,
            event_bytes: case.event_bytes(),
            grule,
            grule_struct,
            runes,
            language,
            platform,
            wasm,
            set,
        })
    }

    fn wasm(&self, case: &Case, stored: &str, expected: &[Vec<String>]) -> anyhow::Result<Middle> {
        let batch = case.batch();
        anyhow::ensure!(batch.len() <= BATCH_BYTES_MAX, "a batch of {} bytes is more than crosses a link", batch.len());
        let stats = self.guest.stats(stored, &batch)?;
        let mut fired: BTreeMap<String, usize> = BTreeMap::new();
        for rule in expected.iter().flatten() {
            *fired.entry(rule.clone()).or_default() += 1;
        }
        anyhow::ensure!(
            stats.fired == fired && stats.events == EVENTS && stats.dead == 0,
            "the component fires other rules: {stats:?}"
        );
        Ok(self.pace.measure(|| self.guest.call(stored, &batch).map(drop))?.shared(EVENTS))
    }

    fn set_cost(&self, compiled_bytes: usize, stored: &str) -> anyhow::Result<SetCost> {
        let blank = BLANK.to_owned();
        let call = self.pace.measure(|| self.guest.call(stored, &blank).map(drop))?;
        let in_wasm = Middle { median: (call.median - self.small_call.median).max(0.0), ..call };
        let (unpack, open) = engine::open(stored, &self.pace.brief())?;
        Ok(SetCost { compiled_bytes, stored_chars: stored.len(), in_wasm, unpack, open })
    }
}

fn differs(theirs: &[Vec<String>], ours: &[Vec<String>]) -> String {
    let at = theirs.iter().zip(ours).position(|(theirs, ours)| theirs != ours);
    match at {
        Some(at) => format!("fires {:?} for event {at}, where ours fires {:?}", theirs[at], ours[at]),
        None => format!("ran {} events of {}", theirs.len(), ours.len()),
    }
}
