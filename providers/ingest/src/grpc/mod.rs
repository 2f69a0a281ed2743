//! `eventrunner.v1.Ingest` over HTTP/2, with the services that tools ask for: health and reflection.

mod call;
mod guard;
mod rations;
mod service;
mod status;
mod stream;

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use er_event::limits::{BODY_BYTES_MAX, HEADERS_BYTES_MAX};
use er_proto::v1::ingest_server::IngestServer;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use tonic_health::ServingStatus;
use tonic_reflection::server::Builder;

use crate::edge::Edge;
use crate::listen::{QUIET, SIGN_OF_LIFE, STREAMS_MAX};

use guard::Guard;
use service::Service;

/// What a call may send ahead of being read, and all calls of a connection together.
///
/// h2 takes unread frames of less than 256 bytes for an attack once what they lack of 256 exceeds half the connection's
/// window, and ends the connection (`ENHANCE_YOUR_CALM`). A stream of small events that waits for its quota is none:
/// one call may fill only a small part of the connection's window.
const CALL_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// What the health service tells.
#[derive(Debug, Clone)]
pub struct Health(HealthReporter);

/// What is served. `stop` ends streams.
pub async fn app(edge: Arc<Edge>, stop: CancellationToken) -> anyhow::Result<(Router, Health)> {
    let (reporter, health_server) = tonic_health::server::health_reporter();
    let health = Health(reporter);
    health.serving(false).await;
    let ingest = IngestServer::new(Service::new(Arc::clone(&edge), stop))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(BODY_BYTES_MAX);
    let described = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(er_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(Guard::new(ingest, edge))
        .add_service(health_server)
        .add_service(described().build_v1().context("the reflection service")?)
        // Tools from before 2023 ask this one.
        .add_service(described().build_v1alpha().context("the older reflection service")?);
    Ok((routes.prepare().into_axum_router(), health))
}

/// How connections are spoken to: HTTP/2 only, without TLS.
pub fn server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new()).http2_only();
    server
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEADERS_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(QUIET)
        .keep_alive_timeout(SIGN_OF_LIFE);
    server
}

// === impl Health ===

impl Health {
    const NAMES: [&str; 2] = ["", IngestServer::<Service>::NAME];

    /// Whether events can be taken.
    pub async fn serving(&self, yes: bool) {
        let status = if yes { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in Self::NAMES {
            self.0.set_service_status(name, status).await;
        }
    }

    /// Says so for the last time, and lets go of who watches.
    pub async fn end(mut self) {
        self.serving(false).await;
        for name in Self::NAMES {
            self.0.clear_service_status(name).await;
        }
    }
}
