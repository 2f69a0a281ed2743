//! Why a component is none that can be deployed: for its owner, with the mend.

use std::time::Duration;

const MIB: u64 = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the component has {bytes} bytes, and at most {} MiB are allowed: {}", max / MIB, slimmer(*interpreted))]
    TooLarge { bytes: u64, max: u64, interpreted: bool },
    #[error("these bytes are not WebAssembly: a component begins with `\\0asm`")]
    NotWasm,
    #[error(
        "this is a core module, not a component: build for wasm32-wasip2, or make one of it with `wasm-tools component new` \
         (`jco new`) and the preview1 adapter"
    )]
    CoreModule,
    #[error("the component is not valid: {0}")]
    Broken(String),
    #[error(
        "the component does not export `{wanted}`; it exports {}: build it against the world `consumer-component`",
        list(found)
    )]
    NoConsumer { wanted: &'static str, found: Vec<String> },
    #[error(
        "`{function}` of `{interface}` is `{found}` here, and must be `{wanted}`: build it against the platform's wit/"
    )]
    WrongType { interface: String, function: String, found: String, wanted: &'static str },
    #[error("it imports `{found}`, and the platform has `{wanted}`: build it against the platform's wit/")]
    WrongVersion { found: String, wanted: &'static str },
    #[error("it imports what a tenant's code may not have: {}; it gets events, and may emit, log, and ask for clock and chance", list(.0))]
    Imports(Vec<String>),
    #[error("its strings are in {0}, and only UTF-8 is taken: leave the option string-encoding at utf8")]
    Strings(&'static str),
    #[error("it has {found} core instances, and our hosts take {max}: link its modules into fewer")]
    CoreInstances { found: usize, max: usize },
    #[error("it is signed, and the signature does not hold: {0}; sign it again after the last change, or not at all")]
    Signature(String),
    #[error("it can't be compiled: {0}")]
    Compile(String),
    #[error("it can't be started: {0}")]
    Link(String),
    #[error("in a trial {call} took more than {} million instructions: it loops, or does too much at its start", fuel / 1_000_000)]
    Loops { call: &'static str, fuel: u64 },
    #[error("in a trial {call} had no answer after {} s", after.as_secs())]
    Slow { call: &'static str, after: Duration },
    #[error("in a trial {call} wanted more than {mib} MiB of memory")]
    Memory { call: &'static str, mib: usize },
    #[error("in a trial {call} trapped: {reason}")]
    Trapped { call: &'static str, reason: String },
}

fn slimmer(interpreted: bool) -> &'static str {
    if interpreted {
        "bring fewer packages along"
    } else {
        "build it with optimisation and without debug information"
    }
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.is_empty() {
        text.push_str("nothing");
    } else if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
