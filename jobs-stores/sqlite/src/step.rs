//! One operation in its transaction.

use std::collections::{BTreeMap, BTreeSet};

use jobs_core::{Marks, Millis, RunId, STEP_RECORDS, Token};
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::{cache::Cache, fault::Done};

pub(crate) struct Step<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) cache: &'a mut Cache,
    /// The namespace.
    pub(crate) ns: i64,
    /// The store's time.
    pub(crate) now: Millis,
    /// What those who wait are told when it is committed.
    pub(crate) marks: Marks,
    /// What was changed in the cache and is still to be written.
    pub(crate) dirty_runs: BTreeSet<RunId>,
    pub(crate) dirty_jobs: BTreeSet<i64>,
    pub(crate) dirty_leases: BTreeSet<Token>,
    /// How many items of which bodies have ended.
    pub(crate) ended: BTreeMap<i64, u32>,
    /// How many records it may still touch one by one.
    pub(crate) left: usize,
}

impl<'a> Step<'a> {
    pub(crate) fn new(conn: &'a Connection, cache: &'a mut Cache, space: &str, now: Millis) -> Done<Self> {
        cache.trim();
        let ns = match cache.spaces.get(space) {
            Some(ns) => *ns,
            None => {
                conn.prepare_cached("INSERT OR IGNORE INTO namespace (name) VALUES (?1)")?
                    .execute([space])?;
                let mut select = conn.prepare_cached("SELECT id FROM namespace WHERE name = ?1")?;
                let ns = select.query_row([space], |row| row.get(0))?;
                cache.spaces.insert(space.to_owned(), ns);
                ns
            }
        };
        Ok(Self {
            conn,
            cache,
            ns,
            now,
            marks: Marks::default(),
            dirty_runs: BTreeSet::new(),
            dirty_jobs: BTreeSet::new(),
            dirty_leases: BTreeSet::new(),
            ended: BTreeMap::new(),
            left: STEP_RECORDS,
        })
    }

    /// Whether one more record may be touched; from then on it counts as touched.
    pub(crate) fn may_touch(&mut self) -> bool {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// The next number of the source.
    pub(crate) fn number(&mut self) -> Done<Token> {
        self.cache.number(self.conn, self.now)
    }

    /// The same, as SQLite keeps it.
    pub(crate) fn id(&mut self) -> Done<i64> {
        Ok(self.number()?.0.cast_signed())
    }

    pub(crate) fn execute(&self, sql: &str, values: impl Params) -> Done<usize> {
        Ok(self.conn.prepare_cached(sql)?.execute(values)?)
    }

    /// The first row.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Done<Option<T>> {
        Ok(self.conn.prepare_cached(sql)?.query_row(values, read).optional()?)
    }

    /// All rows.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Done<Vec<T>> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let rows = statement.query_map(values, read)?.collect::<rusqlite::Result<_>>()?;
        Ok(rows)
    }

    /// Whether there is a row.
    pub(crate) fn is_any(&self, sql: &str, values: impl Params) -> Done<bool> {
        Ok(self.conn.prepare_cached(sql)?.exists(values)?)
    }
}
