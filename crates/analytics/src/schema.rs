//! The SQL files, and bringing a database up to them.

use tokio::sync::Mutex;
use tracing::info;

use crate::engine::{Engine, Statement};
use crate::error::Error;

/// A file of `deploy/clickhouse`.
#[derive(Debug, Clone, Copy)]
pub struct File {
    pub version: u32,
    pub name: &'static str,
    pub sql: &'static str,
}

macro_rules! file {
    ($version:literal, $name:literal) => {
        File { version: $version, name: $name, sql: include_str!(concat!("../../../deploy/clickhouse/", $name)) }
    };
}

/// In order. The first holds what the others are noted in.
pub const FILES: [File; 3] =
    [file!(0, "0000_schema_versions.sql"), file!(1, "0001_tenant_usage.sql"), file!(2, "0002_events_by_minute.sql")];
/// What this program knows.
pub const VERSION: u32 = 2;

const FOUND: &str = "SELECT max(version) FROM schema_versions";
const NOTE: &str = "INSERT INTO schema_versions (version, name) SELECT {version:UInt32}, {name:String} \
                    SETTINGS async_insert = 0";

/// Whether the database is up to date, as far as is known.
#[derive(Debug, Default)]
pub struct Schema {
    ready: Mutex<bool>,
}

// === impl Schema ===

impl Schema {
    /// Brings the database up to date, unless that was done. Repeating it is harmless, and so is another that does the
    /// same at the same time.
    pub async fn ensure<E: Engine>(&self, engine: &E) -> Result<(), Error> {
        let mut ready = self.ready.lock().await;
        if !*ready {
            migrate(engine).await?;
            *ready = true;
        }
        Ok(())
    }

    /// Somebody changed it: look again before the next statement.
    pub async fn forget(&self) {
        *self.ready.lock().await = false;
    }
}

async fn migrate<E: Engine>(engine: &E) -> Result<(), Error> {
    let database = engine.database();
    let create = Statement::new(format!("CREATE DATABASE IF NOT EXISTS {}", quoted(database)));
    engine.run(Statement { on_server: true, ..create }).await?;
    let [first, rest @ ..] = FILES;
    apply(engine, &first).await?;
    let found = engine.run(Statement::new(FOUND)).await?;
    let found = std::str::from_utf8(&found).ok().and_then(|text| text.trim().parse::<u32>().ok());
    let found = found.ok_or_else(|| Error::Defect("schema_versions has no number for its version".into()))?;
    if found > VERSION {
        return Err(Error::Newer { database: database.to_owned(), found, known: VERSION });
    }
    for file in rest.iter().filter(|file| file.version > found) {
        apply(engine, file).await?;
        engine.run(Statement::new(NOTE).param("version", file.version).param("name", file.name)).await?;
        info!(database, file = file.name, "schema brought up to date");
    }
    Ok(())
}

async fn apply<E: Engine>(engine: &E, file: &File) -> Result<(), Error> {
    for sql in statements(file.sql) {
        engine.run(Statement::new(sql)).await?;
    }
    Ok(())
}

/// The statements of a file. Comments are lines of their own, and a statement ends with the line that ends with `;`.
fn statements(sql: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut statement = String::new();
    for line in sql.lines().filter(|line| !line.trim_start().starts_with("--") && !line.trim().is_empty()) {
        statement.push_str(line);
        if line.ends_with(';') {
            statement.pop();
            statements.push(std::mem::take(&mut statement));
        } else {
            statement.push('\n');
        }
    }
    statements
}

/// A name that can't be taken for anything else.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_numbered_and_whole() {
        for (place, file) in FILES.iter().enumerate() {
            assert_eq!(file.version as usize, place);
            assert!(file.name.starts_with(&format!("{place:04}_")), "{}", file.name);
            // What follows the last `;` would not be run.
            assert!(
                file.sql.trim_end().ends_with(';')
                    || file.sql.trim_end().lines().last().is_some_and(|l| l.trim_start().starts_with("--"))
            );
            for statement in statements(file.sql) {
                assert!(statement.contains("IF NOT EXISTS"), "can't be repeated: {statement}");
            }
        }
        assert_eq!(FILES.last().map(|file| file.version), Some(VERSION));
    }

    #[test]
    fn a_file_is_cut_into_its_statements() {
        let sql = "-- one; two\nCREATE a\n    -- why;\n    b;\n\nCREATE c;\n";
        assert_eq!(statements(sql), ["CREATE a\n    b", "CREATE c"]);
    }

    #[test]
    fn a_name_stays_a_name() {
        assert_eq!(quoted("a`; DROP DATABASE b; \\"), "`a\\`; DROP DATABASE b; \\\\`");
    }
}
