//! A ClickHouse server as an engine, through the `clickhouse` crate.

use bytes::Bytes;
use clickhouse::{error::Error, Client, Compression};
use er_analytics::{escape_param, Engine, Failure, Statement};

use crate::settings::Server;

const FORMAT: &str = "TabSeparated";

/// The way to one database of a server. Connections are made when they are needed, and kept for a while.
#[derive(Clone)]
pub struct ClickHouse {
    /// Without the database, which may not be there yet.
    server: Client,
    client: Client,
    database: String,
}

// === impl ClickHouse ===

impl ClickHouse {
    pub fn new(server: &Server) -> Self {
        // An answer is whole before it begins, so that its status says whether the statement was done.
        let mut client = Client::default()
            .with_url(&server.url)
            .with_compression(Compression::Lz4)
            .with_setting("wait_end_of_query", "1")
            .with_product_info("eventrunner", env!("CARGO_PKG_VERSION"));
        if let Some(user) = &server.user {
            client = client.with_user(user);
        }
        if let Some(password) = &server.password {
            client = client.with_password(password);
        }
        Self {
            client: client.clone().with_database(&server.database),
            server: client,
            database: server.database.clone(),
        }
    }

    async fn query(&self, statement: Statement) -> Result<Bytes, Error> {
        let client = if statement.on_server { &self.server } else { &self.client };
        let mut query = client.query_raw(&statement.sql);
        for (name, value) in statement.params {
            // Not `param`: that escapes by the Rust type, and both engines shall get the same.
            query = query.with_setting(format!("param_{name}"), escape_param(&value));
        }
        query.fetch_bytes(FORMAT)?.collect().await
    }

    async fn insert(&self, sql: &str, rows: Bytes) -> Result<(), Error> {
        let mut insert = self.client.insert_formatted_with(format!("{sql} FORMAT RowBinary"));
        insert.send(rows).await?;
        insert.end().await
    }
}

impl Engine for ClickHouse {
    async fn run(&self, mut statement: Statement) -> Result<Bytes, Failure> {
        let done = match statement.rows.take() {
            Some(rows) => self.insert(&statement.sql, rows).await.map(|()| Bytes::new()),
            None => self.query(statement).await,
        };
        done.map_err(failure)
    }

    fn database(&self) -> &str {
        &self.database
    }
}

fn failure(error: Error) -> Failure {
    match error {
        // What a server says of an exception begins so; what does not is a word of a proxy before it, that the server
        // is away or busy.
        Error::BadResponse(text) if text.starts_with("Code: ") => Failure::refused(&text),
        // The request could not even be built: trying again is useless.
        Error::InvalidParams(_) | Error::Unsupported(_) => Failure::Refused { code: 0, message: error.to_string() },
        other => Failure::Silent(causes(&other)),
    }
}

/// An error with what it came from: «network error» alone says nothing.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_word_is_not_the_servers() {
        let bad = |text: &str| failure(Error::BadResponse(text.into()));
        assert!(matches!(bad("Code: 62. DB::Exception: Syntax error"), Failure::Refused { code: 62, .. }));
        assert_eq!(bad("502 Bad Gateway"), Failure::Silent("bad response: 502 Bad Gateway".into()));
        assert!(matches!(failure(Error::TimedOut), Failure::Silent(_)));
        assert!(!failure(Error::Unsupported("x".into())).is_passing());
    }
}
