//! The provider's engine, and all that is built on it, against a server: a real one where `ER_CLICKHOUSE_URL` names it,
//! else chDB behind HTTP; the latter always where the server is killed.

mod faults;
mod kit;
mod schema;
mod set;

/// Not a test: this program started again, to be the server (`kit`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server() {
    er_testkit::clickhouse::serve_if_asked().await.unwrap();
}
