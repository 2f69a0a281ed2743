//! The gRPC contract (`deploy/proto`) as Rust, and its events as JSON text, which is what the platform carries.

pub mod codec;
mod data;
mod event;

// What is generated refers to other packages by their place in this tree.
mod eventrunner {
    pub mod v1 {
        #![allow(clippy::all, clippy::pedantic)]
        include!(concat!(env!("OUT_DIR"), "/eventrunner.v1.rs"));
    }
}
mod io {
    pub mod cloudevents {
        pub mod v1 {
            #![allow(clippy::all, clippy::pedantic)]
            include!(concat!(env!("OUT_DIR"), "/io.cloudevents.v1.rs"));
        }
    }
}

pub use event::{json, json_batch, Attr, Data};
pub use eventrunner::v1;
pub use io::cloudevents::v1 as cloudevents;

/// All of it as a `FileDescriptorSet`, for the reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
