//! Stands before the service: who calls, and whether there is room, before a message is read.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::{Request, Response};
use er_event::Problem;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::Code;

use crate::auth::credential;
use crate::edge::{client, Edge};

use super::call::{self, Call};
use super::rations::{Rationed, Rooms};
use super::status::{self, Message};

/// A method whose client sends for as long as it likes.
const STREAM: &str = "PublishStream";

/// The service behind its guard.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    edge: Arc<Edge>,
}

// === impl Guard ===

impl<S> Guard<S> {
    pub fn new(inner: S, edge: Arc<Edge>) -> Self {
        Self { inner, edge }
    }
}

impl<S: NamedService> NamedService for Guard<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> tower::Service<Request<Body>> for Guard<S>
where
    S: tower::Service<Request<Rationed>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The one that was found ready serves, its copy waits for the next.
        let copy = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, copy);
        let edge = Arc::clone(&self.edge);
        Box::pin(async move { Ok(serve(inner, edge, request).await) })
    }
}

async fn serve<S>(mut inner: S, edge: Arc<Edge>, request: Request<Body>) -> Response<Body>
where
    S: tower::Service<Request<Rationed>, Response = Response<Body>, Error = Infallible> + Send,
    S::Future: Send,
{
    let started = Instant::now();
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_string();
    let streams = method == STREAM;
    let credential: Option<Arc<str>> = credential(request.headers()).map(Into::into);
    let served = match call::deadline(request.headers()) {
        Err(problem) => Err(problem),
        Ok(deadline) => tokio::select! {
            biased;
            served = async {
                let request = admit(&edge, request, credential.clone(), deadline, streams).await?;
                let Ok(response) = inner.call(request).await;
                Ok::<_, Problem>(response)
            } => served,
            () = call::until(deadline) => Err(status::late()),
        },
    };
    let response = served.unwrap_or_else(|problem| {
        edge.refusals.note(&format!("gRPC {method}"), credential.as_deref(), &problem);
        status::of(&problem, Message::Event).into_http()
    });
    let ended = response.headers().get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
    match ended {
        Some(code) => call::count(code),
        // A stream counts itself once it ends.
        None if streams => return response,
        None => call::count(Code::Ok),
    }
    call::observe(started);
    response
}

/// Lets a call in, with the rations of its messages.
async fn admit(
    edge: &Arc<Edge>,
    request: Request<Body>,
    credential: Option<Arc<str>>,
    deadline: Option<Instant>,
    streams: bool,
) -> Result<Request<Rationed>, Problem> {
    let principal = edge.identify(credential.as_deref(), None).await?;
    // A stream is slowed down to its quota, and not refused for it.
    if !streams {
        edge.within_quota(&principal)?;
    }
    let rooms = Rooms::of(&principal.tenant);
    let (mut parts, body) = request.into_parts();
    let credential = credential.unwrap_or_default();
    let client = client(&parts.headers);
    parts.extensions.insert(Call { principal, credential, rooms: rooms.clone(), deadline, client });
    Ok(Request::from_parts(parts, Rationed::new(body, Arc::clone(edge), rooms, streams)))
}
