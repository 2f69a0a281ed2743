//! A stand-in for a ClickHouse server, for tests and for trying out `providers/clickhouse` where there is none.
//!
//!   er-chdb-http DIR [ADDR]      (default 127.0.0.1:8123; ends when its standard input does)

use std::net::SocketAddr;

use anyhow::Context as _;
use er_testkit::clickhouse::{library, serve, Serving};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().context("er-chdb-http DIR [ADDR]: where the tables lie is missing")?.into();
    let addr = arguments.next().map_or(Ok(SocketAddr::from(([127, 0, 0, 1], 8123))), |addr| addr.parse())?;
    serve(Serving { library: library()?, dir, addr, password: None }).await
}
