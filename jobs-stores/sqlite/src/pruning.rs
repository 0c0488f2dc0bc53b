//! Removing what is past what its job keeps.

use crate::{fault::Done, runs::run_id, step::Step};

impl Step<'_> {
    pub(crate) fn prune(&mut self, limit: usize) -> Done<usize> {
        let mut left = limit - self.drop_expired(limit)?;
        let sql =
            "SELECT id FROM job WHERE ns = ?1 AND (ticks > keep_ticks OR finished > keep_runs) ORDER BY id";
        for job in self.all(sql, [self.ns], |row| row.get::<_, i64>(0))? {
            left -= self.prune_ticks(job, left)?;
            left -= self.prune_runs(job, left)?;
            if left == 0 {
                break;
            }
        }
        left -= self.prune_dead(left)?;
        self.give_room_back()?;
        Ok(limit - left)
    }

    /// What was deleted gives its room back to the disk, little by little.
    fn give_room_back(&self) -> Done<()> {
        let mut vacuum = self.conn.prepare_cached("PRAGMA incremental_vacuum(256)")?;
        // One page a row.
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        Ok(())
    }

    fn prune_ticks(&mut self, job: i64, left: usize) -> Done<usize> {
        let job_of = self.job(job)?;
        let over = at_most(job_of.ticks - i64::from(job_of.link.keep_ticks), left);
        let sql = "DELETE FROM tick WHERE job = ?1 AND n IN (SELECT n FROM tick WHERE job = ?1 ORDER BY n LIMIT ?2)";
        let pruned = if over > 0 { self.execute(sql, (job, over))? } else { 0 };
        if pruned > 0 {
            self.job_mut(job)?.ticks -= i64::try_from(pruned).unwrap_or(0);
        }
        Ok(pruned)
    }

    fn prune_runs(&mut self, job: i64, left: usize) -> Done<usize> {
        let job_of = self.job(job)?;
        let over = at_most(job_of.finished - i64::from(job_of.link.keep_runs), left);
        if over <= 0 {
            return Ok(0);
        }
        let sql = "SELECT id FROM run WHERE job = ?1 AND finished IS NOT NULL ORDER BY finished LIMIT ?2";
        let runs = self.all(sql, (job, over), run_id)?;
        let pruned = runs.len();
        for run in runs {
            self.forget_run(run)?;
        }
        self.job_mut(job)?.finished -= i64::try_from(pruned).unwrap_or(0);
        Ok(pruned)
    }
}

fn at_most(over: i64, left: usize) -> i64 {
    over.min(i64::try_from(left).unwrap_or(i64::MAX))
}
