//! The ClickHouse provider: usage records on a ClickHouse server, over HTTP. What is inserted and asked, and when, is in
//! `crates/analytics`; this is the way to the server, and the provider around it.

mod analytics;
mod bindings;
mod engine;
mod fault;
mod provider;
mod settings;

pub use bindings::serve;
pub use engine::ClickHouse;
pub use provider::Provider;
pub use settings::{ProviderSettings, Server};
