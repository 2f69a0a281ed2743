//! The interfaces that the API imports are those of `wit/`, but that each call can also fail to reach anybody: the host
//! ends whoever calls in vain, unless the result has room for that (`wrpc:rpc`).

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const MEND: &str = "UPDATE=1 cargo test --release --locked -p er-api interfaces";

/// Everything from the comment over `head` to the brace that ends it.
fn block(wit: &str, head: &str) -> Option<String> {
    let lines: Vec<&str> = wit.lines().collect();
    let at = lines.iter().position(|line| *line == head)?;
    let from = (0..at).rev().take_while(|line| lines[*line].starts_with("///")).last().unwrap_or(at);
    let to = at + lines[at..].iter().position(|line| *line == "}")?;
    Some(lines[from..=to].join("\n"))
}

/// With the one more way for each call to fail.
fn reachable(interface: &str) -> String {
    let mut text = String::new();
    for line in interface.lines() {
        let failing =
            line.split_once("-> result<").and_then(|(call, rest)| Some((call, rest.strip_suffix(", fault>;")?)));
        let _infallible = match failing {
            Some((call, ok)) => writeln!(text, "{call}-> result<result<{ok}, fault>, rpc-error>;"),
            None => writeln!(text, "{line}"),
        };
        if line.starts_with("  use types.") {
            text.push_str("  use wrpc:rpc/error@0.1.0.{error as rpc-error};\n");
        }
    }
    text
}

#[test]
fn the_interfaces_are_those_of_all_parts() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(here.join("../../wit")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let all: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let world = block(&all, "world api-component {").unwrap();
    let imports: Vec<&str> =
        world.lines().filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';')).collect();
    assert!(imports.contains(&"policy"), "{world}");

    let mut made = String::from(
        "// Made of wit/ by components/api/src/tests/interfaces.rs: each call may also reach nobody.\n\
         package eventrunner:platform@0.1.0;\n\n",
    );
    made.push_str(&block(&all, "interface types {").unwrap());
    made.push('\n');
    for name in imports {
        let interface = block(&all, &format!("interface {name} {{")).unwrap_or_else(|| panic!("no interface {name}"));
        made.push('\n');
        made.push_str(&reachable(&interface));
    }
    made.push('\n');
    made.push_str(&world);
    made.push('\n');
    assert!(!made.contains(", fault>;"), "a call that can't fail to reach anybody:\n{made}");

    let path = here.join("wit/platform.wit");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), made, "{} is old; mend it with: {MEND}", path.display());
}
