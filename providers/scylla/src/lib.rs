//! The event store on ScyllaDB, or anything else that speaks its CQL. The provider (`main.rs`) serves it over the
//! lattice; tests and benches use [`store::Store`] in process.

pub mod store;
