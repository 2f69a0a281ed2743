//! Compiles `deploy/proto`, without protoc.

use std::path::PathBuf;

use anyhow::Context as _;

const PROTOS: &str = "../../deploy/proto";

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed={PROTOS}");
    let mut compiler = protox::Compiler::new([PROTOS])?;
    compiler.include_imports(true).include_source_info(true).open_file("eventrunner/v1/ingest.proto")?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR is not set: cargo runs this")?);
    std::fs::write(out.join("descriptor.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .build_transport(false)
        // One order of attributes, whichever way a client sent them.
        .btree_map(".")
        .codec_path("crate::codec::Codec")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
