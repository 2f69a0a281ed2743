//! A way to NATS that takes so many bytes a second and no more.
//!
//! Neither wasmCloud nor NATS has a limit of what a component answers. Many megabytes of it, as fast as they come, are as long
//! before everything else that nats-server carries.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use wasmcloud_host::url::Url;

use crate::bucket::Bucket;

/// What a host may say over time: 30,000 events of a kilobyte each second. What is handed to it comes as fast as it can.
const BYTES_PER_S: f64 = 32.0 * 1024.0 * 1024.0;
/// What it may say at once.
const BURST_BYTES: f64 = 1024.0 * 1024.0;
/// What is carried at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Where to connect to instead of to `nats`, as long as this process lives. A connection ends when either side of it does,
/// and one that is made after that is carried to NATS anew.
///
/// # Errors
/// When `nats` names no host or port, or the loopback device has no port left.
pub fn before(nats: &Url) -> anyhow::Result<Url> {
    let upstream = nats.socket_addrs(|| None).with_context(|| format!("{nats} is nothing to connect to"))?;
    let door = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a way to NATS")?;
    let url = format!("nats://{}", door.local_addr()?).parse()?;
    // Threads of their own: a component that loops may have every worker of the runtime.
    thread::Builder::new().name("pace".to_owned()).spawn(move || {
        for client in door.incoming() {
            let carried = client.and_then(|client| carry(&client, &TcpStream::connect(&*upstream)?));
            if let Err(error) = carried {
                tracing::warn!(%error, "a connection can't be carried to NATS");
            }
        }
    })?;
    Ok(url)
}

/// Carries what either says to the other, in two threads, until one of them ends.
fn carry(client: &TcpStream, nats: &TcpStream) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    nats.set_nodelay(true)?;
    let mut bucket = Bucket::new(BYTES_PER_S, BURST_BYTES, Instant::now());
    let pace = move |bytes| {
        bucket.take(bytes);
        let debt = bucket.debt(Instant::now());
        if !debt.is_zero() {
            thread::sleep(debt);
        }
    };
    spawn(client.try_clone()?, nats.try_clone()?, pace)?;
    spawn(nats.try_clone()?, client.try_clone()?, |_| {})
}

fn spawn(from: TcpStream, to: TcpStream, pace: impl FnMut(usize) + Send + 'static) -> std::io::Result<()> {
    let pour = move || {
        // Whoever connected notices the end of it, and why does not matter.
        let _ = pour(&from, &to, pace);
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    };
    thread::Builder::new().name("pace".to_owned()).spawn(pour).map(drop)
}

fn pour(mut from: impl Read, mut to: impl Write, mut pace: impl FnMut(usize)) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let bytes = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        pace(bytes);
        to.write_all(piece.get(..bytes).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_either_says_comes_to_the_other_whole_and_so_does_its_end() {
        let nats = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = before(&format!("nats://{}", nats.local_addr().unwrap()).parse().unwrap()).unwrap();
        // More than goes at once.
        let said: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(3 * BURST_BYTES as usize).collect();
        for _ in 0..2 {
            let mut client = TcpStream::connect(&*url.socket_addrs(|| None).unwrap()).unwrap();
            let (mut server, _) = nats.accept().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| (&client).write_all(&said).unwrap());
                scope.spawn(|| (&server).write_all(&said).unwrap());
                for mut side in [&server, &client] {
                    let mut heard = vec![0; said.len()];
                    side.read_exact(&mut heard).unwrap();
                    assert!(heard == said);
                }
            });
            server.shutdown(Shutdown::Both).unwrap();
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
        }
    }

    #[test]
    fn every_piece_is_paced_before_it_goes() {
        let mut paced = Vec::new();
        let mut heard = Vec::new();
        pour(&[1; 3 * PIECE_BYTES - 1][..], &mut heard, |bytes| paced.push(bytes)).unwrap();
        assert_eq!(paced, [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES - 1]);
        assert_eq!(heard.len(), 3 * PIECE_BYTES - 1);
    }

    #[test]
    fn nothing_to_connect_to_is_told() {
        let error = before(&"nats://127.0.0.1".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("nats://127.0.0.1 is nothing to connect to"), "{error:#}");
    }
}
