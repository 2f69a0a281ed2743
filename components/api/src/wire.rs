//! To and from the types of `wasi:http`.

use std::cell::Cell;

use er_event::Problem;
use wasi::http::types::{
    Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasi::io::streams::{OutputStream, StreamError};

use crate::http::{Answer, Body, BodyError, Headers, Request, Response, Take};
use crate::linked::Linked;
use crate::tail::{Gone, Sink, Tail};

/// Bytes asked for at once.
const CHUNK_BYTES: u64 = 64 * 1024;

/// What a request consists of, owned.
pub struct Parts {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Incoming,
}

/// A body that can be read once.
struct Incoming(Cell<Option<IncomingBody>>);

struct Outgoing {
    stream: OutputStream,
}

// === impl Parts ===

impl Parts {
    pub fn of(request: &IncomingRequest) -> Self {
        let headers = request.headers().entries().into_iter();
        Parts {
            method: method(request.method()),
            target: request.path_with_query().unwrap_or_else(|| "/".to_owned()),
            // What is not UTF-8 is none that this API knows, and there all the same: a condition that can't be read must not
            // be taken for none.
            headers: headers
                .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(&value).into_owned()))
                .collect(),
            body: Incoming(Cell::new(request.consume().ok())),
        }
    }

    pub fn request(&self) -> Request<'_> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        Request { method: &self.method, path, query, headers: &self.headers, body: &self.body, chance: None }
    }

    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

fn method(method: Method) -> String {
    let name = match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => return name,
    };
    name.to_owned()
}

impl Body for Incoming {
    fn read(&self, max: usize) -> Result<Vec<u8>, BodyError> {
        let body = self.0.take().ok_or(BodyError::Broken)?;
        let stream = body.stream().map_err(|()| BodyError::Broken)?;
        let mut bytes = Vec::new();
        loop {
            match stream.blocking_read(CHUNK_BYTES) {
                Ok(chunk) if bytes.len() + chunk.len() > max => return Err(BodyError::TooLarge),
                Ok(chunk) => bytes.extend(chunk),
                Err(StreamError::Closed) => return Ok(bytes),
                Err(StreamError::LastOperationFailed(_)) => return Err(BodyError::Broken),
            }
        }
    }

    fn pieces(&self, size: usize, take: Take<'_>) -> Result<Result<(), Problem>, BodyError> {
        let body = self.0.take().ok_or(BodyError::Broken)?;
        let stream = body.stream().map_err(|()| BodyError::Broken)?;
        let mut piece = Vec::with_capacity(size);
        loop {
            let room = u64::try_from(size - piece.len()).unwrap_or(CHUNK_BYTES);
            match stream.blocking_read(room.min(CHUNK_BYTES)) {
                Ok(chunk) => piece.extend(chunk),
                Err(StreamError::Closed) => {
                    return Ok(if piece.is_empty() { Ok(()) } else { take(&piece) });
                }
                Err(StreamError::LastOperationFailed(_)) => return Err(BodyError::Broken),
            }
            if piece.len() == size {
                if let Err(problem) = take(&piece) {
                    return Ok(Err(problem));
                }
                piece.clear();
            }
        }
    }
}

// === answers ===

pub fn send(answer: Answer, head: bool, out: ResponseOutparam) -> Result<(), Gone> {
    match answer {
        Answer::Whole(response) => send_whole(&response, head, out),
        Answer::Stream(tail, headers) => send_stream(tail, &headers, out),
    }
}

fn send_whole(response: &Response, head: bool, out: ResponseOutparam) -> Result<(), Gone> {
    let mut headers: Vec<(&str, &str)> = response.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    if !response.content_type.is_empty() {
        headers.push(("content-type", response.content_type));
    }
    let length = response.body.len().to_string();
    if !head && !matches!(response.status, 204 | 304) {
        headers.push(("content-length", &length));
    }
    let (body, mut outgoing) = begin(response.status, &headers, out)?;
    if !head && !response.body.is_empty() {
        outgoing.send(&response.body)?;
    }
    end(body, outgoing)
}

fn send_stream(tail: Tail, headers: &Headers, out: ResponseOutparam) -> Result<(), Gone> {
    // Proxies that gather before they pass on (nginx) would hold events back.
    let mut all = vec![("content-type", "text/event-stream"), ("x-accel-buffering", "no")];
    all.extend(headers.iter().map(|(name, value)| (*name, value.as_str())));
    let (body, mut outgoing) = begin(200, &all, out)?;
    tail.run(&Linked, &mut outgoing)?;
    end(body, outgoing)
}

/// Sends status and headers; the body follows.
fn begin(status: u16, headers: &[(&str, &str)], out: ResponseOutparam) -> Result<(OutgoingBody, Outgoing), Gone> {
    let fields = Fields::new();
    let every = [("cache-control", "no-store"), ("x-content-type-options", "nosniff")];
    let missing = every.iter().filter(|(name, _)| !headers.iter().any(|(given, _)| given == name));
    for (name, value) in headers.iter().chain(missing) {
        // Refused only if malformed, and none of ours is; an answer without it is better than none.
        let _refused = fields.append(&(*name).to_owned(), &value.as_bytes().to_vec());
    }
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).map_err(|()| Gone)?;
    let body = response.body().map_err(|()| Gone)?;
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().map_err(|()| Gone)?;
    Ok((body, Outgoing { stream }))
}

fn end(body: OutgoingBody, outgoing: Outgoing) -> Result<(), Gone> {
    drop(outgoing);
    OutgoingBody::finish(body, None).map_err(|_| Gone)
}

impl Sink for Outgoing {
    fn send(&mut self, text: &str) -> Result<(), Gone> {
        let gone = |_: StreamError| Gone;
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            self.stream.subscribe().block();
            let room = usize::try_from(self.stream.check_write().map_err(gone)?).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.stream.write(now).map_err(gone)?;
            rest = later;
        }
        self.stream.blocking_flush().map_err(gone)
    }
}
