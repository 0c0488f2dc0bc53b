//! The records of runs.
//!
//! What settling counts stands in `tally` at first, see `tallies.rs`: a run is locked by who fires it, fills it or ends it.

use jobs_core::{Counts, ErrorGroup, Millis, RunId, RunReport, RunState, SessionId, Token, Trigger};
use serde::{Deserialize, Serialize};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::{Done, Fault},
    step::{Step, sql, unsigned},
    tallies::{FOLD, Tally, counts},
};

/// A run that is locked.
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
    begun: bool,
    pub(crate) cancelled: bool,
    pub(crate) record: Record,
    busy: bool,
    ended: bool,
    /// Whether it is to be written.
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
    pub(crate) query_failed: bool,
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
            query_failed: false,
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

const LOCK: &str = "SELECT * FROM run WHERE id = $1 AND ns = $2 FOR UPDATE";
const INSERT: &str = "
    INSERT INTO run (id, ns, job, request, total, fresh, filling, busy, record)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const UPDATE: &str = "
    UPDATE run SET total = $2, ok = $3, retries = $4, dead = $5, discarded = $6, expired = $7, cancelled = $8,
                   fresh = $9, filling = $10, busy = $11, ended = $12, filled = $13, finished = $14, cursor = $15,
                   is_cancelled = $16, record = $17
    WHERE id = $1";
/// The run of a job that holds its ticks, the oldest of them.
const BUSY: &str = "
    SELECT id FROM run WHERE job = $1 AND busy AND (filling OR fresh > (
        SELECT coalesce(sum(tally.fresh), 0) FROM tally WHERE tally.ns = $2 AND tally.run = run.id))
    ORDER BY id LIMIT 1";
impl Run {
    pub(crate) fn read(row: &PgRow) -> Done<Self> {
        Ok(Self {
            id: RunId::new(unsigned(row, "id")?),
            job: row.try_get("job")?,
            counts: Counts { total: unsigned(row, "total")?, ..counts(row)? },
            fresh: unsigned(row, "fresh")?,
            filled: row.try_get::<Option<i64>, _>("filled")?.map(|token| Token(token.cast_unsigned())),
            finished: row.try_get("finished")?,
            cursor: row.try_get("cursor")?,
            begun: row.try_get("begun")?,
            cancelled: row.try_get("is_cancelled")?,
            record: serde_json::from_str(row.try_get("record")?)?,
            busy: row.try_get("busy")?,
            ended: row.try_get("ended")?,
            changed: false,
        })
    }

    /// Adds what was counted.
    pub(crate) fn add(&mut self, tally: Tally) {
        let Tally { counts, fresh, errors } = tally;
        self.counts.ok += counts.ok;
        self.counts.retries += counts.retries;
        self.counts.dead += counts.dead;
        self.counts.discarded += counts.discarded;
        self.counts.expired += counts.expired;
        self.counts.cancelled += counts.cancelled;
        self.fresh = self.fresh.saturating_sub(fresh);
        for group in errors {
            ErrorGroup::add(&mut self.record.errors, group);
        }
        self.changed = true;
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
            () if self.cancelled => RunState::Cancelled,
            () if self.record.query_failed || (dead > 0 && dead == total) => RunState::Failed,
            () if dead > 0 => RunState::Partial,
            () => RunState::Succeeded,
        }
    }

    /// Ends it, as the `finished`-th of the schema.
    pub(crate) fn end(&mut self, finished: i64, now: Millis) {
        self.record.over = Some((self.verdict(), now));
        self.finished = Some(finished);
    }

    pub(crate) fn report(&self, job: &str) -> RunReport {
        let Record { trigger, tick, started_at, note, errors, fill, over, .. } = &self.record;
        let mut report = RunReport::new(self.id, job, *trigger, started_at.timestamp());
        report.tick = tick.map(Millis::timestamp);
        report.state = match (over, fill) {
            (Some((state, _)), _) => *state,
            _ if !self.begun => RunState::Queued,
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

pub(crate) fn key(run: RunId) -> i64 {
    run.number().cast_signed()
}

pub(crate) fn run_id(row: &PgRow) -> Done<RunId> {
    Ok(RunId::new(row.try_get::<i64, _>(0)?.cast_unsigned()))
}

impl Step {
    /// A run, locked from now on.
    pub(crate) async fn run(&mut self, id: RunId) -> Done<Option<&mut Run>> {
        if !self.runs.contains_key(&id) {
            let Some(row) = self.one(sql!(LOCK, key(id), self.ns)).await? else { return Ok(None) };
            self.runs.insert(id, Run::read(&row)?);
        }
        Ok(self.runs.get_mut(&id))
    }

    /// Remembers a run that is locked, from its columns.
    pub(crate) fn know_run(&mut self, row: &PgRow) -> Done<()> {
        let run = Run::read(row)?;
        self.runs.entry(run.id).or_insert(run);
        Ok(())
    }

    /// A run that is going to be changed, locked from now on.
    pub(crate) async fn run_mut(&mut self, id: RunId) -> Done<Option<&mut Run>> {
        let mut run = self.run(id).await?;
        if let Some(run) = &mut run {
            run.changed = true;
        }
        Ok(run)
    }

    /// Stores a new run, with so many items, of which so many are fresh.
    pub(crate) async fn insert_run(
        &mut self,
        id: RunId,
        job: i64,
        (total, fresh): (u64, u64),
        request: Option<u64>,
        record: Record,
    ) -> Done<()> {
        let json = serde_json::to_string(&record)?;
        let filling = record.fill.is_some();
        let (request, busy) = (request.map(u64::cast_signed), filling || fresh > 0);
        let (of_total, of_fresh) = (total.cast_signed(), fresh.cast_signed());
        self.execute(sql!(INSERT, key(id), self.ns, job, request, of_total, of_fresh, filling, busy, json))
            .await?;
        let run = Run {
            id,
            job,
            counts: Counts { total, ..Counts::default() },
            fresh,
            filled: None,
            finished: None,
            cursor: None,
            begun: false,
            cancelled: false,
            record,
            busy,
            ended: false,
            changed: false,
        };
        self.runs.insert(id, run);
        Ok(())
    }

    /// The run that somebody asked for by this id.
    pub(crate) async fn run_of_request(&mut self, request: u64) -> Done<Option<RunId>> {
        let sql = "SELECT id FROM run WHERE ns = $1 AND request = $2";
        let row = self.one(sql!(sql, self.ns, request.cast_signed())).await?;
        row.map(|row| run_id(&row)).transpose()
    }

    /// The run of a job that holds its ticks, the oldest of them.
    pub(crate) async fn busy_run(&mut self, job: i64) -> Done<Option<RunId>> {
        self.write_runs().await?;
        let row = self.one(sql!(BUSY, job, self.ns)).await?;
        row.map(|row| run_id(&row)).transpose()
    }

    /// Forgets a run.
    pub(crate) async fn forget_run(&mut self, id: RunId) -> Done<()> {
        self.runs.remove(&id);
        self.execute(sql!("DELETE FROM run WHERE id = $1", key(id))).await?;
        self.execute(sql!(FOLD, self.ns, key(id))).await?;
        Ok(())
    }

    /// Writes the runs that were changed.
    pub(crate) async fn write_runs(&mut self) -> Done<()> {
        let changed = self.runs.values().filter(|run| run.changed).map(|run| run.id);
        for id in changed.collect::<Vec<_>>() {
            let Some(run) = self.runs.get_mut(&id) else { continue };
            let Counts { total, ok, retries, dead, discarded, expired, cancelled } = run.counts;
            let [total, ok, retries, dead, discarded, expired, cancelled, fresh] =
                [total, ok, retries, dead, discarded, expired, cancelled, run.fresh].map(u64::cast_signed);
            let (busy, ended) = (run.is_busy(), run.has_ended());
            self.marks.runs += u64::from((busy, ended) != (run.busy, run.ended));
            (run.busy, run.ended, run.changed) = (busy, ended, false);
            let record = serde_json::to_string(&run.record)?;
            let filled = run.filled.map(|token| token.0.cast_signed());
            let filling = run.record.fill.is_some();
            let (finished, cursor, is_cancelled) = (run.finished, run.cursor.clone(), run.cancelled);
            let statement = sql!(
                UPDATE,
                key(id),
                total,
                ok,
                retries,
                dead,
                discarded,
                expired,
                cancelled,
                fresh,
                filling,
                busy,
                ended,
                filled,
                finished,
                cursor,
                is_cancelled,
                record
            );
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// The next place among runs that are over.
    pub(crate) async fn next_finished(&mut self) -> Done<i64> {
        self.value(sql!("SELECT nextval('finished')")).await
    }

    /// The report of a run.
    pub(crate) async fn report(&mut self, id: RunId) -> Done<RunReport> {
        let job = self.run(id).await?.map(|run| run.job).ok_or(Fault::Missing("a run"))?;
        let name = self.job_name(job).await?;
        let report = self.folded(id).await?.map(|run| run.report(&name));
        report.ok_or(Fault::Missing("a run"))
    }
}
