//! What the writing thread remembers of the tables.
//!
//! Everything here but [`Bodies`] holds only for as long as no other connection has written: each transaction asks
//! SQLite whether one has (`PRAGMA data_version`, after the lock is taken), and clears it if so. What is changed here is
//! written in the same step. After a step that fails nothing is remembered: what it wrote is not there.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    sync::Arc,
};

use jobs_core::{Link, Millis, RunId, SessionId, Token, ledger::Pauses};
use rusqlite::{Connection, OptionalExtension};

use crate::{
    bodies::Bodies,
    fault::Done,
    pieces::LeaseRow,
    rows::{JobRow, LaneRow, RunRow, SessionRow},
};

/// More records than this are forgotten together.
const MOST: usize = 20_000;

#[derive(Default)]
pub(crate) struct Cache {
    /// The last number that was given out, and the last that was written.
    source: Option<(Token, Token)>,
    pub(crate) spaces: HashMap<String, i64>,
    pub(crate) sessions: HashMap<(i64, SessionId), Option<Rc<SessionRow>>>,
    pub(crate) links: HashMap<(i64, Arc<str>), Option<Rc<Link>>>,
    pub(crate) lanes: HashMap<(i64, u32), LaneRow>,
    pub(crate) jobs: HashMap<i64, JobRow>,
    pub(crate) job_ids: HashMap<(i64, Arc<str>), i64>,
    pub(crate) runs: HashMap<RunId, RunRow>,
    pub(crate) held: HashMap<Token, LeaseRow>,
    pub(crate) pauses: HashMap<i64, Rc<Pauses>>,
    /// Up to when the jobs of pauses that have expired were looked at again, by namespace.
    pub(crate) resumed: HashMap<i64, Millis>,
    /// Where the next prune goes on to look for dead items, by namespace: a hint, so it outlives all else.
    pub(crate) dead_after: HashMap<i64, i64>,
    /// Where the next reap goes on to look for runs of which nothing is left, by namespace: a hint too.
    pub(crate) runs_after: HashMap<i64, RunId>,
    /// When the first chunk is due that waits for its time, by namespace.
    pub(crate) due: HashMap<i64, Option<Millis>>,
    /// Bodies never change, and their numbers are not used again: they hold whatever others write.
    pub(crate) bodies: Bodies,
    /// Chunks that this version cannot read: it has said so, and need not try again.
    pub(crate) unreadable: HashSet<i64>,
    clean: bool,
}

impl Cache {
    /// Forgets everything, because a transaction was rolled back: bodies too, for their numbers are given out again.
    pub(crate) fn forget(&mut self) {
        self.clear();
        self.bodies = Bodies::default();
    }

    /// Forgets all that an operation may have changed that is rolled back alone. The numbers that it drew are not given
    /// out again: the operations before it in the transaction have drawn from the same source.
    pub(crate) fn forget_operation(&mut self) {
        let source = self.source;
        self.forget();
        self.source = source;
    }

    /// Forgets all that another connection may have changed.
    pub(crate) fn clear(&mut self) {
        *self = Self {
            bodies: std::mem::take(&mut self.bodies),
            dead_after: std::mem::take(&mut self.dead_after),
            runs_after: std::mem::take(&mut self.runs_after),
            unreadable: std::mem::take(&mut self.unreadable),
            ..Self::default()
        };
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
        if self.unreadable.len() > MOST {
            self.unreadable.clear();
        }
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
                let last = last_number(conn)?;
                (last, last)
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
            let sql = "INSERT INTO source (id, last) VALUES (1, ?1)
                       ON CONFLICT (id) DO UPDATE SET last = excluded.last";
            conn.prepare_cached(sql)?.execute([last.0.cast_signed()])?;
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

/// The last number that was given out. If its row is gone, no number that is in use is given out again.
fn last_number(conn: &Connection) -> Done<Token> {
    let mut select = conn.prepare_cached("SELECT last FROM source")?;
    let last: Option<i64> = select.query_row([], |row| row.get(0)).optional()?;
    let last = match last {
        Some(last) => last,
        None => {
            let used = "SELECT max(coalesce((SELECT max(id) FROM run), 0), coalesce((SELECT max(id) FROM chunk), 0),
                                   coalesce((SELECT max(id) FROM body), 0), coalesce((SELECT max(id) FROM line), 0),
                                   coalesce((SELECT max(id) FROM job), 0), coalesce((SELECT max(id) FROM session), 0),
                                   coalesce((SELECT max(id) FROM dead), 0), coalesce((SELECT max(token) FROM lease), 0),
                                   coalesce((SELECT max(version) FROM cell), 0))";
            conn.query_row(used, [], |row| row.get(0))?
        }
    };
    Ok(Token(last.cast_unsigned()))
}
