//! `er-bench-rules`: what an event costs in our rule engine, natively and in its component, beside Grule and
//! `rust-runes` with the same rules and the same events on one core of the same machine.

mod aims;
mod cases;
mod clock;
mod engine;
mod facts;
mod grule;
mod suite;
mod table;
mod wasm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::clock::Pace;

/// Measures the rule engine beside its peers, and appends what it found to a file.
#[derive(Parser, Debug, Clone)]
#[command(name = "er-bench-rules", version, max_term_width = 100)]
pub struct Args {
    /// One JSON object a line is appended here
    #[arg(long, default_value = "var/bench-rules.jsonl")]
    pub out: PathBuf,
    /// The rules component
    #[arg(long, default_value = "build/er_rules_component.wasm")]
    pub component: PathBuf,
    /// Folder of the npm package @octokit/webhooks-examples
    #[arg(long, env = "ER_SAMPLES")]
    pub samples: PathBuf,
    /// The program built from bench/rules/peer
    #[arg(long, env = "ER_GRULE_PEER")]
    pub grule: Option<PathBuf>,
    /// Why there is no such program
    #[arg(long, default_value = "--grule was not given", env = "ER_NO_GRULE")]
    pub no_grule: String,
    /// Only cases whose names contain this
    #[arg(long, default_value = "")]
    pub only: String,
    /// Seconds of one run
    #[arg(long, default_value_t = 0.4)]
    pub run_s: f64,
    /// Runs of a figure; the median counts
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// The commit that is measured
    #[arg(long, default_value = "", env = "ER_COMMIT")]
    pub commit: String,
}

fn main() -> ExitCode {
    match suite::run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

// === impl Args ===

impl Args {
    fn pace(&self) -> Pace {
        let run = Duration::from_secs_f64(self.run_s.clamp(0.01, 60.0));
        Pace { warm_up: run / 3, run, runs: self.runs.max(1) }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
