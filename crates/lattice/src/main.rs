//! `er-lattice`: a whole wasmCloud lattice on one machine, in one binary.

mod bounded;
mod bucket;
mod host;
mod keys;
mod nats;
mod pace;
mod par;
mod part;
mod plan;
mod process;
mod ready;
mod refs;
mod state;
mod supervise;
mod unpacked;
mod up;
mod wadm;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A whole wasmCloud lattice on one machine: NATS with JetStream, a gate, wadm, and three hosts.
///
/// `er-lattice up` starts them as children, restarts whichever dies, and prints `ready` once all of
/// them answer. The `platform` host (label eventrunner.role=platform) runs the platform's own
/// providers and components; the `tenant` host (eventrunner.role=tenant) runs tenants' code under
/// tighter limits; and the `probation` host (eventrunner.role=probation) runs that of it which is new
/// or did harm, and steps behind the others where the machine is busy. Whatever changes the lattice
/// passes the gate (`er-gate`), which asks the policy. Deploy with `wash app deploy`, or anything else
/// that speaks wadm.
#[derive(Parser)]
#[command(name = "er-lattice", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a lattice in the foreground until SIGINT, SIGTERM or `er-lattice down`
    Up(plan::UpArgs),
    /// Stop the lattice of a directory and wait until all of it is gone
    Down(DirArgs),
    /// Show which processes the lattice of a directory consists of (exit status 3 if it is down)
    Status(DirArgs),
    /// Pack a provider's binary into the signed archive that hosts load
    Par(par::ParArgs),
    #[command(hide = true)]
    Host(host::HostArgs),
    #[command(hide = true)]
    Wadm(wadm::WadmArgs),
    #[command(hide = true)]
    ExecChild(process::ExecChildArgs),
}

#[derive(clap::Args)]
struct DirArgs {
    /// Directory the lattice keeps its data, logs and state in
    #[arg(long, default_value = plan::DEFAULT_DIR)]
    dir: PathBuf,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Up(args) => up::run(args),
        Command::Down(args) => up::down(&args.dir),
        Command::Status(args) => state::print_status(&args.dir),
        Command::Par(args) => par::run(&args),
        Command::Host(args) => host::run(&args),
        Command::Wadm(args) => wadm::run(&args),
        Command::ExecChild(args) => process::exec_child(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
