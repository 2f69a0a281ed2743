//! Bundles for tests: the platform's own, and ones made from a few lines of Rego.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use er_policy::{Bundle, Compiled, Error, Evaluator, Limits};
use serde_json::Value;

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `opa` as the scripts find it.
pub fn opa() -> Command {
    let mut command = Command::new("opa");
    let cache = std::env::var("ER_CACHE").unwrap_or_else(|_| format!("{}/.cache/eventrunner", env!("HOME")));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{cache}/bin:{path}"));
    command
}

/// The platform's bundle, built when it is not there or old.
pub fn platform() -> &'static Bundle {
    static BUNDLE: OnceLock<Bundle> = OnceLock::new();
    BUNDLE.get_or_init(|| {
        let built = Command::new(root().join("scripts/build-policies")).output().unwrap();
        assert!(built.status.success(), "scripts/build-policies: {}", String::from_utf8_lossy(&built.stderr));
        let packed = std::fs::read(root().join("build/policies.tar.gz")).unwrap();
        Bundle::read(&packed, &Limits::default()).unwrap()
    })
}

/// The platform's bundle with the tenants and users of the vectors.
pub fn platform_data() -> Value {
    let mut data = platform().data.clone();
    let fixture: Value = read("policies/vectors/platform.json");
    for (key, value) in fixture["platform"].as_object().unwrap() {
        data["platform"][key] = value.clone();
    }
    data
}

pub fn read(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root().join(path)).unwrap()).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub fn evaluator(limits: Limits) -> Evaluator {
    let evaluator = Evaluator::default();
    evaluator.activate(Compiled::new(platform(), limits).unwrap().with_data(platform_data()).unwrap());
    evaluator
}

/// What `opa build` makes of a policy. `decision` is its entry point, below `package eventrunner`.
pub fn pack(rego: &str, data: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("policy.rego"), format!("package eventrunner\n\n{rego}\n")).unwrap();
    std::fs::write(dir.path().join("data.json"), data).unwrap();
    let built = opa()
        .current_dir(dir.path())
        .args(["build", "--target", "wasm", "--entrypoint", "eventrunner/decision", "--output", "out.tar.gz"])
        .args(["policy.rego", "data.json"])
        .output()
        .unwrap();
    assert!(built.status.success(), "opa build: {}", String::from_utf8_lossy(&built.stderr));
    std::fs::read(dir.path().join("out.tar.gz")).unwrap()
}

/// A policy that denies, and answers a question of kind `trial` with `decision`.
pub fn trial(decision: &str) -> Evaluator {
    trial_within(decision, Limits::default()).unwrap()
}

pub fn trial_within(decision: &str, limits: Limits) -> Result<Evaluator, Error> {
    let denied = r#"decision := {"allow": false, "reason": "no"} if not input.kind == "trial""#;
    let packed = pack(&format!("{denied}\n\n{decision}"), "{}");
    let bundle = Bundle::read(&packed, &limits)?;
    let evaluator = Evaluator::default();
    evaluator.activate(Compiled::new(&bundle, limits)?.with_data(bundle.data)?);
    Ok(evaluator)
}

/// Every vector: group, name, question, and the answer that is expected.
pub fn vectors() -> Vec<(String, String, Value, Value)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root().join("policies/vectors")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let group = name.strip_suffix(".json").unwrap().to_owned();
        if group == "platform" {
            continue;
        }
        for case in read(&format!("policies/vectors/{name}"))[&group].as_array().unwrap() {
            let name = case["name"].as_str().unwrap().to_owned();
            all.push((group.clone(), name, case["input"].clone(), case["decision"].clone()));
        }
    }
    assert!(all.len() > 100, "{} vectors", all.len());
    all
}
