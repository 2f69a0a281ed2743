//! A consumer's lines in the logs of the hosts that it runs on, one after the other.
//!
//! wasmCloud writes what a component logs (`wasi:logging`), and what goes wrong in a call, within a span that names the
//! component: `TIME LEVEL component_invocation{func=handle id=ID instance=…}: TARGET: MESSAGE component_id="ID" …`. What a
//! component prints to stderr has no name on it and belongs to nobody; stdout goes nowhere.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{json, Value};

use crate::Error;

/// How far back a log is read.
const TAIL_BYTES: u64 = 8 << 20;
const LINES_MAX: usize = 1_000;
const MESSAGE_CHARS_MAX: usize = 4_000;
const SPAN: &str = "component_invocation{";
const TARGET: &str = "wasmcloud_host::wasmbus::handler: ";

/// The last lines of a component, oldest first.
pub fn last(logs: &[PathBuf], component_id: &str, limit: usize) -> Result<Vec<Value>, Error> {
    let limit = limit.clamp(1, LINES_MAX);
    let (mut lines, mut missing) = (Vec::new(), Vec::new());
    for log in logs {
        match File::open(log) {
            Ok(file) => lines.extend(last_of(log, file, component_id, limit)?),
            Err(error) => missing.push(format!("{}: {error}", log.display())),
        }
    }
    if missing.len() == logs.len() {
        let missing = missing.join(", ");
        return Err(Error::Away(format!(
            "no log of tenants' hosts is here ({missing}); see the setting `tenant_logs`"
        )));
    }
    // It ran on one host after the other.
    lines.sort_by(|a, b| a["at"].as_str().cmp(&b["at"].as_str()));
    lines.drain(..lines.len().saturating_sub(limit));
    Ok(lines)
}

fn last_of(log: &Path, file: File, component_id: &str, limit: usize) -> Result<Vec<Value>, Error> {
    let text = tail(file)?;
    let mut lines: Vec<Value> = text.lines().rev().filter_map(|line| of(line, component_id)).take(limit).collect();
    // A host's supervisor moves a log aside when it has grown: what was said before lies there.
    if let (true, Ok(before)) = (lines.len() < limit, File::open(log.with_extension("log.1"))) {
        let text = tail(before)?;
        let left = limit - lines.len();
        lines.extend(text.lines().rev().filter_map(|line| of(line, component_id)).take(left));
    }
    lines.reverse();
    Ok(lines)
}

fn tail(mut file: File) -> Result<String, Error> {
    let disk = |e| Error::disk("the log of a tenants' host", &e);
    let bytes = file.metadata().map_err(disk)?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL_BYTES))).map_err(disk)?;
    let mut text = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut text).map_err(disk)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whose a line is stands before anything that a tenant wrote.
fn of(line: &str, component_id: &str) -> Option<Value> {
    let (at, rest) = line.split_once(' ')?;
    let (level, rest) = rest.trim_start().split_once(' ')?;
    let (span, rest) = rest.trim_start().strip_prefix(SPAN)?.split_once('}')?;
    let id = span.split(' ').find_map(|field| field.strip_prefix("id="))?;
    if id.trim_matches('"') != component_id || !at.ends_with('Z') {
        return None;
    }
    let (level, message) = match rest.split_once(TARGET) {
        Some((_, said)) => {
            let end = said.rfind(" component_id=").unwrap_or(said.len());
            let (message, fields) = said.split_at(end);
            let own = fields.split_once(" level=\"").and_then(|(_, level)| level.split_once('"'));
            (own.map_or(level, |(own, _)| own), message)
        }
        None => (level, rest.trim_start_matches([':', ' '])),
    };
    let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    Some(json!({ "at": at, "level": level.to_lowercase(), "message": message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"2026-11-24T14:18:20.831257Z  INFO component_invocation{func=handle id=demo_a-a instance=eventrunner:platform/consumer@0.1.0}:log: wasmcloud_host::wasmbus::handler: high: linters failed component_id="demo_a-a" level="info" context="a"
2026-11-24T14:18:21.059709Z  WARN component_invocation{func=handle id=demo_b-b instance=eventrunner:platform/consumer@0.1.0}:log: wasmcloud_host::wasmbus::handler: mine id=demo_a-a component_id="demo_a-a" component_id="demo_b-b" level="warn" context="b"
2026-11-24T14:18:22.059709Z ERROR component_invocation{func=handle id=demo_a-a instance=eventrunner:platform/consumer@0.1.0}: wasmcloud_host::wasmbus: failed to handle: wasm trap: unreachable
printed by somebody, component_invocation{func=handle id=demo_a-a instance=x}: y
2026-11-24T14:18:23.059709Z ERROR component_invocation{func=handle id=demo_a-a instance=eventrunner:platform/consumer@0.1.0}:log: wasmcloud_host::wasmbus::handler: last component_id="demo_a-a" level="critical" context="a"
"#;

    #[test]
    fn a_consumer_hears_its_own_lines_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("tenant.log");
        std::fs::write(&log, LOG).unwrap();
        let logs = std::slice::from_ref(&log);
        let lines = last(logs, "demo_a-a", 10).unwrap();
        let said: Vec<_> =
            lines.iter().map(|line| (line["level"].as_str().unwrap(), line["message"].as_str().unwrap())).collect();
        let trap = "wasmcloud_host::wasmbus: failed to handle: wasm trap: unreachable";
        assert_eq!(said, [("info", "high: linters failed"), ("error", trap), ("critical", "last")]);
        assert_eq!(last(logs, "demo_a-a", 1).unwrap()[0]["at"], "2026-11-24T14:18:23.059709Z");
        let other = last(logs, "demo_b-b", 10).unwrap();
        assert_eq!(
            (other.len(), other[0]["message"].as_str()),
            (1, Some("mine id=demo_a-a component_id=\"demo_a-a\""))
        );
        assert!(last(logs, "demo_c-c", 10).unwrap().is_empty());
        std::fs::rename(&log, dir.path().join("tenant.log.1")).unwrap();
        std::fs::write(&log, LOG.lines().last().unwrap()).unwrap();
        let said: Vec<_> = last(logs, "demo_a-a", 3).unwrap().iter().map(|line| line["message"].to_string()).collect();
        assert_eq!(said, [&format!("\"{trap}\""), "\"last\"", "\"last\""]);
        assert!(matches!(last(&[dir.path().join("none")], "x", 1), Err(Error::Away(_))));
    }

    #[test]
    fn who_moved_hears_what_it_said_before_and_after() {
        let dir = tempfile::tempdir().unwrap();
        let logs = ["tenant.log", "probation.log", "none.log"].map(|name| dir.path().join(name));
        let lines: Vec<&str> = LOG.lines().filter(|line| line.starts_with("2026")).collect();
        std::fs::write(&logs[0], lines[2..].join("\n")).unwrap();
        std::fs::write(&logs[1], lines[..2].join("\n")).unwrap();
        let at = |limit| -> Vec<String> {
            let lines = last(&logs, "demo_a-a", limit).unwrap();
            lines.iter().map(|line| line["at"].as_str().unwrap()[17..19].to_owned()).collect()
        };
        assert_eq!(at(10), ["20", "22", "23"]);
        assert_eq!(at(2), ["22", "23"]);
    }
}
