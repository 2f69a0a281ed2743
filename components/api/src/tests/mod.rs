//! The API over a world in memory.

mod access;
mod billing;
mod records;
mod rules;
mod streams;
mod world;
