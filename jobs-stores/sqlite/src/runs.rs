//! The records of runs.

use jobs_core::{Counts, ErrorGroup, Millis, RunId, RunReport, RunState, SessionId, Token, Trigger};
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::{fault::Done, step::Step};

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) job: i64,
    pub(crate) counts: Counts,
    /// Items whose first attempt is not settled.
    pub(crate) fresh: u64,
    /// The lease under which the query went through.
    pub(crate) filled: Option<Token>,
    finished: Option<i64>,
    /// For a query that is called page by page: where the next page begins.
    pub(crate) cursor: Option<Vec<u8>>,
    record: Record,
    /// What the indexes say.
    busy: bool,
    ended: bool,
    /// Whether more than the counts is to be written.
    changed: bool,
}

/// What no statement looks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) trigger: Trigger,
    pub(crate) tick: Option<Millis>,
    pub(crate) started_at: Millis,
    pub(crate) note: Option<String>,
    pub(crate) errors: Vec<ErrorGroup>,
    /// The lease that came with the answer to the fire, for its repeat.
    pub(crate) first: Option<(SessionId, Token)>,
    /// The filling, until the fill item is settled.
    pub(crate) fill: Option<Fill>,
    /// The number of the last append.
    pub(crate) last_append: u64,
    /// Whether an item has been leased.
    pub(crate) begun: bool,
    pub(crate) query_failed: bool,
    pub(crate) cancelled: bool,
    /// How it ended, and when.
    pub(crate) over: Option<(RunState, Millis)>,
}

impl Record {
    /// Of a run in which nothing has happened.
    pub(crate) fn new(trigger: Trigger, started_at: Millis) -> Self {
        Self {
            trigger,
            tick: None,
            started_at,
            note: None,
            errors: Vec::new(),
            first: None,
            fill: None,
            last_append: 0,
            begun: false,
            query_failed: false,
            cancelled: false,
            over: None,
        }
    }
}

/// What a query has found so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fill {
    /// The lease under which it is appended, and the number of the next append.
    pub(crate) lease: Option<Token>,
    pub(crate) seq: u64,
    /// Where that is which was found, and is not to be seen before all is.
    pub(crate) line: Option<i64>,
    pub(crate) staged: u64,
}

/// The columns of a run, in the order in which [`Run::read`] reads them.
pub(crate) const COLUMNS: &str = "id, job, total, ok, retries, dead, discarded, expired, cancelled, fresh, filled, busy, \
                                  ended, finished, cursor, record";

const INSERT: &str =
    "INSERT INTO run (id, ns, job, request, total, ok, retries, dead, discarded, expired, cancelled, fresh,
                                       busy, ended, record)
                      VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0, 0, ?6, ?7, 0, ?8)";
const UPDATE_COUNTS: &str =
    "UPDATE run SET total = ?2, ok = ?3, retries = ?4, dead = ?5, discarded = ?6, expired = ?7,
                                            cancelled = ?8, fresh = ?9
                             WHERE id = ?1";
const UPDATE_PLACE: &str = "UPDATE run SET busy = ?2, ended = ?3 WHERE id = ?1";
const UPDATE_RECORD: &str =
    "UPDATE run SET filled = ?2, finished = ?3, cursor = ?4, record = ?5 WHERE id = ?1";

impl Run {
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let record: String = row.get(15)?;
        let record = serde_json::from_str(&record).map_err(|error| unreadable(15, error))?;
        Ok(Self {
            id: RunId::new(number(0)?),
            job: row.get(1)?,
            counts: Counts {
                total: number(2)?,
                ok: number(3)?,
                retries: number(4)?,
                dead: number(5)?,
                discarded: number(6)?,
                expired: number(7)?,
                cancelled: number(8)?,
            },
            fresh: number(9)?,
            filled: row.get::<_, Option<i64>>(10)?.map(|token| Token(token.cast_unsigned())),
            busy: row.get(11)?,
            ended: row.get(12)?,
            finished: row.get(13)?,
            cursor: row.get(14)?,
            record,
            changed: false,
        })
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    pub(crate) fn record_mut(&mut self) -> &mut Record {
        self.changed = true;
        &mut self.record
    }

    /// While it fills, or an item's first attempt is not settled, it holds the ticks of its job.
    fn is_busy(&self) -> bool {
        self.record.over.is_none() && (self.record.fill.is_some() || self.fresh > 0)
    }

    /// Whether filling is over and every item has ended.
    pub(crate) fn has_ended(&self) -> bool {
        let Record { over, fill, .. } = &self.record;
        over.is_none() && fill.is_none() && self.counts.ended() == self.counts.total
    }

    /// The state in which it ends.
    fn verdict(&self) -> RunState {
        let Counts { total, dead, .. } = self.counts;
        match () {
            () if self.record.cancelled => RunState::Cancelled,
            () if self.record.query_failed || (dead > 0 && dead == total) => RunState::Failed,
            () if dead > 0 => RunState::Partial,
            () => RunState::Succeeded,
        }
    }

    /// Ends it, as the `finished`-th of the file.
    pub(crate) fn end(&mut self, finished: i64, now: Millis) {
        let verdict = self.verdict();
        self.record_mut().over = Some((verdict, now));
        self.finished = Some(finished);
    }

    pub(crate) fn report(&self, job: &str) -> RunReport {
        let Record { trigger, tick, started_at, note, errors, fill, begun, over, .. } = &self.record;
        let mut report = RunReport::new(self.id, job, *trigger, started_at.timestamp());
        report.tick = tick.map(Millis::timestamp);
        report.state = match (over, fill) {
            (Some((state, _)), _) => *state,
            _ if !begun => RunState::Queued,
            (None, Some(_)) => RunState::Filling,
            (None, None) => RunState::Working,
        };
        report.counts = self.counts;
        report.errors.clone_from(errors);
        report.finished_at = over.map(|(_, at)| at.timestamp());
        report.note.clone_from(note);
        report
    }
}

/// A column that holds something else than this version writes.
pub(crate) fn unreadable(column: usize, error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error.into())
}

fn key(run: RunId) -> i64 {
    run.number().cast_signed()
}

impl Step<'_> {
    /// A run.
    pub(crate) fn run(&mut self, id: RunId) -> Done<Option<&Run>> {
        if !self.cache.runs.contains_key(&id) {
            let sql = const_format(COLUMNS);
            let Some(run) = self.one(&sql, (key(id), self.ns), Run::read)? else { return Ok(None) };
            self.cache.runs.insert(id, run);
        }
        Ok(self.cache.runs.get(&id))
    }

    /// A run that is going to be changed.
    pub(crate) fn run_mut(&mut self, id: RunId) -> Done<Option<&mut Run>> {
        if self.run(id)?.is_none() {
            return Ok(None);
        }
        self.dirty_runs.insert(id);
        Ok(self.cache.runs.get_mut(&id))
    }

    /// Stores a new run, with so many items, of which so many are fresh.
    pub(crate) fn insert_run(
        &mut self,
        id: RunId,
        job: i64,
        (total, fresh): (u64, u64),
        request: Option<u64>,
        record: Record,
    ) -> Done<()> {
        let request = request.map(u64::cast_signed);
        let json = serde_json::to_string(&record)?;
        let counts = Counts { total, ..Counts::default() };
        let mut run = Run {
            id,
            job,
            counts,
            fresh,
            filled: None,
            finished: None,
            cursor: None,
            record,
            busy: false,
            ended: false,
            changed: false,
        };
        run.busy = run.is_busy();
        self.execute(
            INSERT,
            (key(id), self.ns, job, request, total.cast_signed(), fresh.cast_signed(), run.busy, json),
        )?;
        self.cache.runs.insert(id, run);
        Ok(())
    }

    /// The run that somebody asked for by this id.
    pub(crate) fn run_of_request(&self, request: u64) -> Done<Option<RunId>> {
        let sql = "SELECT id FROM run WHERE ns = ?1 AND request = ?2";
        self.one(sql, (self.ns, request.cast_signed()), run_id)
    }

    /// The run of a job that holds its ticks, the oldest of them.
    pub(crate) fn busy_run(&mut self, job: i64) -> Done<Option<RunId>> {
        self.write_runs()?;
        let sql = "SELECT id FROM run WHERE job = ?1 AND busy = 1 ORDER BY id LIMIT 1";
        self.one(sql, [job], run_id)
    }

    /// Says whether a run may be over, once all that is known of it was changed.
    pub(crate) fn may_be_over(&mut self, id: RunId) -> Done<bool> {
        Ok(self.run(id)?.is_some_and(Run::has_ended))
    }

    /// Forgets a run.
    pub(crate) fn forget_run(&mut self, id: RunId) -> Done<()> {
        self.cache.runs.remove(&id);
        self.dirty_runs.remove(&id);
        self.execute("DELETE FROM run WHERE id = ?1", [key(id)])?;
        Ok(())
    }

    /// Writes the runs that were changed.
    pub(crate) fn write_runs(&mut self) -> Done<()> {
        for id in std::mem::take(&mut self.dirty_runs) {
            let Some(run) = self.cache.runs.get_mut(&id) else { continue };
            let count = u64::cast_signed;
            let Counts { total, ok, retries, dead, discarded, expired, cancelled } = run.counts;
            self.conn.prepare_cached(UPDATE_COUNTS)?.execute((
                key(id),
                count(total),
                count(ok),
                count(retries),
                count(dead),
                count(discarded),
                count(expired),
                count(cancelled),
                count(run.fresh),
            ))?;
            let (busy, ended) = (run.is_busy(), run.has_ended());
            if (busy, ended) != (run.busy, run.ended) {
                self.conn.prepare_cached(UPDATE_PLACE)?.execute((key(id), busy, ended))?;
                self.marks.runs += u64::from(busy != run.busy);
                (run.busy, run.ended) = (busy, ended);
            }
            if std::mem::take(&mut run.changed) {
                let record = serde_json::to_string(&run.record)?;
                let filled = run.filled.map(|token| token.0.cast_signed());
                let values = (key(id), filled, run.finished, &run.cursor, record);
                self.conn.prepare_cached(UPDATE_RECORD)?.execute(values)?;
            }
        }
        Ok(())
    }
}

fn const_format(columns: &str) -> String {
    format!("SELECT {columns} FROM run WHERE id = ?1 AND ns = ?2")
}

pub(crate) fn run_id(row: &Row<'_>) -> rusqlite::Result<RunId> {
    row.get(0).map(|id: i64| RunId::new(id.cast_unsigned()))
}
