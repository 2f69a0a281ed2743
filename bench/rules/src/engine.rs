//! What every engine is measured in, and the three that run natively in this process: `rust-runes`, the bare language
//! (`grl`) and the platform's rules (`er-rules`).

use std::collections::HashMap;

use anyhow::{anyhow, Context as _};
use er_tenant::rules::{Language, Text, Texts};
use rust_runes::{Fact, FactValue, RuleEngine};

use crate::cases::Case;
use crate::clock::{Middle, Pace};

/// Version of the sets; any will do.
pub const VERSION: u64 = 1;
const TEXT: &str = "bench";

/// What one engine came to with one case.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Microseconds per event.
    pub event: Middle,
    /// Microseconds from the text to what can be run.
    pub load: Middle,
    /// The rules that fired, by event.
    pub fired: Vec<Vec<String>>,
}

/// A new fact from JSON, and a run, per event. The engine is kept.
pub fn runes(case: &Case, pace: &Pace) -> anyhow::Result<Figures> {
    let read = || {
        let mut engine = RuleEngine::new();
        engine.add_rules_from_str(&case.text).map_err(|error| anyhow!(error))?;
        anyhow::Ok(engine)
    };
    let load = pace.brief().measure(|| read().map(drop))?;
    let engine = read()?;
    let run = |event: &str| {
        let value: FactValue = serde_json::from_str(event)?;
        let mut facts = HashMap::from([("Event".to_owned(), Fact::new("Event".to_owned(), value))]);
        let result = engine.execute(&mut facts).map_err(|error| anyhow!("{error:?}"))?;
        anyhow::Ok(result.rules_fired)
    };
    let fired = case.events.iter().map(|event| run(event)).collect::<anyhow::Result<_>>()?;
    let mut events = case.events.iter().cycle();
    let event = pace.measure(|| events.next().map_or(Ok(()), |event| run(event).map(drop)))?;
    Ok(Figures { event, load, fired })
}

/// What Grule does, and the fact's text written again where a rule changed it.
pub fn language(case: &Case, pace: &Pace) -> anyhow::Result<Figures> {
    let compile = || {
        let set = grl::compile(&[grl::Source::grl(&case.text)], &grl::Functions::new(), grl::Mode::Check)?;
        anyhow::Ok(set.to_bytes())
    };
    let load = pace.brief().measure(|| compile().map(drop))?;
    let bytes = compile()?;
    let set = grl::RuleSet::open(&bytes)?;
    let (mut scratch, options) = (grl::Scratch::new(), grl::Options::default());
    let mut run = |event: &str| {
        let facts = [("Event", event)];
        let outcome = grl::run(&set, &facts, &mut grl::NoHost, &mut scratch, &options);
        match outcome.error() {
            Some(error) => Err(anyhow!(error)),
            None => Ok(outcome.fired),
        }
    };
    let mut fired = Vec::new();
    for event in &case.events {
        let ranks = run(event)?;
        let name = |rank: &u32| set.names().nth(*rank as usize).map(str::to_owned).context("a rule without a name");
        fired.push(ranks.iter().map(name).collect::<anyhow::Result<_>>()?);
    }
    let mut events = case.events.iter().cycle();
    let event = pace.measure(|| events.next().map_or(Ok(()), |event| run(event).map(drop)))?;
    Ok(Figures { event, load, fired })
}

/// What the platform does with an event: the run, the marks it puts on it, and the check that an event came of it.
pub fn platform(case: &Case, pace: &Pace) -> anyhow::Result<(Figures, Vec<u8>)> {
    let texts = Texts::from([(TEXT.to_owned(), Text { language: Language::Grl, text: case.text.clone() })]);
    let compile = || match er_rules::compile(&texts) {
        Ok(compiled) => Ok(compiled.bytes),
        Err(mistakes) => Err(anyhow!("{mistakes:?}")),
    };
    let load = pace.brief().measure(|| compile().map(drop))?;
    let bytes = compile()?;
    let mut rules = er_rules::Rules::open(&bytes, VERSION, 0)?;
    let mut fired = Vec::new();
    for event in &case.events {
        let verdict = rules.run(event);
        anyhow::ensure!(verdict.end == er_rules::End::Pass, "{:?}", verdict.end);
        fired.push(verdict.fired);
    }
    let mut events = case.events.iter().cycle();
    let event = pace.measure(|| {
        events.next().map(|event| std::hint::black_box(rules.run(event)));
        Ok(())
    })?;
    Ok((Figures { event, load, fired }, bytes))
}

/// Microseconds of the two steps from what a bucket holds to a set that can be run.
pub fn open(packed: &str, pace: &Pace) -> anyhow::Result<(Middle, Middle)> {
    let unpack = pace.measure(|| {
        std::hint::black_box(er_rules::unpack(packed)?);
        Ok(())
    })?;
    let bytes = er_rules::unpack(packed)?;
    let open = pace.measure(|| {
        std::hint::black_box(er_rules::Rules::open(&bytes, VERSION, 0)?);
        Ok(())
    })?;
    Ok((unpack, open))
}
