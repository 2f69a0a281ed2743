//! Grule, in a process of its own that is given a job a line (`peer/main.go`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::cases::{shared_rules, Case, Shape};
use crate::clock::{Middle, Pace};
use crate::engine::Figures;

/// Loads of a set at least; the largest take most of a second.
const LOADS: usize = 3;

pub struct Grule {
    child: Child,
    jobs: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Where the texts are put that it reads.
    dir: PathBuf,
}

#[derive(Serialize)]
struct Job<'p> {
    rules: &'p Path,
    events: &'p Path,
    loads: usize,
    load_us: u128,
    warm_us: u128,
    run_us: u128,
    runs: usize,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    load_us: Option<Vec<f64>>,
    fired: Option<Vec<Vec<String>>>,
    run_us: Option<Vec<f64>>,
}

// === impl Grule ===

impl Grule {
    pub fn start(program: &Path, dir: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let jobs = child.stdin.take().context("no stdin")?;
        let answers = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, jobs, answers, dir: dir.to_owned() })
    }

    /// With the JSON that all engines get.
    pub fn measure(&mut self, case: &Case, pace: &Pace) -> anyhow::Result<Figures> {
        let events = self.dir.join("events.jsonl");
        std::fs::write(&events, case.events.join("\n"))?;
        self.ask(&case.text, &events, pace)
    }

    /// With a Go struct, as in Grule's own benchmark.
    pub fn measure_struct(&mut self, case: &Case, pace: &Pace) -> anyhow::Result<Figures> {
        anyhow::ensure!(case.shape == Shape::Shared, "only Grule's own benchmark has a Go struct");
        self.ask(&shared_rules("Ride", case.rules), Path::new(""), pace)
    }

    fn ask(&mut self, text: &str, events: &Path, pace: &Pace) -> anyhow::Result<Figures> {
        let rules = self.dir.join("rules.grl");
        std::fs::write(&rules, text)?;
        let job = Job {
            rules: &rules,
            events,
            loads: LOADS,
            load_us: pace.brief().run.as_micros(),
            warm_us: pace.warm_up.as_micros(),
            run_us: pace.run.as_micros(),
            runs: pace.runs,
        };
        writeln!(self.jobs, "{}", serde_json::to_string(&job)?)?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "it ended: {:?}", self.child.try_wait()?);
        let answer: Answer = serde_json::from_str(&line)?;
        anyhow::ensure!(answer.error.is_empty(), "{}", answer.error);
        Ok(Figures {
            event: Middle::of(&answer.run_us.unwrap_or_default()),
            load: Middle::of(&answer.load_us.unwrap_or_default()),
            fired: answer.fired.unwrap_or_default(),
        })
    }
}

// === impl Drop ===

impl Drop for Grule {
    fn drop(&mut self) {
        // Ours alone, and it holds nothing that must be put away.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
