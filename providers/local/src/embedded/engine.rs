//! chDB as an engine. It is opened at the first statement: until usage is counted or asked for, this process has neither
//! its memory nor its threads; and where it can't be opened, each statement says why, and all else goes on.

use std::path::PathBuf;
use std::sync::Arc;

use er_analytics::{escape_param, Engine, Failure, Statement};
use er_chdb::{Chdb, Error, Options};
use tokio::sync::OnceCell;

const DATABASE: &str = "eventrunner";
/// Where a system-wide chDB lies.
const LIBRARIES: [&str; 2] = ["/usr/local/lib/libchdb.so", "/usr/lib/libchdb.so"];
const NO_LIBRARY: &str =
    "there is no chDB library for the embedded analytics; mend it with: scripts/setup chdb, and the \
                          path of the libchdb.so that it brings as the setting `chdb_lib` of the local provider";

/// A handle to the engine of this process; a clone is a handle to the same one.
#[derive(Clone)]
pub struct Embedded(Arc<Shared>);

struct Shared {
    library: Option<PathBuf>,
    dir: PathBuf,
    memory_bytes_max: u64,
    chdb: OnceCell<Chdb>,
}

// === impl Embedded ===

impl Embedded {
    /// Tables are in `dir`; nothing is opened yet.
    pub fn new(library: Option<PathBuf>, dir: PathBuf, memory_bytes_max: u64) -> Self {
        Self(Arc::new(Shared { library, dir, memory_bytes_max, chdb: OnceCell::new() }))
    }

    async fn chdb(&self) -> Result<&Chdb, Failure> {
        let open = || async {
            // Looked for each time: it may have been brought in since.
            let system = || LIBRARIES.iter().map(PathBuf::from).find(|file| file.exists());
            let library = self.0.library.clone().or_else(system);
            let library = library.ok_or_else(|| Failure::Silent(NO_LIBRARY.into()))?;
            let options =
                Options { memory_bytes_max: self.0.memory_bytes_max, ..Options::new(library, self.0.dir.clone()) };
            Chdb::open(options).await.map_err(|error| Failure::Silent(error.to_string()))
        };
        self.0.chdb.get_or_try_init(open).await
    }

    /// Closes it, if it was opened. Blocks until what runs is done.
    pub fn close(&self) {
        if let Some(chdb) = self.0.chdb.get() {
            chdb.close();
        }
    }
}

impl Engine for Embedded {
    async fn run(&self, statement: Statement) -> Result<bytes::Bytes, Failure> {
        let chdb = self.chdb().await?;
        let query = er_chdb::Query {
            database: (!statement.on_server).then(|| DATABASE.to_owned()),
            sql: statement.sql.into_owned(),
            format: if statement.rows.is_some() { "RowBinary" } else { "TabSeparated" }.into(),
            params: statement.params.iter().map(|(name, value)| ((*name).into(), escape_param(value))).collect(),
            rows: statement.rows.map(Into::into),
        };
        chdb.run(query).await.map(Into::into).map_err(|error| match error {
            Error::Refused { code, message } => Failure::Refused { code, message },
            other => Failure::Silent(other.to_string()),
        })
    }

    fn database(&self) -> &str {
        DATABASE
    }
}
