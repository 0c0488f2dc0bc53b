//! What is known of jobs, and where their schedules stand.

use std::sync::Arc;

use jobs_core::{Link, TickInfo, ledger::merged};

use crate::{
    fault::Done,
    rows::{JobRow, parsed, text},
    step::Step,
};

const INSERT: &str = "INSERT INTO job (id, ns, name, link, keep_runs, keep_ticks, limited, ticks, finished)
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0)";
/// What is not given stays as it is.
const UPDATE: &str = "UPDATE job SET link = coalesce(?2, link), keep_runs = coalesce(?3, keep_runs),
                                     keep_ticks = coalesce(?4, keep_ticks), limited = ?5,
                                     schedule = coalesce(?6, schedule), next_due = ?7, ticks = ?8, finished = ?9
                      WHERE id = ?1";

impl Step<'_> {
    /// The id of the job with this name, if it is known.
    pub(crate) fn known_job(&mut self, name: &Arc<str>) -> Done<Option<i64>> {
        if let Some(id) = self.cache.job_ids.get(&(self.ns, name.clone())) {
            return Ok(Some(*id));
        }
        let sql = "SELECT id FROM job WHERE ns = ?1 AND name = ?2";
        let id = self.one(sql, (self.ns, &**name), |row| row.get(0))?;
        if let Some(id) = id {
            self.cache.job_ids.insert((self.ns, name.clone()), id);
        }
        Ok(id)
    }

    /// The id of the job with this name; one that nobody has linked yet is made.
    pub(crate) fn job_id(&mut self, name: &Arc<str>) -> Done<i64> {
        if let Some(id) = self.known_job(name)? {
            return Ok(id);
        }
        let id = self.id()?;
        let link = Link::new(name.clone());
        let json = serde_json::to_string(&link)?;
        self.execute(INSERT, (id, self.ns, &**name, json, link.keep_runs, link.keep_ticks))?;
        self.cache.job_ids.insert((self.ns, name.clone()), id);
        Ok(id)
    }

    /// A job; `None` if its row is gone.
    pub(crate) fn job(&mut self, id: i64) -> Done<Option<&mut JobRow>> {
        if !self.cache.jobs.contains_key(&id) {
            let sql = format!("SELECT {} FROM job WHERE id = ?1", JobRow::COLUMNS);
            let Some(job) = self.one(&sql, [id], JobRow::read)? else { return Ok(None) };
            self.cache.jobs.insert(id, job);
        }
        Ok(self.cache.jobs.get_mut(&id))
    }

    /// A job that is going to be changed.
    pub(crate) fn job_mut(&mut self, id: i64) -> Done<Option<&mut JobRow>> {
        self.dirty_jobs.insert(id);
        self.job(id)
    }

    /// A job's name.
    pub(crate) fn job_name(&mut self, id: i64) -> Done<Option<Arc<str>>> {
        Ok(self.job(id)?.map(|job| job.name.clone()))
    }

    /// The schedule of a job was changed.
    pub(crate) fn moved(&mut self, job: i64) -> Done<()> {
        if let Some(job) = self.job_mut(job)? {
            job.moved = true;
        }
        Ok(())
    }

    /// Records verdicts, neighbours that say the same in one record.
    pub(crate) fn record(&mut self, job: i64, verdicts: Vec<TickInfo>) -> Done<()> {
        // What fired stands alone.
        let merges = verdicts.first().is_some_and(|verdict| verdict.run.is_none());
        let last = if merges { self.last_verdict(job)? } else { None };
        let (n, last) = last.unzip();
        let (changed, added) = merged(last, verdicts);
        if let (Some(n), Some(changed)) = (n, changed) {
            let sql = "UPDATE tick SET info = ?3 WHERE job = ?1 AND n = ?2";
            self.execute(sql, (job, n, serde_json::to_string(&changed)?))?;
        }
        let count = added.len();
        for info in added {
            let n = self.id()?;
            let sql = "INSERT INTO tick (job, n, info) VALUES (?1, ?2, ?3)";
            self.execute(sql, (job, n, serde_json::to_string(&info)?))?;
        }
        if count > 0
            && let Some(job) = self.job_mut(job)?
        {
            job.ticks += i64::try_from(count).unwrap_or(i64::MAX);
        }
        Ok(())
    }

    fn last_verdict(&self, job: i64) -> Done<Option<(i64, TickInfo)>> {
        let sql = "SELECT n, info FROM tick WHERE job = ?1 ORDER BY n DESC LIMIT 1";
        let last = self.one(sql, [job], |row| Ok((row.get(0)?, text(row, 1)?)))?;
        Ok(last.and_then(|(n, info)| Some((n, parsed("a verdict record", &info)?))))
    }

    /// Writes the jobs that were changed.
    pub(crate) fn write_jobs(&mut self) -> Done<()> {
        for id in std::mem::take(&mut self.dirty_jobs) {
            let Some(job) = self.cache.jobs.get_mut(&id) else { continue };
            let relinked = std::mem::take(&mut job.relinked);
            let moved = std::mem::take(&mut job.moved);
            let link = if relinked { Some(serde_json::to_string(&job.link)?) } else { None };
            let schedule = job.schedule.as_ref().filter(|_| moved).map(serde_json::to_string).transpose()?;
            self.conn.prepare_cached(UPDATE)?.execute((
                id,
                link,
                relinked.then_some(job.link.keep_runs),
                relinked.then_some(job.link.keep_ticks),
                job.limited,
                schedule,
                job.next_due.map(|due| due.0),
                job.ticks,
                job.finished,
            ))?;
        }
        Ok(())
    }
}
