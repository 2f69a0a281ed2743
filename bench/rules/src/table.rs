//! What is shown and what is kept: tables for people, a line of JSON a comparison for machines.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{json, Value};

use crate::clock::Middle;
use crate::facts::EVENTS;
use crate::suite::{Cell, Peer};

/// Runs that lie further apart say little.
const SPREAD_PERCENT_MAX: f64 = 20.0;

/// Microseconds in three digits.
pub fn micros(us: f64) -> String {
    let digits = match us {
        us if us < 10.0 => 2,
        us if us < 100.0 => 1,
        _ => 0,
    };
    grouped(&format!("{us:.digits$}"))
}

/// With thousands apart.
fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let mut out = String::new();
    for (index, digit) in number.char_indices() {
        if index > 0 && index < whole && (whole - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn times(peer: Option<f64>, ours: f64) -> String {
    peer.map_or("-".into(), |peer| format!("{}x", micros(peer / ours)))
}

fn shown(middle: Middle) -> String {
    let unsure = if middle.spread_percent > SPREAD_PERCENT_MAX { "~" } else { "" };
    format!("{unsure}{}", micros(middle.median))
}

/// Microseconds per event.
pub fn event_us(peer: &Peer) -> Option<f64> {
    peer.as_ref().ok().map(|figures| figures.event.median)
}

pub fn load_us(peer: &Peer) -> Option<f64> {
    peer.as_ref().ok().map(|figures| figures.load.median)
}

pub fn print(cells: &[Cell], small_call: Middle) {
    events(cells);
    loads(cells);
    sets(cells, small_call);
    reasons(cells);
}

fn events(cells: &[Cell]) {
    println!("\nµs of CPU per event; how many times faster than Grule with the same JSON");
    println!(
        "{:<28} {:>6} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "case", "bytes", "Grule", "rust-runes", "grl", "er-rules", "in Wasm", "grl", "er-rules", "in Wasm"
    );
    for cell in cells {
        let peer = |peer: &Peer| peer.as_ref().map_or("-".into(), |figures| shown(figures.event));
        let ours = [cell.language.event, cell.platform.event, cell.wasm];
        print!("{:<28} {:>6} {:>10} {:>10}", cell.name, cell.event_bytes, peer(&cell.grule), peer(&cell.runes));
        let gains = |grule: Option<f64>| ours.map(|ours| format!(" {:>9}", times(grule, ours.median))).concat();
        println!("{}{}", ours.map(|ours| format!(" {:>9}", shown(ours))).concat(), gains(event_us(&cell.grule)));
        if let Some(own) = &cell.grule_struct {
            let place = "  Grule with its Go struct";
            println!("{place:<28} {:>6} {:>10} {:>40} {}", "", peer(own), "", gains(event_us(own)));
        }
    }
    println!("~ runs lie more than {SPREAD_PERCENT_MAX:.0} % apart");
}

fn loads(cells: &[Cell]) {
    println!("\nms of CPU from the text to a set that can be run");
    println!(
        "{:<28} {:>10} {:>10} {:>9} {:>9} {:>9} {:>12}",
        "case", "Grule", "rust-runes", "grl", "er-rules", "grl", "ns per rule"
    );
    let ms = |us: f64| micros(us / 1e3);
    for cell in cells {
        let peer = |peer: &Peer| load_us(peer).map_or("-".into(), ms);
        let ours = cell.language.load.median;
        println!(
            "{:<28} {:>10} {:>10} {:>9} {:>9} {:>9} {:>12}",
            cell.name,
            peer(&cell.grule),
            peer(&cell.runes),
            ms(ours),
            ms(cell.platform.load.median),
            times(load_us(&cell.grule), ours),
            grouped(&format!("{:.0}", ours * 1e3 / cell.rules as f64)),
        );
    }
}

fn sets(cells: &[Cell], small_call: Middle) {
    println!("\nµs of CPU per call to bring the set into an instance, beyond the {} of any call", shown(small_call));
    println!(
        "{:<28} {:>10} {:>10} {:>9} {:>16} {:>16}",
        "case", "compiled B", "stored B", "in Wasm", "unpack, natively", "open, natively"
    );
    for cell in cells {
        let set = &cell.set;
        println!(
            "{:<28} {:>10} {:>10} {:>9} {:>16} {:>16}",
            cell.name,
            grouped(&set.compiled_bytes.to_string()),
            grouped(&set.stored_chars.to_string()),
            shown(set.in_wasm),
            shown(set.unpack),
            shown(set.open)
        );
    }
}

fn reasons(cells: &[Cell]) {
    let mut said: Vec<(&str, &String)> = Vec::new();
    for cell in cells {
        for (name, peer) in
            [("Grule", Some(&cell.grule)), ("Grule", cell.grule_struct.as_ref()), ("rust-runes", Some(&cell.runes))]
        {
            if let Some(Err(reason)) = peer {
                if !said.contains(&(name, reason)) {
                    println!("- {name}, {}: {reason}", cell.name);
                    said.push((name, reason));
                }
            }
        }
    }
}

/// Gives how many lines there were.
pub fn append(path: &Path, commit: &str, cells: &[Cell]) -> anyhow::Result<usize> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))?;
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut count = 0;
    for mut line in cells.iter().flat_map(lines) {
        if let Value::Object(line) = &mut line {
            line.insert("time_s".into(), json!(now_s));
            line.insert("commit".into(), json!(commit));
        }
        writeln!(file, "{line}")?;
        count += 1;
    }
    Ok(count)
}

fn lines(cell: &Cell) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut peers = vec![("grule", &cell.grule), ("rust-runes", &cell.runes)];
    peers.extend(cell.grule_struct.as_ref().map(|own| ("grule, Go struct", own)));
    for (name, peer) in peers {
        let spread = peer.as_ref().map_or(0.0, |figures| figures.event.spread_percent);
        for (bench, ours) in
            [("rules-native", cell.language.event), ("rules-platform", cell.platform.event), ("rules-wasm", cell.wasm)]
        {
            let detail = json!({
                "spread_percent": [rounded(ours.spread_percent), rounded(spread)],
                "event_bytes": cell.event_bytes,
                "batch_events": if bench == "rules-wasm" { EVENTS } else { 1 },
            });
            lines.push(line(bench, cell, ours.median, "µs/event", name, (event_us(peer), peer), detail));
        }
        let load = cell.language.load;
        let detail = json!({ "spread_percent": rounded(load.spread_percent), "platform_us": rounded(cell.platform.load.median) });
        lines.push(line("rules-load", cell, load.median, "µs/set", name, (load_us(peer), peer), detail));
    }
    let set = &cell.set;
    let detail = json!({
        "spread_percent": rounded(set.in_wasm.spread_percent),
        "compiled_bytes": set.compiled_bytes,
        "stored_bytes": set.stored_chars,
        "native_unpack_us": rounded(set.unpack.median),
        "native_open_us": rounded(set.open.median),
    });
    let none = Err("no peer has such a thing".to_owned());
    lines.push(line("rules-open", cell, set.in_wasm.median, "µs/batch", "", (None, &none), detail));
    lines
}

fn line(
    bench: &str,
    cell: &Cell,
    ours: f64,
    unit: &str,
    peer_name: &str,
    (peer, why): (Option<f64>, &Peer),
    detail: Value,
) -> Value {
    json!({
        "bench": bench,
        "case": cell.name,
        "ours": rounded(ours),
        "peer": peer.map(rounded),
        "ratio": peer.filter(|peer| *peer > 0.0).map(|peer| rounded(ours / peer)),
        "unit": unit,
        "peer_name": peer_name,
        "no_peer": why.as_ref().err(),
        "rules": cell.rules,
        "detail": detail,
    })
}

/// Four digits are more than a bench knows.
fn rounded(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let scale = 10_f64.powf(3.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([1_234_567.8, 99.94, 0.254].map(micros), ["1,234,568", "99.9", "0.25"]);
        assert_eq!([123_456.0, 0.0, 0.012_345].map(rounded), [123_500.0, 0.0, 0.012_35]);
    }
}
