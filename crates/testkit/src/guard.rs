//! Ends a lattice when whoever started it is gone, however that came about: a panic, Ctrl-C, SIGKILL.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::Context as _;

/// Reads until the other end is closed, which the kernel does for a process that dies.
const SCRIPT: &str = r#"
cat >/dev/null
"$ER_GUARD_LATTICE" down --dir "$ER_GUARD_DIR/lattice" >"$ER_GUARD_DIR/down.log" 2>&1 ||
	kill -9 "$(cat "$ER_GUARD_DIR/lattice/lock")"
for process in /proc/[0-9]*; do
	pid=${process#/proc/}
	[ "$pid" = "$$" ] && continue
	case "$(readlink "$process/exe") $(tr '\0' ' ' <"$process/cmdline")" in
	"$ER_GUARD_DIR"/* | *" $ER_GUARD_DIR/"*) kill -9 "$pid" ;;
	esac
done 2>/dev/null
if [ -e "$ER_GUARD_DIR/failed" ]; then
	mkdir -p "$ER_GUARD_LOGS"
	cp "$ER_GUARD_DIR"/*.log "$ER_GUARD_DIR"/lattice/*.log "$ER_GUARD_DIR"/lattice/lattice.json "$ER_GUARD_LOGS" 2>/dev/null
fi
rm -rf "$ER_GUARD_DIR"
"#;

#[derive(Debug)]
pub struct Guard {
    child: Child,
    held: Option<ChildStdin>,
}

// === impl Guard ===

impl Guard {
    /// Watches over what will be started in `dir` (its lattice in `dir/lattice`). The logs of a lattice that is marked
    /// as failed are kept in `logs`.
    pub fn start(lattice: &Path, dir: &Path, logs: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]).env("ER_GUARD_LATTICE", lattice);
        Self::of(command.env("ER_GUARD_DIR", dir).env("ER_GUARD_LOGS", logs))
    }

    /// Watches by a script of its own over what will be started in `dir`, which the script knows as `$1`. It reads its
    /// input to the end before it ends anything.
    pub fn by(script: &str, dir: &Path) -> anyhow::Result<Self> {
        Self::of(Command::new("sh").args(["-c", script, "guard"]).arg(dir))
    }

    fn of(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            // Ctrl-C in a terminal goes to a whole group; this one must outlive it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting a guard")?;
        let held = child.stdin.take();
        Ok(Self { child, held })
    }

    /// Ends what it watches over now, and returns when nothing is left of it.
    pub fn end(&mut self) {
        self.held = None;
        // A guard that can't be waited for has been waited for.
        let _ = self.child.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end();
    }
}

/// The end of a text file, for a message about what it belongs to.
pub fn tail(path: &Path, bytes: usize) -> String {
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text));
    match read {
        Ok(_) => String::from_utf8_lossy(text.get(text.len().saturating_sub(bytes)..).unwrap_or_default()).into_owned(),
        Err(error) => format!("{}: {error}", path.display()),
    }
}
