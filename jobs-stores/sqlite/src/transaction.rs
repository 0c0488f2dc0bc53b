//! A transaction that writes.

use jobs_core::notice;
use rusqlite::Connection;

use crate::{connection::patiently, fault::Done};

/// Rolled back unless it is committed. Unlike rusqlite's, its statements are prepared once.
pub(crate) struct Transaction<'c> {
    conn: &'c Connection,
}

impl<'c> Transaction<'c> {
    /// Begins as soon as no other process writes. With the lock taken at once: a transaction that reads first and
    /// then wants to write fails when another one wrote meanwhile, however long it waits.
    pub(crate) fn begin(conn: &'c Connection, location: &str) -> Done<Self> {
        patiently(location, || Ok(conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?))?;
        Ok(Self { conn })
    }

    /// What was written is there for all from now on.
    pub(crate) fn commit(self) -> Done<()> {
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // Of some errors SQLite has rolled it back itself.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            notice::warn("sqlite-rollback", format!("a transaction could not be rolled back: {error}"));
        }
    }
}
