//! `grl`: checks, formats, explains and runs rules from a terminal.

mod commands;
mod input;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use grl::{Function, Functions};

const ABOUT: &str = "GRL, the rule language of Grule: check, format, explain and run rules over JSON facts";

const LONG_ABOUT: &str = r#"GRL, the rule language of Grule: check, format, explain and run rules over JSON facts.

A rule says when it applies and what it does then:

    rule BigOrder "large orders go the fast way" salience 10 {
        when
            Event.type == "order.placed" && Event.data.total > 100
        then
            Event.lane = "fast";
            Retract("BigOrder");
    }

Facts are JSON, one object with a key for each fact:

    { "Event": { "type": "order.placed", "data": { "total": 120 } } }

Of the rules whose condition is true, the one with the highest salience fires; then all conditions
are looked at again, until none is true. A rule whose condition stays true fires again and again, so
most rules change what they ask for, or end with Retract("their own name").

Start with `grl check`, and when a rule does not do what it should, with `grl explain`."#;

#[derive(Parser)]
#[command(name = "grl", version, about = ABOUT, long_about = LONG_ABOUT)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Finds all mistakes in rules, with the line, the piece underlined, and what was expected
    Check {
        /// Rules: GRL, or JSON rules in a file that ends in .json
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        host: HostOptions,
    },
    /// Writes rules the one way; comments stay
    Fmt {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Changes nothing; fails when a file is not written that way
        #[arg(long)]
        check: bool,
    },
    /// Says which rules matched and fired, and of the others what was not true
    Explain {
        file: PathBuf,
        #[command(flatten)]
        options: RunOptions,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Runs rules over facts, as Grule would, and prints what came of it as JSON
    Run {
        file: PathBuf,
        #[command(flatten)]
        options: RunOptions,
        /// Lists the rules that match, and fires none
        #[arg(long = "match")]
        matching: bool,
    },
}

#[derive(Args)]
struct HostOptions {
    /// A function that the rules' host offers, such as "Drop(text)" or "Emit(text, any?)"; may be repeated.
    /// Kinds: text, number, whole, boolean, time, texts, any; those with ? can be left out. When rules are run, the
    /// calls are shown and give nil
    #[arg(long = "function", value_name = "NAME(KINDS)", value_parser = input::function)]
    functions: Vec<Function>,
    /// The actions of EventRunner's rules: Drop, Route, Emit, Tag, SetExtension, DeadLetter
    #[arg(long)]
    eventrunner: bool,
}

// === impl HostOptions ===

impl HostOptions {
    fn functions(self) -> Functions {
        let mut all = if self.eventrunner { Functions::eventrunner().list().to_vec() } else { Vec::new() };
        all.extend(self.functions);
        Functions::of(all)
    }
}

#[derive(Args)]
struct RunOptions {
    #[command(flatten)]
    host: HostOptions,
    /// A JSON object with a key for each fact
    #[arg(long)]
    facts: PathBuf,
    /// An error in a condition ends the run, instead of the rule not matching
    #[arg(long)]
    strict: bool,
    /// How often rules may fire
    #[arg(long, default_value_t = grl::limits::CYCLES_MAX)]
    max_cycle: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        Command::Check { files, host } => commands::check(&files, host),
        Command::Fmt { files, check } => commands::fmt(&files, check),
        Command::Explain { file, options, json } => commands::explain(&file, options, json),
        Command::Run { file, options, matching } => commands::run(&file, options, matching),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("grl: {message}");
            ExitCode::from(2)
        }
    }
}
