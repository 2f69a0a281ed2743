//! The desk on a real nats-server: replaced live, rolled back, refused, stale, healed; and what the log says of it.

mod live;
mod nats;
