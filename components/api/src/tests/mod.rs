//! The API over a world in memory.

mod access;
mod billing;
mod conditional;
mod console;
mod consumers;
mod idempotency;
mod interfaces;
mod members;
mod origins;
mod permission;
mod records;
mod redelivery;
mod rules;
mod streams;
mod world;
