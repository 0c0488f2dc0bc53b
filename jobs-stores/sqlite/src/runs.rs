//! The records of runs.

use jobs_core::{
    Counts, RunId,
    ledger::{Run, Tally},
};

use crate::{
    fault::Done,
    rows::{RunRow, run_id, run_key},
    step::Step,
};

const INSERT: &str =
    "INSERT INTO run (id, ns, job, request, total, ok, retries, dead, discarded, expired, cancelled,
                                       fresh, busy, ended, record)
                      VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0, 0, 0, ?6, ?7, 0, ?8)";
const UPDATE_COUNTS: &str =
    "UPDATE run SET total = ?2, ok = ?3, retries = ?4, dead = ?5, discarded = ?6, expired = ?7,
                                            cancelled = ?8, fresh = ?9
                             WHERE id = ?1";
const UPDATE_PLACE: &str = "UPDATE run SET busy = ?2, ended = ?3 WHERE id = ?1";
const UPDATE_RECORD: &str =
    "UPDATE run SET filled = ?2, finished = ?3, cursor = ?4, record = ?5 WHERE id = ?1";

impl Step<'_> {
    /// A run; `None` if there is none that this version can read.
    pub(crate) fn run(&mut self, id: RunId) -> Done<Option<&RunRow>> {
        if !self.cache.runs.contains_key(&id) {
            let sql = format!("SELECT {} FROM run WHERE id = ?1 AND ns = ?2", RunRow::COLUMNS);
            let run = self.one(&sql, (run_key(id), self.ns), RunRow::read)?.flatten();
            let Some(run) = run else { return Ok(None) };
            self.cache.runs.insert(id, run);
        }
        Ok(self.cache.runs.get(&id))
    }

    /// A run whose counts are going to be changed, and nothing else of it.
    pub(crate) fn count_run(&mut self, id: RunId) -> Done<Option<&mut RunRow>> {
        if self.run(id)?.is_none() {
            return Ok(None);
        }
        self.dirty_runs.insert(id);
        Ok(self.cache.runs.get_mut(&id))
    }

    /// A run that is going to be changed.
    pub(crate) fn change_run(&mut self, id: RunId) -> Done<Option<&mut RunRow>> {
        let Some(run) = self.count_run(id)? else { return Ok(None) };
        run.changed = true;
        Ok(Some(run))
    }

    /// Whether there is a run that this version cannot read.
    pub(crate) fn is_unreadable(&mut self, id: RunId) -> Done<bool> {
        Ok(self.run(id)?.is_none()
            && self.is_any("SELECT 1 FROM run WHERE id = ?1 AND ns = ?2", (run_key(id), self.ns))?)
    }

    /// Adds what was counted to a run.
    pub(crate) fn add(&mut self, id: RunId, tally: Tally) -> Done<()> {
        if tally.is_empty() {
            return Ok(());
        }
        let run = match tally.errors.is_empty() {
            true => self.count_run(id)?,
            false => self.change_run(id)?,
        };
        if let Some(run) = run {
            run.run.add(tally);
        }
        Ok(())
    }

    /// Items of a run are gone, and nobody can say where: it is as if they had not been found.
    pub(crate) fn lose(&mut self, id: RunId, items: u32) -> Done<()> {
        if let Some(RunRow { run, .. }) = self.count_run(id)?.filter(|run| run.run.record.over.is_none()) {
            run.counts.total = run.counts.total.saturating_sub(u64::from(items));
            run.fresh = run.fresh.min(run.counts.total.saturating_sub(run.counts.ended()));
        }
        Ok(())
    }

    /// Stores a new run.
    pub(crate) fn insert_run(&mut self, job: i64, run: Run, request: Option<u64>) -> Done<()> {
        let id = run.id;
        let request = request.map(u64::cast_signed);
        let json = serde_json::to_string(&run.record)?;
        let busy = run.is_busy();
        let total = run.counts.total.cast_signed();
        let values = (run_key(id), self.ns, job, request, total, run.fresh.cast_signed(), busy, json);
        self.execute(INSERT, values)?;
        let row = RunRow { job, run, finished: None, busy, ended: false, changed: false };
        self.cache.runs.insert(id, row);
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

    /// Whether a run may be over, once all that is known of it was changed.
    pub(crate) fn may_be_over(&mut self, id: RunId) -> Done<bool> {
        Ok(self.run(id)?.is_some_and(|run| run.run.has_ended()))
    }

    /// Removes a run.
    pub(crate) fn remove_run(&mut self, id: RunId) -> Done<()> {
        self.cache.runs.remove(&id);
        self.dirty_runs.remove(&id);
        self.execute("DELETE FROM run WHERE id = ?1", [run_key(id)])?;
        Ok(())
    }

    /// Writes the runs that were changed.
    pub(crate) fn write_runs(&mut self) -> Done<()> {
        for id in std::mem::take(&mut self.dirty_runs) {
            let Some(row) = self.cache.runs.get_mut(&id) else { continue };
            let RunRow { run, .. } = row;
            let count = u64::cast_signed;
            let Counts { total, ok, retries, dead, discarded, expired, cancelled } = run.counts;
            self.conn.prepare_cached(UPDATE_COUNTS)?.execute((
                run_key(id),
                count(total),
                count(ok),
                count(retries),
                count(dead),
                count(discarded),
                count(expired),
                count(cancelled),
                count(run.fresh),
            ))?;
            let busy = run.is_busy();
            let ended = run.has_ended();
            if (busy, ended) != (row.busy, row.ended) {
                self.conn.prepare_cached(UPDATE_PLACE)?.execute((run_key(id), busy, ended))?;
                self.marks.runs += u64::from(busy != row.busy);
                row.busy = busy;
                row.ended = ended;
            }
            if std::mem::take(&mut row.changed) {
                let record = serde_json::to_string(&row.run.record)?;
                let filled = row.run.filled.map(|token| token.0.cast_signed());
                let values = (run_key(id), filled, row.finished, &row.run.cursor, record);
                self.conn.prepare_cached(UPDATE_RECORD)?.execute(values)?;
            }
        }
        Ok(())
    }
}
