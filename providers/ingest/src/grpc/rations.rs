//! A body that holds room in memory for each of its messages before it lets the message through.
//!
//! Every message is announced with its length. What is longer than a body may be is refused unread. Where there is no
//! room, a single message is refused, and a stream waits: nothing more is read of it, HTTP/2's window fills, and the
//! client is held up. What waits holds no room, so that no two streams wait for each other.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};

use bytes::Bytes;
use er_event::limits::BODY_BYTES_MAX;
use er_event::{Kind, Problem};
use http_body::Frame;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};
use tonic::body::Body;
use tonic::Status;

use crate::edge::{Edge, Room};
use crate::listen::BODY_TIMEOUT;

use super::status::{self, Message};

/// A flag, and the length of what follows.
const HEAD_BYTES: usize = 5;
/// A byte of DEFLATE is at most so many (https://zlib.net/zlib_tech.html).
const UNPACKED_MAX: usize = 1_032;

type Turn = Pin<Box<dyn Future<Output = Option<Room>> + Send>>;

/// Room of messages that were let through and not taken yet.
#[derive(Clone, Default)]
pub struct Rooms {
    tenant: Arc<str>,
    given: Arc<Mutex<VecDeque<Room>>>,
}

/// The body of a call.
pub struct Rationed {
    body: Body,
    edge: Arc<Edge>,
    rooms: Rooms,
    /// Whether to wait for room, or to be refused.
    waits: bool,
    heads: Heads,
    /// What was read and waits for room; it begins with so many bytes of its message's head.
    held: Bytes,
    held_head: usize,
    turn: Option<Turn>,
    /// Runs while a message is under way; a single one is awaited from the first moment to the end of the body.
    timer: Pin<Box<Sleep>>,
    runs: bool,
}

/// Finds the heads of messages in what arrives, however it is cut.
#[derive(Debug, Default)]
struct Heads {
    head: [u8; HEAD_BYTES],
    filled: usize,
    /// Bytes to come of the message under way.
    left: usize,
}

/// What stands before a message.
#[derive(Debug, Clone, Copy)]
struct Head {
    packed: bool,
    length: usize,
}

// === impl Head ===

impl Head {
    /// What the message may take once it is unpacked; beyond a body's length it is refused then.
    fn room(self) -> usize {
        if self.packed {
            self.length.saturating_mul(UNPACKED_MAX).min(BODY_BYTES_MAX)
        } else {
            self.length
        }
    }
}

// === impl Rooms ===

impl Rooms {
    /// For what a tenant sends.
    pub fn of(tenant: &str) -> Self {
        Self { tenant: tenant.into(), given: Arc::default() }
    }

    /// The room of the next message, which has so many bytes.
    pub fn take(&self, bytes: usize) -> Option<Room> {
        let mut room = self.given.lock().pop_front()?;
        room.shrink(bytes);
        Some(room)
    }

    /// Gives back what a message of so many bytes does not need of the room that is held for it.
    pub fn shrink(&self, bytes: usize) {
        if let Some(room) = self.given.lock().front_mut() {
            room.shrink(bytes);
        }
    }

    fn give(&self, room: Room) {
        self.given.lock().push_back(room);
    }
}

// === impl Heads ===

impl Heads {
    /// Reads on until a head is whole; where it ends, and of what message. None when the bytes end first.
    fn next(&mut self, bytes: &[u8]) -> Option<(usize, Head)> {
        let mut at = self.left.min(bytes.len());
        self.left -= at;
        let take = (HEAD_BYTES - self.filled).min(bytes.len() - at);
        self.head[self.filled..self.filled + take].copy_from_slice(&bytes[at..at + take]);
        self.filled += take;
        at += take;
        if self.filled < HEAD_BYTES {
            return None;
        }
        let [packed, length @ ..] = self.head;
        self.filled = 0;
        self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        Some((at, Head { packed: packed != 0, length: self.left }))
    }

    /// Whether a message has begun and is not whole.
    fn open(&self) -> bool {
        self.left > 0 || self.filled > 0
    }
}

// === impl Rationed ===

impl Rationed {
    pub fn new(body: Body, edge: Arc<Edge>, rooms: Rooms, waits: bool) -> Self {
        Self {
            body,
            edge,
            rooms,
            waits,
            heads: Heads::default(),
            held: Bytes::new(),
            held_head: 0,
            turn: None,
            timer: Box::pin(tokio::time::sleep(BODY_TIMEOUT)),
            runs: !waits,
        }
    }

    /// As much of `bytes` as there is room for; the rest is held.
    fn let_through(&mut self, mut bytes: Bytes) -> Result<Bytes, Status> {
        let mut scanned = 0;
        while let Some((end, head)) = self.heads.next(&bytes[scanned..]) {
            scanned += end;
            if head.length > BODY_BYTES_MAX {
                let detail = format!("a message of {} bytes, over {BODY_BYTES_MAX}", head.length);
                let problem = Problem::new(Kind::TooLarge, detail).mend("Send the events in smaller batches.");
                return Err(status::of(&problem, Message::Event));
            }
            // Each message has its own time.
            self.runs = false;
            let tenant = &self.rooms.tenant;
            if !self.waits {
                let room = self.edge.room(tenant, head.room());
                self.rooms.give(room.map_err(|problem| status::of(&problem, Message::Event))?);
            } else if let Some(room) = self.edge.try_room(tenant, head.room()) {
                self.rooms.give(room);
            } else {
                self.turn = Some(Box::pin(self.edge.room_in_turn(tenant, head.room())));
                // Not even the head goes out, by which the reader would take memory for the message.
                let passed = bytes.split_to(scanned.saturating_sub(HEAD_BYTES));
                self.held_head = scanned - passed.len();
                self.held = bytes;
                return Ok(passed);
            }
        }
        self.time();
        Ok(bytes)
    }

    fn time(&mut self) {
        let runs = self.heads.open() || !self.waits;
        if runs && !self.runs {
            self.timer.as_mut().reset(Instant::now() + BODY_TIMEOUT);
        }
        self.runs = runs;
    }

    /// What is held, once there is room for its first message.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>> {
        if let Some(turn) = &mut self.turn {
            let room = ready!(turn.as_mut().poll(cx));
            self.turn = None;
            self.rooms.give(room.ok_or_else(|| Status::unavailable("the edge is closed"))?);
        }
        // Its head was scanned already: what follows is looked at, and goes out together with it.
        let mut held = std::mem::take(&mut self.held);
        let head = held.split_to(self.held_head);
        let rest = self.let_through(held)?;
        Poll::Ready(Ok([head, rest].concat().into()))
    }
}

impl http_body::Body for Rationed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        loop {
            if this.turn.is_some() {
                let bytes = ready!(this.poll_held(cx))?;
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => {
                        let passed = this.let_through(bytes)?;
                        if !passed.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(passed))));
                        }
                    }
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Poll::Ready(other) => return Poll::Ready(other),
                Poll::Pending if this.runs => {
                    ready!(this.timer.as_mut().poll(cx));
                    let problem = Problem::new(Kind::Timeout, "the message did not arrive within 30 s")
                        .mend("Send it faster, or in smaller batches.");
                    return Poll::Ready(Some(Err(status::of(&problem, Message::Event))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use futures::{poll, FutureExt as _};
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic::Code;

    use super::*;
    use crate::settings::IngestSettings;

    const MIB: usize = 1 << 20;

    fn edge() -> Arc<Edge> {
        let room = HashMap::from([("inflight_bytes_max".to_string(), MIB.to_string())]);
        Arc::new(Edge::new(IngestSettings::parse(&room).unwrap()))
    }

    fn message(length: usize) -> Vec<u8> {
        let head = u32::try_from(length).unwrap().to_be_bytes();
        [vec![0], head.to_vec(), vec![7; length]].concat()
    }

    /// A body that arrives in these pieces, and never ends.
    fn body(pieces: Vec<Vec<u8>>) -> Body {
        let frames = pieces.into_iter().map(|piece| Ok::<_, Status>(Frame::data(Bytes::from(piece))));
        Body::new(StreamBody::new(futures::StreamExt::chain(futures::stream::iter(frames), futures::stream::pending())))
    }

    /// Everything that comes without waiting.
    fn arrived(body: &mut Rationed) -> Result<Vec<u8>, Status> {
        let mut all = Vec::new();
        while let Some(frame) = body.frame().now_or_never() {
            all.extend_from_slice(&frame.unwrap()?.into_data().unwrap());
        }
        Ok(all)
    }

    #[tokio::test]
    async fn a_message_comes_out_as_it_came_in_however_it_is_cut() {
        let messages = [message(0), message(1), message(3_000), message(7)].concat();
        for size in [1, 2, 4, 5, 6, 7, 1_000, messages.len()] {
            let (edge, rooms) = (edge(), Rooms::default());
            let pieces = messages.chunks(size).map(<[u8]>::to_vec).collect();
            let mut rationed = Rationed::new(body(pieces), edge, rooms.clone(), true);
            assert_eq!(arrived(&mut rationed).unwrap(), messages, "in pieces of {size}");
            assert_eq!(std::iter::from_fn(|| rooms.take(0)).count(), 4, "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn a_stream_waits_for_room_and_goes_on_where_it_stopped() {
        let messages = [message(10), message(MIB / 2), message(20)].concat();
        for size in [3, 16_384, messages.len()] {
            let (edge, rooms) = (edge(), Rooms::default());
            let others = edge.room("", MIB * 3 / 4).unwrap();
            let pieces = messages.chunks(size).map(<[u8]>::to_vec).collect();
            let mut rationed = Rationed::new(body(pieces), Arc::clone(&edge), rooms.clone(), true);
            let mut all = arrived(&mut rationed).unwrap();
            // The first, and less than the head of the second.
            assert!((15..20).contains(&all.len()), "{} in pieces of {size}", all.len());
            let first = rooms.take(0);
            assert!(first.is_some() && rooms.take(0).is_none());
            drop(others);
            all.extend(arrived(&mut rationed).unwrap());
            assert_eq!(all, messages, "in pieces of {size}");
            assert!(rooms.take(0).is_some() && rooms.take(0).is_some() && rooms.take(0).is_none());
        }
    }

    #[tokio::test]
    async fn a_single_message_without_room_is_refused_with_a_time_to_come_again() {
        use tonic_types::StatusExt as _;
        let edge = edge();
        let _others = edge.room("", MIB * 3 / 4).unwrap();
        let mut rationed = Rationed::new(body(vec![message(MIB / 2)]), edge, Rooms::default(), false);
        let status = arrived(&mut rationed).unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.get_error_details().retry_info().is_some());
    }

    #[tokio::test]
    async fn a_packed_message_holds_room_for_what_it_may_become_until_that_is_known() {
        let (edge, rooms) = (edge(), Rooms::default());
        let mut packed = message(500);
        packed[0] = 1;
        let mut rationed = Rationed::new(body(vec![packed]), Arc::clone(&edge), rooms.clone(), true);
        arrived(&mut rationed).unwrap();
        assert!(edge.try_room("", MIB * 3 / 4).is_none() && edge.try_room("", MIB / 4).is_some());
        rooms.shrink(2_000);
        assert!(edge.try_room("", MIB * 3 / 4).is_some());
        // No message takes more than a body may.
        assert_eq!(Head { packed: true, length: 100_000 }.room(), BODY_BYTES_MAX);
    }

    #[tokio::test]
    async fn what_is_too_long_is_refused_before_it_arrives() {
        for waits in [true, false] {
            let fits = &message(BODY_BYTES_MAX)[..HEAD_BYTES];
            let mut rationed = Rationed::new(body(vec![fits.to_vec()]), edge(), Rooms::default(), waits);
            assert_eq!(arrived(&mut rationed).unwrap(), fits);
            let over = &message(BODY_BYTES_MAX + 1)[..HEAD_BYTES];
            let mut rationed = Rationed::new(body(vec![over.to_vec()]), edge(), Rooms::default(), waits);
            assert_eq!(arrived(&mut rationed).unwrap_err().code(), Code::InvalidArgument);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_stops_arriving_gives_its_room_back() {
        for (piece, waits) in
            [(vec![], false), (message(100)[..50].to_vec(), false), (message(100)[..50].to_vec(), true)]
        {
            let (edge, rooms) = (edge(), Rooms::default());
            let mut rationed = Rationed::new(body(vec![piece]), edge, rooms, waits);
            let mut ended = None;
            while ended.is_none() {
                ended = rationed.frame().await.unwrap().err();
            }
            assert_eq!(ended.unwrap().code(), Code::DeadlineExceeded);
        }
        // A stream may be silent between its messages.
        let mut rationed = Rationed::new(body(vec![message(100)]), edge(), Rooms::default(), true);
        arrived(&mut rationed).unwrap();
        let mut next = std::pin::pin!(rationed.frame());
        tokio::time::advance(10 * BODY_TIMEOUT + Duration::from_secs(1)).await;
        assert!(poll!(next.as_mut()).is_pending());
    }

    #[tokio::test]
    async fn no_tenant_takes_all_the_room() {
        let room = HashMap::from([("inflight_bytes_max".to_string(), (8 * MIB).to_string())]);
        let edge = Edge::new(IngestSettings::parse(&room).unwrap());
        let taken: Vec<_> = std::iter::from_fn(|| edge.try_room("acme", MIB - 1_024)).collect();
        assert_eq!(taken.len(), 6, "three quarters of it");
        assert!(edge.room_in_turn("acme", MIB - 1_024).now_or_never().is_none());
        assert!(edge.room("globex", MIB - 1_024).is_ok());
        drop(taken);
        assert!(edge.try_room("acme", MIB - 1_024).is_some());
    }
}
