//! Servers and ways to them.

use std::sync::{Arc, Weak};

use er_provider_clickhouse::{ClickHouse, Server as Address};
use er_testkit::clickhouse::Server;
use parking_lot::Mutex;

/// The name of the test that is the server.
pub const SERVER: &str = "the_server";

pub fn address(url: &str, database: &str) -> Address {
    Address {
        url: url.into(),
        database: database.into(),
        // As the real server wants it; ours asks nobody.
        user: std::env::var("ER_CLICKHOUSE_USER").ok(),
        password: std::env::var("ER_CLICKHOUSE_PASSWORD").ok(),
    }
}

pub fn engine(server: &Server, database: &str) -> ClickHouse {
    ClickHouse::new(&address(server.url(), database))
}

/// A database that no test had before.
pub fn database(name: &str) -> String {
    er_testkit::analytics::tenant(&format!("er_test_{name}")).replace('-', "_")
}

/// One server for all tests that leave it alone, for as long as one of them runs.
pub fn shared() -> Arc<Server> {
    static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock();
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Server::shared(SERVER).unwrap());
        *shared = Arc::downgrade(&server);
        server
    })
}
