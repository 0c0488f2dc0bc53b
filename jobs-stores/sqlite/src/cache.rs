//! What the writing thread remembers of the tables.
//!
//! Everything here but [`Bodies`] holds only for as long as no other connection has written: each transaction asks
//! SQLite whether one has (`PRAGMA data_version`, after the lock is taken), and clears it if so. What is changed here is
//! written in the same step. After a step that fails nothing is remembered: what it wrote is not there.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use jobs_core::{Cell, Link, Millis, RunId, SessionId, Token};
use rusqlite::Connection;

use crate::{
    bodies::Bodies, fault::Done, jobs::Job, lanes::Lane, leases::Held, runs::Run, sessions::Session,
};

/// More records than this are forgotten together.
const MOST: usize = 20_000;

#[derive(Default)]
pub(crate) struct Cache {
    /// The last number that was given out, and the last that was written.
    source: Option<(Token, Token)>,
    pub(crate) spaces: HashMap<String, i64>,
    pub(crate) sessions: HashMap<(i64, SessionId), Option<Rc<Session>>>,
    pub(crate) links: HashMap<(i64, Arc<str>), Option<Rc<Link>>>,
    pub(crate) lanes: HashMap<(i64, u32), Lane>,
    pub(crate) jobs: HashMap<i64, Job>,
    pub(crate) job_ids: HashMap<(i64, Arc<str>), i64>,
    pub(crate) runs: HashMap<RunId, Run>,
    pub(crate) held: HashMap<Token, Held>,
    pub(crate) pauses: HashMap<i64, Rc<Vec<(String, Cell)>>>,
    /// When the first chunk is due that waits for its time, by namespace.
    pub(crate) due: HashMap<i64, Option<Millis>>,
    /// Bodies never change, and their numbers are not used again: they hold whatever others write.
    pub(crate) bodies: Bodies,
    clean: bool,
}

impl Cache {
    /// Forgets everything: bodies too, for their numbers are given out again when what was written is rolled back.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Forgets all that another connection may have changed.
    pub(crate) fn clear(&mut self) {
        let bodies = std::mem::take(&mut self.bodies);
        *self = Self { bodies, ..Self::default() };
    }

    /// Forgets all that says the name or the number of a job. It was written before.
    pub(crate) fn forget_jobs(&mut self) {
        self.jobs.clear();
        self.job_ids.clear();
        self.runs.clear();
        self.held.clear();
        self.due.clear();
    }

    /// Forgets what was not used for long, all at once.
    pub(crate) fn trim(&mut self) {
        let records =
            self.links.len() + self.jobs.len() + self.runs.len() + self.held.len() + self.lanes.len();
        if records > MOST {
            let source = self.source;
            self.clear();
            self.source = source;
        }
    }

    /// The next number of the file's source, at this time.
    pub(crate) fn number(&mut self, conn: &Connection, now: Millis) -> Done<Token> {
        let (last, written) = match self.source {
            Some(source) => source,
            None => {
                let mut last = conn.prepare_cached("SELECT last FROM source")?;
                let last: i64 = last.query_row([], |row| row.get(0))?;
                (Token(last.cast_unsigned()), Token(last.cast_unsigned()))
            }
        };
        let next = last.after(now);
        self.source = Some((next, written));
        Ok(next)
    }

    /// Writes the last number that was given out, once per transaction.
    pub(crate) fn write_source(&mut self, conn: &Connection) -> Done<()> {
        if let Some((last, written)) = &mut self.source
            && last != written
        {
            conn.prepare_cached("UPDATE source SET last = ?1")?.execute([last.0.cast_signed()])?;
            *written = *last;
        }
        Ok(())
    }

    /// Whether something was dropped, or may have been, that is still to be deleted.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.clean
    }

    pub(crate) fn set_dirty(&mut self, dirty: bool) {
        self.clean = !dirty;
    }
}
