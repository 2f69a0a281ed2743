//! The schema: files of deploy/scylla, run in order, each written down when it is done. To run one again does no harm,
//! so two providers may start at once. On Cassandra before 6, whose nodes don't agree on a schema change before it is
//! made, start one provider first on a fresh cluster of several nodes.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::Statement;
use tracing::info;

use super::error::Error;

/// `(version, name, statements)`, in order.
const MIGRATIONS: &[(i32, &str, &str)] = &[(1, "events", include_str!("../../../../deploy/scylla/0001_events.cql"))];

/// The newest schema that this program knows.
pub const VERSION: i32 = MIGRATIONS.len() as i32;

/// The rows of `schema_migrations` that are about this schema.
const STORE: &str = "events";
/// A change of schema waits for all nodes.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Brings the keyspace to [`VERSION`], and makes it the session's.
///
/// # Errors
/// [`Error::SchemaNewer`] where it is beyond that already.
pub async fn migrate(session: &Session, keyspace: &str, replication: &str) -> Result<(), Error> {
    // Asked for first, since not every user that may use a keyspace may create one.
    if !exists(session, "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?", (keyspace,))
        .await?
    {
        info!(keyspace, replication, "creating the keyspace");
        change(session, &format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}")).await?;
    }
    session.use_keyspace(keyspace, false).await?;
    let found = version(session, keyspace).await?;
    if found > VERSION {
        return Err(Error::SchemaNewer { keyspace: keyspace.into(), found, known: VERSION });
    }
    for (version, name, text) in MIGRATIONS.iter().filter(|(version, ..)| *version > found) {
        info!(keyspace, version, name, "migrating the schema");
        for statement in statements(text) {
            change(session, &statement).await?;
        }
        let mut insert = Statement::new("INSERT INTO schema_migrations (store, version, name) VALUES (?, ?, ?)");
        insert.set_is_idempotent(true);
        session.query_unpaged(insert, (STORE, version, name)).await?;
    }
    Ok(())
}

/// 0 where there is no schema yet.
async fn version(session: &Session, keyspace: &str) -> Result<i32, Error> {
    let tables =
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_migrations'";
    if !exists(session, tables, (keyspace,)).await? {
        return Ok(0);
    }
    let newest = "SELECT version FROM schema_migrations WHERE store = ? ORDER BY version DESC LIMIT 1";
    let rows =
        session.query_unpaged(newest, (STORE,)).await?.into_rows_result().map_err(|e| Error::Refused(e.to_string()))?;
    let row = rows.maybe_first_row::<(i32,)>().map_err(|e| Error::Refused(e.to_string()))?;
    Ok(row.map_or(0, |(version,)| version))
}

async fn exists(session: &Session, query: &str, values: (&str,)) -> Result<bool, Error> {
    let result = session.query_unpaged(query, values).await?;
    Ok(result.into_rows_result().map_err(|e| Error::Refused(e.to_string()))?.rows_num() > 0)
}

async fn change(session: &Session, text: &str) -> Result<(), Error> {
    let mut statement = Statement::new(text);
    statement.set_is_idempotent(true);
    statement.set_request_timeout(Some(CHANGE_TIMEOUT));
    session.query_unpaged(statement, ()).await?;
    Ok(())
}

/// The statements of a file, without comments. No text in them may hold `--` or `;`.
fn statements(text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    code.join("\n").split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_from_one_without_a_gap() {
        assert!(MIGRATIONS.iter().zip(1..).all(|((version, ..), want)| *version == want));
    }

    #[test]
    fn files_are_split_into_statements_that_may_be_repeated() {
        assert_eq!(statements("-- a; b\nCREATE x; -- c\n\nCREATE\ny ;\n"), ["CREATE x", "CREATE\ny"]);
        for (version, _, text) in MIGRATIONS {
            let statements = statements(text);
            assert!(!statements.is_empty());
            assert!(statements.iter().all(|statement| statement.contains("IF NOT EXISTS")), "{version}");
        }
    }
}
