//! Ports for servers that are killed and come again.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::time::UNIX_EPOCH;

use anyhow::anyhow;

use crate::rng::Rng;

const QUIET_PORTS: Range<u16> = 20_000..30_000;
const DRAWS_MAX: usize = 100;

/// Ports below those that the kernel gives to connections: a server must find its own free again after it was killed, with
/// its clients knocking at it all the while.
pub fn quiet_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut rng = Rng::new(u64::from(std::process::id()) ^ u64::from(UNIX_EPOCH.elapsed()?.subsec_nanos()));
    let draws = std::iter::repeat_with(|| QUIET_PORTS.start + rng.below(QUIET_PORTS.len()) as u16);
    // Held all at once, so that no two are the same.
    let free: Vec<TcpListener> =
        draws.take(DRAWS_MAX).filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()).take(N).collect();
    let ports: Vec<u16> = free.iter().map(|port| Ok(port.local_addr()?.port())).collect::<std::io::Result<_>>()?;
    ports.try_into().map_err(|_| anyhow!("no {N} free ports in {QUIET_PORTS:?}"))
}
