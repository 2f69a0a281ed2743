//! The set of tests that every engine is held to.

use std::sync::Arc;

use er_analytics::{Engine, Failure, Statement};
use er_provider_clickhouse::ClickHouse;
use er_testkit::clickhouse::Server;

use crate::kit::{engine, shared};

/// The shared server, kept for as long as the test goes.
struct Held {
    engine: ClickHouse,
    _server: Arc<Server>,
}

impl Engine for Held {
    async fn run(&self, statement: Statement) -> Result<bytes::Bytes, Failure> {
        self.engine.run(statement).await
    }

    fn database(&self) -> &str {
        self.engine.database()
    }
}

async fn start() -> Held {
    let server = shared();
    Held { engine: engine(&server, "er_test"), _server: server }
}

er_testkit::analytics_tests!(start);
