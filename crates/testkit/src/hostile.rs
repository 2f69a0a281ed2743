//! Components that no compiler would make: core modules in text (`tests/hostile/wat`), lifted by the platform's WIT or
//! by a world of their own.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use wit_component::{embed_component_metadata, ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

use crate::platform::root;

/// Makes `<images>/<name>.wasm` of `tests/hostile/wat/<name>.wat`.
pub(crate) fn assemble(name: &str, images: &Path) -> anyhow::Result<std::path::PathBuf> {
    let bytes = component(name).with_context(|| format!("tests/hostile/wat/{name}.wat"))?;
    fs::create_dir_all(images).with_context(|| format!("making {}", images.display()))?;
    let file = images.join(format!("{name}.wasm"));
    fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))?;
    Ok(file)
}

fn component(name: &str) -> anyhow::Result<Vec<u8>> {
    let folder = root().join("tests/hostile/wat");
    let mut module = wat::parse_file(folder.join(format!("{name}.wat")))?;
    let own = folder.join(format!("{name}.wit"));
    let mut resolve = Resolve::default();
    let world = if own.exists() {
        let text = fs::read_to_string(&own)?;
        // One that says for itself what the platform's interfaces are does not get ours beside its own.
        if !text.starts_with("package eventrunner:platform") {
            resolve.push_dir(root().join("wit"))?;
        }
        let package = resolve.push_str(&own, &text)?;
        resolve.select_world(&[package], Some(name))?
    } else {
        let (package, _) = resolve.push_dir(root().join("wit"))?;
        resolve.select_world(&[package], Some("consumer-component"))?
    };
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_a_component() {
        for entry in fs::read_dir(root().join("tests/hostile/wat")).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "wat") {
                let name = path.file_stem().unwrap().to_str().unwrap();
                let bytes = component(name).unwrap();
                // A component's version and layer, where a core module has 1 and 0.
                assert_eq!(bytes[..8], *b"\0asm\x0d\0\x01\0", "{name}");
            }
        }
    }
}
