//! A file of SQLite.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jobs_conformance::Fixture;
use jobs_core::{BoxError, BoxFuture, Store};
use jobs_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use super::{Place, packed};
use crate::teller::Told;

/// What a kept file is called.
const KEPT: &str = "jobs.db.gz";

/// What is called what was sent by a process that went on.
const BESIDE: &str = "beside.sql.gz";

/// A file in a folder of its own.
#[derive(Debug)]
pub struct SqlitePlace {
    folder: TempDir,
}

impl SqlitePlace {
    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("jobs.db")
    }
}

impl Fixture for SqlitePlace {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        let options = SqliteOptions::new(self.path()).clock_offset(offset);
        Box::pin(async move { Ok(Arc::new(SqliteStore::open(options).await?) as Arc<dyn Store>) })
    }
}

impl Place for SqlitePlace {
    const STORE: &str = "sqlite";

    fn empty() -> Told<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    async fn copy(folder: &Path) -> Told<Self> {
        let place = Self::empty()?;
        fs::write(place.path(), packed::unpacked(&folder.join(KEPT))?)?;
        Ok(place)
    }

    fn keep(&self, folder: &Path) -> Told {
        let conn = rusqlite::Connection::open(self.path())?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        conn.execute_batch("VACUUM")?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        drop(conn);
        packed::pack(&fs::read(self.path())?, &folder.join(KEPT))
    }

    async fn play(&self, folder: &Path, _seconds: i64) -> Told {
        let statements = String::from_utf8(packed::unpacked(&folder.join(BESIDE))?)?;
        let conn = rusqlite::Connection::open(self.path())?;
        conn.busy_timeout(Duration::from_secs(30))?;
        Ok(conn.execute_batch(&statements)?)
    }
}
