//! The event store and the analytics of one machine. The provider (`main.rs`) serves them over the lattice; tests and
//! benches use [`store::Store`] and [`embedded::Embedded`] in process.

pub mod embedded;
pub mod store;
