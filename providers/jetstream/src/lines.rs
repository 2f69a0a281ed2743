//! Connections to the lattice that consumers' answers come through.
//!
//! What comes through a connection is read piece by piece: behind an answer of many megabytes, which is too much and is dropped, all
//! others would wait for as long as it takes to come. So consumers share a few connections among themselves, and none with the
//! platform's own calls.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use anyhow::Context as _;
use async_nats::{Client, ConnectOptions};
use nkeys::KeyPair;
use wasmcloud_provider_sdk::{load_host_data, HostData};

/// The more there are, the fewer consumers share one.
const LINES: usize = 8;

#[derive(Debug)]
pub struct Lines {
    connections: Vec<Client>,
    given: AtomicUsize,
}

// === impl Lines ===

impl Lines {
    /// # Errors
    /// When NATS does not answer, or refuses what it let the provider itself in with.
    pub async fn open() -> anyhow::Result<Self> {
        let (host, url) = (load_host_data()?, er_provider_kit::nats_url(None)?);
        let mut connections = Vec::with_capacity(LINES);
        for line in 0..LINES {
            let options = options(host)?.name(format!("er-provider-jetstream consumers {line}"));
            connections.push(options.connect(&url).await.with_context(|| format!("the lattice at {url}"))?);
        }
        Ok(Self { connections, given: AtomicUsize::new(0) })
    }

    /// The next one in turn.
    pub fn next(&self) -> Option<Client> {
        self.connections.get(self.given.fetch_add(1, Ordering::Relaxed) % LINES).cloned()
    }
}

/// As the provider itself is let into the lattice.
fn options(host: &HostData) -> anyhow::Result<ConnectOptions> {
    let [jwt, seed] = [&host.lattice_rpc_user_jwt, &host.lattice_rpc_user_seed].map(|text| text.trim());
    if jwt.is_empty() || seed.is_empty() {
        return Ok(ConnectOptions::new());
    }
    let key = Arc::new(KeyPair::from_seed(seed).context("the host's key for the lattice")?);
    Ok(ConnectOptions::with_jwt(jwt.to_owned(), move |nonce| {
        let key = Arc::clone(&key);
        async move { key.sign(&nonce).map_err(async_nats::AuthError::new) }
    }))
}
