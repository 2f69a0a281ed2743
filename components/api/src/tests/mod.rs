//! The API over a world in memory.

mod access;
mod records;
mod streams;
mod world;
