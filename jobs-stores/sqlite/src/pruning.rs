//! Removing what is past what its job keeps.

use jobs_core::{
    Pruned,
    ledger::{over, share_of},
};

use crate::{
    fault::Done,
    rows::{limit, run_id},
    step::Step,
};

/// The most jobs with dead items that one prune looks at.
const JOBS: usize = 200;

const TOO_MANY_TICKS: &str = "SELECT id FROM job WHERE ns = ?1 AND ticks > keep_ticks ORDER BY id LIMIT ?2";
const TOO_MANY_RUNS: &str = "SELECT id FROM job WHERE ns = ?1 AND finished > keep_runs ORDER BY id LIMIT ?2";
const DELETE_TICKS: &str =
    "DELETE FROM tick WHERE job = ?1 AND n IN (SELECT n FROM tick WHERE job = ?1 ORDER BY n LIMIT ?2)";
const DELETE_DEAD: &str = "DELETE FROM dead WHERE id IN
                           (SELECT id FROM dead WHERE job = ?1 AND died < ?2 ORDER BY died LIMIT ?3)";

impl Step<'_> {
    /// At most `most` records of each kind.
    pub(crate) fn prune(&mut self, most: usize) -> Done<Pruned> {
        let mut pruned = Pruned::default();
        self.write_jobs()?;
        let cells = self.drop_expired(most)?;
        pruned.removed += cells;
        pruned.more |= cells == most;
        let too_many = self.all(TOO_MANY_TICKS, (self.ns, limit(most)), |row| row.get(0))?;
        for job in &too_many {
            pruned.more |= self.prune_ticks(*job, share_of(most, too_many.len()), &mut pruned.removed)?;
        }
        pruned.more |= too_many.len() == most;
        let too_many = self.all(TOO_MANY_RUNS, (self.ns, limit(most)), |row| row.get(0))?;
        for job in &too_many {
            pruned.more |= self.prune_runs(*job, share_of(most, too_many.len()), &mut pruned.removed)?;
        }
        pruned.more |= too_many.len() == most;
        pruned.more |= self.prune_dead(most, &mut pruned.removed)?;
        self.give_room_back()?;
        Ok(pruned)
    }

    /// What was deleted gives its room back to the disk, little by little.
    fn give_room_back(&self) -> Done<()> {
        let mut vacuum = self.conn.prepare_cached("PRAGMA incremental_vacuum(256)")?;
        // One page a row.
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }

    /// Removes verdict records, at most `share`, and says whether the job has still too many.
    fn prune_ticks(&mut self, job: i64, share: usize, removed: &mut usize) -> Done<bool> {
        let Some(row) = self.job_mut(job)? else { return Ok(false) };
        let too_many = over(row.ticks.max(0).cast_unsigned(), row.link.keep_ticks);
        let pruned = self.execute(DELETE_TICKS, (job, limit(too_many.min(share))))?;
        *removed += pruned;
        let ticks = match pruned < too_many.min(share) {
            // Some were deleted by hand.
            true => self.count_of("SELECT count(*) FROM tick WHERE job = ?1", job)?,
            false => self.job(job)?.map_or(0, |row| row.ticks) - count(pruned),
        };
        if let Some(row) = self.job_mut(job)? {
            row.ticks = ticks;
        }
        Ok(too_many > share)
    }

    /// Removes finished runs, at most `share`, and says whether the job has still too many.
    fn prune_runs(&mut self, job: i64, share: usize, removed: &mut usize) -> Done<bool> {
        let Some(row) = self.job_mut(job)? else { return Ok(false) };
        let too_many = over(row.finished.max(0).cast_unsigned(), row.link.keep_runs);
        let sql = "SELECT id FROM run WHERE job = ?1 AND finished IS NOT NULL ORDER BY finished LIMIT ?2";
        let runs = self.all(sql, (job, limit(too_many.min(share))), run_id)?;
        let pruned = runs.len();
        for run in runs {
            self.remove_run(run)?;
        }
        *removed += pruned;
        let finished = match pruned < too_many.min(share) {
            true => self.count_of("SELECT count(*) FROM run WHERE job = ?1 AND finished IS NOT NULL", job)?,
            false => self.job(job)?.map_or(0, |row| row.finished) - count(pruned),
        };
        if let Some(row) = self.job_mut(job)? {
            row.finished = finished;
        }
        Ok(too_many > share)
    }

    fn count_of(&self, sql: &str, job: i64) -> Done<i64> {
        Ok(self.one(sql, [job], |row| row.get(0))?.unwrap_or(0))
    }

    /// Removes at most `most` dead items past their time, and says whether there may be more. Looks only at jobs that
    /// have any, and goes on where the last call ended.
    fn prune_dead(&mut self, most: usize, removed: &mut usize) -> Done<bool> {
        let mut left = most;
        let mut after = self.cache.dead_after.get(&self.ns).copied().unwrap_or(i64::MIN);
        for _ in 0..JOBS {
            let next = "SELECT dead.job FROM dead JOIN job ON job.id = dead.job
                        WHERE dead.job > ?1 AND job.ns = ?2 ORDER BY dead.job LIMIT 1";
            let Some(job) = self.one(next, (after, self.ns), |row| row.get(0))? else {
                self.cache.dead_after.remove(&self.ns);
                return Ok(false);
            };
            let Some(keep) = self.job(job)?.map(|row| row.link.keep_dead) else { continue };
            let pruned = self.execute(DELETE_DEAD, (job, (self.now - keep).0, limit(left)))?;
            *removed += pruned;
            left -= pruned;
            if left == 0 {
                break;
            }
            after = job;
        }
        self.cache.dead_after.insert(self.ns, after);
        Ok(true)
    }
}

fn count(records: usize) -> i64 {
    i64::try_from(records).unwrap_or(i64::MAX)
}
