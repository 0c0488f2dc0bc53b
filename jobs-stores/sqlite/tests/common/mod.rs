//! A file of a test's own.

#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::path::PathBuf;

#[allow(unused_imports, reason = "each test takes what it needs")]
pub(crate) use jobs_conformance::by_hand::{JOB, append, attach, done, filled, fire, numbers, settle};
use jobs_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

pub(crate) struct File {
    pub(crate) directory: TempDir,
}

impl File {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("jobs.db")
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.path())
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.options()).await.unwrap()
    }
}

/// Whether the file is whole.
pub(crate) fn is_whole(path: &std::path::Path) -> bool {
    let conn = rusqlite::Connection::open(path).unwrap();
    let says: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    says == "ok"
}
