//! A file.

use std::{path::Path, sync::Arc};

use jobs_core::{BoxError, BoxFuture, Millis, Store};
use jobs_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use super::{Place, offset};

pub(super) struct OnSqlite {
    folder: TempDir,
    store: SqliteStore,
}

impl OnSqlite {
    pub(super) async fn new() -> Result<Self, BoxError> {
        // Nothing here outlives the process, so nothing has to reach a disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory)? } else { TempDir::new()? };
        let store = SqliteStore::open(options(&folder)).await?;
        Ok(Self { folder, store })
    }
}

fn options(folder: &TempDir) -> SqliteOptions {
    SqliteOptions::new(folder.path().join("jobs.db"))
}

impl Place for OnSqlite {
    fn at(&self, now: Millis) -> Arc<dyn Store> {
        Arc::new(self.store.shifted(offset(now)))
    }

    fn reconnect(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async {
            self.store = SqliteStore::open(options(&self.folder)).await?;
            Ok(())
        })
    }
}
