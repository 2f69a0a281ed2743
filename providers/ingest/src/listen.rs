//! Connections: how many, and how they end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Requests, or calls, of one HTTP/2 connection at once.
pub const STREAMS_MAX: u32 = 256;
/// A client that sends its first bytes, or its headers, slower than this is let go.
pub const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// An HTTP/2 connection that is quiet for so long is asked for a sign of life, and closed without one.
pub const QUIET: Duration = Duration::from_secs(30);
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(10);
/// How long a body that was begun may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(6);
/// What an HTTP/2 connection begins with (RFC 9113, 3.4). No request of HTTP/1.1 is shorter than its mark.
const PREFACE_BYTES: usize = 24;
const HTTP2_MARK: &[u8; 3] = b"PRI";

/// Serves until `stop`, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    server: auto::Builder<TokioExecutor>,
    connections_max: usize,
    stop: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(connections_max));
    loop {
        let (stream, permit) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = async {
                let permit = Arc::clone(&room).acquire_owned().await;
                (listener.accept().await, permit)
            } => match accepted {
                (Ok((stream, _)), Ok(permit)) => (stream, permit),
                (Err(error), _) => {
                    warn!(%error, "can't accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
                (_, Err(_)) => break,
            },
        };
        // Without this every answer waits for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "no TCP_NODELAY");
        }
        let service = TowerToHyperService::new(app.clone());
        let (server, watcher, stop) = (server.clone(), graceful.watcher(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let stream = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                begun = tokio::time::timeout(HEADERS_TIMEOUT, begun(stream)) => match begun {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(_)) | Err(_) => return,
                },
            };
            let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
            if let Err(error) = watcher.watch(connection).await {
                debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        warn!("some connections did not finish in time");
    }
}

/// A connection whose client has said which protocol it speaks. What waits for that in the server has no deadline, and
/// whoever never says it would hold a connection for ever.
async fn begun(stream: TcpStream) -> std::io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let (mut read, write) = stream.into_split();
    let mut first = [0; PREFACE_BYTES];
    let (mark, rest) = first.split_at_mut(HTTP2_MARK.len());
    read.read_exact(mark).await?;
    let mut length = mark.len();
    if mark == HTTP2_MARK {
        length += read.read_exact(rest).await?;
    }
    let first = std::io::Cursor::new(first).take(u64::try_from(length).unwrap_or(u64::MAX));
    Ok(tokio::io::join(first.chain(read), write))
}
