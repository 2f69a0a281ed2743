//! Generated from `wit/`: the interface this provider exports.
#![allow(clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::expect_used, dead_code, missing_docs)]

wit_bindgen_wrpc::generate!({
    path: "../../wit",
    world: "control-provider",
});
