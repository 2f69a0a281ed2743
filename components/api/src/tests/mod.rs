//! The API over a world in memory.

mod access;
mod billing;
mod console;
mod consumers;
mod permission;
mod records;
mod redelivery;
mod rules;
mod streams;
mod world;
