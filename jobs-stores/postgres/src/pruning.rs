//! Removing what is past what its job keeps.

use sqlx::Row;

use crate::{
    fault::Done,
    runs::run_id,
    step::{Step, most, sql},
};

const OVERFULL: &str = "
    SELECT id, ticks - keep_ticks AS ticks, finished - keep_runs AS runs FROM job
    WHERE ns = $1 AND (ticks > keep_ticks OR finished > keep_runs) ORDER BY id";
const TICKS: &str = "
    DELETE FROM tick WHERE job = $1 AND n = ANY (ARRAY(SELECT n FROM tick WHERE job = $1 ORDER BY n LIMIT $2))";
const RUNS: &str = "SELECT id FROM run WHERE job = $1 AND finished IS NOT NULL ORDER BY finished LIMIT $2";
const COUNT: &str = "UPDATE job SET ticks = ticks - $2, finished = finished - $3 WHERE id = $1";
/// How much of what was dropped is deleted at once.
const SWEEP: i64 = 1_000;

impl Step {
    pub(crate) async fn prune(&mut self, limit: usize) -> Done<usize> {
        self.sweep(SWEEP).await?;
        let mut left = limit - self.drop_expired(limit).await?;
        for row in self.all(sql!(OVERFULL, self.ns)).await? {
            let job: i64 = row.try_get("id")?;
            let ticks = self.prune_ticks(job, at_most(row.try_get("ticks")?, left)).await?;
            left -= ticks;
            let runs = self.prune_runs(job, at_most(row.try_get("runs")?, left)).await?;
            left -= runs;
            self.execute(sql!(COUNT, job, most(ticks), most(runs))).await?;
            if left == 0 {
                break;
            }
        }
        left -= self.prune_dead(left).await?;
        left -= self.prune_recorded(left).await?;
        Ok(limit - left)
    }

    async fn prune_ticks(&mut self, job: i64, over: i64) -> Done<usize> {
        let pruned = if over > 0 { self.execute(sql!(TICKS, job, over)).await? } else { 0 };
        Ok(usize::try_from(pruned).unwrap_or(0))
    }

    async fn prune_runs(&mut self, job: i64, over: i64) -> Done<usize> {
        if over <= 0 {
            return Ok(0);
        }
        let rows = self.all(sql!(RUNS, job, over)).await?;
        for row in &rows {
            self.forget_run(run_id(row)?).await?;
        }
        Ok(rows.len())
    }
}

fn at_most(over: i64, left: usize) -> i64 {
    over.min(most(left))
}
