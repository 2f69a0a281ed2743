//! Processes: bound to their parent, signalled by group, and found again when orphaned.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{kill, killpg, Signal};
use nix::unistd::{getppid, Pid};

use crate::bounded;
use crate::plan::scratch_root;

/// Tells a child whose child it is.
const SUPERVISOR_ENV: &str = "ER_LATTICE_SUPERVISOR";
/// A log that grew past this is moved aside.
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Between two looks at it.
const LOG_LOOK: Duration = Duration::from_secs(1);

/// How much of what a process says is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    All,
    /// No more than the log can bear: it runs code of others.
    Bounded,
}

#[derive(clap::Args)]
pub struct ExecChildArgs {
    /// The program and its arguments
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes another program that is told to stop when the supervisor dies.
pub fn exec_child(args: &ExecChildArgs) -> anyhow::Result<ExitCode> {
    bind_to_parent()?;
    let [program, rest @ ..] = args.command.as_slice() else {
        anyhow::bail!("no program to run");
    };
    let error = Command::new(program).args(rest).exec();
    Err(error).with_context(|| {
        format!(
            "can't run {}; `scripts/setup` and `scripts/build-providers` bring in all that is run",
            program.to_string_lossy()
        )
    })
}

/// The kernel sends this process SIGTERM when its supervisor dies, however that comes about.
pub fn bind_to_parent() -> anyhow::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).context("can't bind to the parent process")?;
    // It may have died before the kernel was told.
    anyhow::ensure!(!orphaned(), "the supervisor is gone");
    Ok(())
}

/// True once the supervisor is gone. Asking for parent 1 would not do: in a container it is 1 itself.
pub fn orphaned() -> bool {
    std::env::var(SUPERVISOR_ENV).is_ok_and(|pid| pid != getppid().to_string())
}

/// Starts a child in a process group of its own, so that a Ctrl-C reaches the supervisor alone and
/// the providers a host starts can be found by their group when the host is gone.
pub fn spawn(mut command: Command, log: &Path, said: Said) -> anyhow::Result<tokio::process::Child> {
    let log = open_log(log)?;
    let [out, errors] = match said {
        Said::All => [Stdio::from(log.try_clone().context("can't share a log file")?), Stdio::from(log)],
        Said::Bounded => {
            let (reader, writer) = std::io::pipe().context("no pipe for a log")?;
            thread::Builder::new().name("log".to_owned()).spawn(move || bounded::pour(reader, log))?;
            [Stdio::from(writer.try_clone().context("can't share a pipe")?), Stdio::from(writer)]
        }
    };
    command
        .env(SUPERVISOR_ENV, std::process::id().to_string())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(errors);
    let name = command.get_program().to_string_lossy().into_owned();
    tokio::process::Command::from(command).spawn().with_context(|| format!("can't start {name}"))
}

fn open_log(path: &Path) -> anyhow::Result<File> {
    trim_log(path, LOG_MAX_BYTES).with_context(|| format!("can't move {} aside", path.display()))?;
    File::options().append(true).create(true).open(path).with_context(|| format!("can't open {}", path.display()))
}

/// Keeps a log from filling the disk, for as long as this is polled.
pub async fn keep_log_small(path: PathBuf) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(LOG_LOOK).await;
        let log = path.clone();
        let trimmed = tokio::task::spawn_blocking(move || trim_log(&log, LOG_MAX_BYTES)).await;
        if let Ok(Err(error)) = trimmed {
            eprintln!("{} can't be moved aside: {error}", path.display());
        }
    }
}

/// Copies a log that is too large to `<log>.1` and empties it. It can't be renamed, since whoever writes has it open; they
/// append, so that they go on at its new end. What is written between copy and cut is lost.
fn trim_log(path: &Path, bytes_max: u64) -> std::io::Result<()> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > bytes_max => {}
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => return Ok(()),
    }
    std::fs::copy(path, path.with_extension("log.1"))?;
    File::options().write(true).open(path)?.set_len(0)
}

pub fn terminate(pid: u32) {
    signal(pid, Signal::SIGTERM);
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        // It may have gone by itself in the meantime, which is as good.
        let _ = kill(pid, signal);
    }
}

/// Kills whatever is left of a child's process group.
pub fn kill_group(leader: u32) {
    if let Some(group) = to_pid(leader) {
        let _ = killpg(group, Signal::SIGKILL);
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    // 0 and 1 mean «my own group» and «everybody» to the kernel.
    i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// Resident memory of a process.
pub fn rss_kib(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Ends what an earlier lattice of this directory left behind when its supervisor was killed:
/// its hosts drain by themselves, but a host killed along with it leaves its providers.
pub fn sweep(dir: &Path) -> usize {
    let left = leftovers(dir);
    for pid in &left {
        terminate(*pid);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline && !leftovers(dir).is_empty() {
        std::thread::sleep(Duration::from_millis(50));
    }
    for pid in leftovers(dir) {
        signal(pid, Signal::SIGKILL);
    }
    left.len()
}

fn leftovers(dir: &Path) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id() && is_leftover(*pid, dir))
        .collect()
}

fn is_leftover(pid: u32, dir: &Path) -> bool {
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    if exe.starts_with(scratch_root(dir)) {
        return true; // a provider, unpacked by one of our hosts
    }
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    belongs_to(dir, &arguments)
}

/// A host or wadm of this directory (`er-lattice host --dir DIR`), its gate (`er-gate run --dir DIR`), or its NATS
/// (`-c DIR/nats.conf`).
fn belongs_to(dir: &Path, cmdline: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let arguments: Vec<PathBuf> =
        cmdline.split(|byte| *byte == 0).map(|argument| PathBuf::from(std::ffi::OsStr::from_bytes(argument))).collect();
    match arguments.as_slice() {
        [_, command, flag, value, ..] if flag == Path::new("--dir") => {
            value == dir && ["host", "wadm", "run"].iter().any(|own| command == Path::new(own))
        }
        [_, flag, value, ..] if flag == Path::new("-c") => *value == dir.join("nats.conf"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_processes_of_the_directory_are_swept() {
        let dir = Path::new("/srv/er");
        for ours in [
            &b"er-lattice\0host\0--dir\0/srv/er\0--role\0tenant\0"[..],
            b"/x/er-lattice\0wadm\0--dir\0/srv/er\0",
            b"/x/er-gate\0run\0--dir\0/srv/er\0--lattice\0default\0",
            b"nats-server\0-c\0/srv/er/nats.conf\0",
        ] {
            assert!(belongs_to(dir, ours), "{}", String::from_utf8_lossy(ours));
        }
        for other in [
            &b""[..],
            b"er-lattice\0up\0--dir\0/srv/er\0",
            b"er-lattice\0host\0--dir\0/srv/er2\0",
            b"nats-server\0-c\0/etc/nats.conf\0",
            b"vim\0/srv/er/nats.conf\0",
        ] {
            assert!(!belongs_to(dir, other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn no_signal_goes_to_everybody() {
        assert_eq!(to_pid(0), None);
        assert_eq!(to_pid(1), None);
        assert_eq!(to_pid(u32::MAX), None);
        assert_eq!(to_pid(2), Some(Pid::from_raw(2)));
    }

    #[test]
    fn a_log_that_is_too_large_is_moved_aside_under_its_writer() {
        use std::io::Write as _;
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("tenant.log");
        trim_log(&log, 4).unwrap();
        let mut writer = File::options().append(true).create(true).open(&log).unwrap();
        writer.write_all(b"four").unwrap();
        trim_log(&log, 4).unwrap();
        assert_eq!(std::fs::read(&log).unwrap(), b"four");
        writer.write_all(b" more").unwrap();
        trim_log(&log, 4).unwrap();
        writer.write_all(b"next").unwrap();
        assert_eq!(std::fs::read(&log).unwrap(), b"next");
        assert_eq!(std::fs::read(dir.path().join("tenant.log.1")).unwrap(), b"four more");
    }

    #[test]
    fn this_process_has_memory() {
        assert!(rss_kib(std::process::id()).unwrap() > 100);
    }
}
