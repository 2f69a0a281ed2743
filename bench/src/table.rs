//! What is shown and what is kept: a table for people, a line of JSON a case for machines.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{json, Map, Value};

use crate::procs::Used;

/// More of the machine than this in other hands than the benched processes' is worth a word.
const OTHERS_PERCENT_MAX: f64 = 10.0;

/// One measured case.
#[derive(Debug, Clone)]
pub struct Row {
    pub bench: &'static str,
    pub case: String,
    pub ours: Option<f64>,
    pub peer: Option<f64>,
    pub unit: &'static str,
    pub durability: String,
    /// What a person needs beside the numbers.
    pub note: String,
    pub detail: Value,
}

/// Columns of CPU time by process.
#[derive(Debug, Default)]
pub struct CpuTable {
    columns: Vec<(String, f64, Used)>,
}

// === impl Row ===

impl Row {
    pub fn ratio(&self) -> Option<f64> {
        Some(self.ours? / self.peer.filter(|peer| *peer > 0.0)?)
    }

    fn json(&self, run: &Map<String, Value>) -> Value {
        let mut line = run.clone();
        line.insert("bench".into(), self.bench.into());
        line.insert("case".into(), self.case.clone().into());
        line.insert("ours".into(), json!(self.ours.map(rounded)));
        line.insert("peer".into(), json!(self.peer.map(rounded)));
        line.insert("ratio".into(), json!(self.ratio().map(rounded)));
        line.insert("unit".into(), self.unit.into());
        line.insert("durability".into(), self.durability.clone().into());
        line.insert("detail".into(), self.detail.clone());
        Value::Object(line)
    }
}

/// Four digits are more than a bench knows.
pub fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

pub fn print(rows: &[Row]) {
    println!("\n{:<16} {:<26} {:>11} {:>11} {:>7}  unit", "bench", "case", "ours", "peer", "ratio");
    for row in rows {
        println!(
            "{:<16} {:<26} {:>11} {:>11} {:>7}  {:<11} {}",
            row.bench,
            row.case,
            row.ours.map_or("-".into(), number),
            row.peer.map_or("-".into(), number),
            row.ratio().map_or("-".into(), |ratio| format!("{ratio:.2}")),
            row.unit,
            row.note
        );
    }
    println!("\ndurability");
    let mut said: Vec<(&str, &str)> = Vec::new();
    for row in rows {
        let pair = (row.bench, row.durability.as_str());
        if !row.durability.is_empty() && !said.contains(&pair) {
            println!("  {:<16} {}", row.bench, row.durability);
            said.push(pair);
        }
    }
}

/// With thousands apart, and decimals only where they say something.
pub fn number(value: f64) -> String {
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub fn append(path: &Path, run: &Map<String, Value>, rows: &[Row]) -> anyhow::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))?;
    for row in rows {
        writeln!(file, "{}", row.json(run))?;
    }
    Ok(())
}

// === impl CpuTable ===

impl CpuTable {
    pub fn push(&mut self, column: impl Into<String>, events: u64, used: &Used) {
        if used.others_percent() > OTHERS_PERCENT_MAX {
            eprintln!(
                "  the kernel and others had {:.0} % of this machine: alone it would have been faster",
                used.others_percent()
            );
        }
        self.columns.push((column.into(), events.max(1) as f64, used.clone()));
    }

    pub fn print(&self) {
        let mut names: Vec<&str> = Vec::new();
        for (_, _, used) in &self.columns {
            names.extend(
                used.each
                    .iter()
                    .map(|used| used.name.as_str())
                    .filter(|name| !names.contains(name))
                    .collect::<Vec<_>>(),
            );
        }
        self.block("µs of CPU per event", &names, |used, name| {
            used.each.iter().find(|used| used.name == name).map(|used| used.cpu_us)
        });
        let line = |name: &str, value: &dyn Fn(&Used) -> f64| {
            let values = self.columns.iter().map(|(_, events, used)| format!(" {:>13.2}", value(used) / events));
            println!("  {name:<20}{}", values.collect::<String>());
        };
        line("= all of these", &Used::cpu_us);
        line("kernel, neighbours", &|used| used.others_cpu_us);
        line("stolen by the host", &|used| used.stolen_us);
        let percent = self.columns.iter().map(|(_, _, used)| format!(" {:>12.0}%", used.others_percent()));
        println!("  {:<20}{}", "these two, of all", percent.collect::<String>());
        self.block("bytes written per event", &names, |used, name| {
            used.each.iter().find(|used| used.name == name).map(|used| used.written_bytes)
        });
    }

    fn block(&self, title: &str, names: &[&str], value: impl Fn(&Used, &str) -> Option<f64>) {
        let heads = self.columns.iter().map(|(name, _, _)| format!(" {name:>13}"));
        println!("\n{title:<22}{}", heads.collect::<String>());
        for name in names {
            let all: f64 = self.columns.iter().filter_map(|(_, _, used)| value(used, name)).sum();
            if all == 0.0 {
                continue;
            }
            let values = self.columns.iter().map(|(_, events, used)| {
                value(used, name).map_or_else(|| format!(" {:>13}", "-"), |value| format!(" {:>13.2}", value / events))
            });
            println!("  {name:<20}{}", values.collect::<String>());
        }
    }
}

/// The same as JSON: microseconds and bytes per event by process.
pub fn used_json(used: &Used, events: u64) -> Value {
    let events = events.max(1) as f64;
    let by = |value: &dyn Fn(&crate::procs::UsedBy) -> f64| -> Map<String, Value> {
        used.each.iter().map(|each| (each.name.clone(), json!(rounded(value(each) / events)))).collect()
    };
    json!({
        "cpu_us_per_event": by(&|each| each.cpu_us),
        "written_bytes_per_event": by(&|each| each.written_bytes),
        "others_cpu_us_per_event": rounded(used.others_cpu_us / events),
        "stolen_us_per_event": rounded(used.stolen_us / events),
        "others_percent_of_machine": rounded(used.others_percent()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([1_234_567.8, 999.4, 99.94, 0.25].map(number), ["1,234,568", "999", "99.9", "0.2"]);
        assert_eq!([123_456.0, 0.0, 0.012_345].map(rounded), [123_500.0, 0.0, 0.012_35]);
    }
}
