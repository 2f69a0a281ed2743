//! Components from a registry, by reference. What came is kept here: what runs is what was checked, whatever the
//! reference leads to later.

use std::time::Duration;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use crate::Error;

const CONNECT_MAX: Duration = Duration::from_secs(10);
const SILENT_MAX: Duration = Duration::from_secs(20);
const WHOLE_MAX: Duration = Duration::from_secs(120);
/// A layer that is a component: as wash pushes it, and as the CNCF's Wasm artifacts are.
const LAYERS: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];

/// A reference that may be pulled.
///
/// # Errors
/// [`Error::Invalid`]: none at all, or of a registry that is not in `registries`. A tenant must not have us call
/// whatever host they like.
pub fn reference(image: &str, registries: &[String]) -> Result<Reference, Error> {
    let reference: Reference = image
        .parse()
        .map_err(|e| Error::Invalid(format!("`{image}` is no reference such as ghcr.io/acme/alert:1.2: {e}")))?;
    if registries.iter().any(|known| known == reference.registry()) {
        return Ok(reference);
    }
    let known = if registries.is_empty() { "none".to_owned() } else { registries.join(", ") };
    Err(Error::Invalid(format!(
        "components are not taken from {}: the operator allows {known}; upload it instead",
        reference.registry()
    )))
}

/// Pulls a component of at most `bytes_max` bytes.
pub async fn pull(reference: &Reference, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let pulled = tokio::time::timeout(WHOLE_MAX, pull_whole(reference, bytes_max)).await;
    pulled.unwrap_or_else(|_| {
        Err(Error::Invalid(format!("`{reference}` could not be pulled within {} s", WHOLE_MAX.as_secs())))
    })
}

async fn pull_whole(reference: &Reference, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let failed =
        |e: oci_client::errors::OciDistributionError| Error::Invalid(format!("`{reference}` can't be pulled: {e}"));
    let registry = reference.registry();
    // Without TLS only on this machine.
    let plain = if registry.starts_with("127.0.0.1:") { vec![registry.to_owned()] } else { Vec::new() };
    let client = Client::new(ClientConfig {
        protocol: ClientProtocol::HttpsExcept(plain),
        connect_timeout: Some(CONNECT_MAX),
        read_timeout: Some(SILENT_MAX),
        ..ClientConfig::default()
    });
    let (manifest, _) = client.pull_image_manifest(reference, &RegistryAuth::Anonymous).await.map_err(failed)?;
    let mut layers = manifest.layers.iter().filter(|layer| LAYERS.contains(&layer.media_type.as_str()));
    let (Some(layer), None) = (layers.next(), layers.next()) else {
        return Err(Error::Invalid(format!(
            "`{reference}` does not hold one component: push it with `wash push` or `wkg oci push`"
        )));
    };
    if u64::try_from(layer.size).map_or(true, |bytes| bytes > bytes_max) {
        return Err(Error::Invalid(format!(
            "`{reference}` has {} bytes, and at most {bytes_max} are taken",
            layer.size
        )));
    }
    let mut component = Bounded { bytes: Vec::new(), max: bytes_max };
    // Its digest is compared as it comes.
    client.pull_blob(reference, layer, &mut component).await.map_err(failed)?;
    Ok(component.bytes)
}

/// A registry may send more than it announced.
struct Bounded {
    bytes: Vec<u8>,
    max: u64,
}

impl tokio::io::AsyncWrite for Bounded {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        if (self.bytes.len() + bytes.len()) as u64 > self.max {
            return std::task::Poll::Ready(Err(std::io::Error::other("more bytes than a component may have")));
        }
        self.bytes.extend_from_slice(bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_registries_are_called() {
        let known = ["ghcr.io".to_owned(), "127.0.0.1:5000".to_owned()];
        for good in [
            "ghcr.io/acme/alert:1",
            "127.0.0.1:5000/a@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(reference(good, &known).is_ok(), "{good}");
        }
        for bad in
            ["169.254.169.254/latest:1", "127.0.0.1:4222/a", "evil.example/ghcr.io/a:1", "acme/alert", "", "ghcr.io/"]
        {
            assert!(reference(bad, &known).is_err(), "{bad}");
        }
        assert!(reference("ghcr.io/a/b", &[]).unwrap_err().to_string().contains("allows none"));
    }
}
