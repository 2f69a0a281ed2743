//! The HTTP API, behind the stock wasmCloud HTTP server: tenants, keys, events, dead letters, and events as they come.

mod app;
mod auth;
mod backend;
mod billing;
mod console;
mod consumers;
mod cors;
mod dead_letters;
mod etag;
mod events;
mod fault;
mod health;
mod http;
mod idempotency;
mod keys;
mod linked;
mod members;
#[cfg(test)]
mod openapi;
mod page;
mod permission;
mod policies;
mod query;
mod replays;
mod router;
mod rules;
mod story;
mod tail;
mod tenants;
#[cfg(test)]
mod tests;
mod trial;
mod wire;

mod bindings {
    // The interfaces of `../../wit`, with room for «nobody answered»: see tests/interfaces.rs.
    wit_bindgen::generate!({ path: "wit", world: "api-component", generate_all });
}

struct Api;

wasi::http::proxy::export!(Api);

impl wasi::exports::http::incoming_handler::Guest for Api {
    fn handle(request: wasi::http::types::IncomingRequest, out: wasi::http::types::ResponseOutparam) {
        let parts = wire::Parts::of(&request);
        let answer = app::handle(&linked::Linked, &parts.request());
        // A client that is gone by now misses nothing that somebody else needs.
        let _gone = wire::send(answer, parts.is_head(), out);
    }
}
