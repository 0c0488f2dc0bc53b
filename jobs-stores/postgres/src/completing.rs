//! Ends of runs: completed, or cancelled.

use jobs_core::{Body, Completion, Counts, End, Header, RunId, RunReport};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::{Done, Fault},
    runs::key,
    step::{Step, sql},
    tallies::Tally,
};

const DELAYED: &str = "
    WITH gone AS (DELETE FROM delayed WHERE job = $1 AND number = $2 RETURNING *)
    SELECT gone.start, gone.count, body, at, gone.header, body.header AS of_body
    FROM gone LEFT JOIN body ON body.id = gone.body ORDER BY due, gone.id";
/// All that is ready of a run, but for what its query found and nobody has touched.
const TOUCHED: &str = "
    WITH of_run AS MATERIALIZED (
        SELECT ready.line, ready.rank, ready.number, ready.start, ready.id FROM line JOIN ready ON ready.line = line.id
        WHERE line.job = $1 AND line.rank IS NOT NULL AND ready.number = $2
              AND (line.id <> $3 OR ready.header IS NOT NULL)),
    gone AS (
        DELETE FROM ready USING of_run WHERE ready.line = of_run.line AND ready.rank = of_run.rank
            AND ready.number = of_run.number AND ready.start = of_run.start AND ready.id = of_run.id
        RETURNING ready.*)
    SELECT gone.start, gone.count, body, at, gone.header, body.header AS of_body
    FROM gone LEFT JOIN body ON body.id = gone.body ORDER BY gone.id";

impl Step {
    pub(crate) async fn complete(&mut self, id: RunId, finish: bool) -> Done<Completion> {
        let Some(run) = self.folded(id).await? else { return Ok(Completion::Unknown) };
        let job = run.job;
        if run.record.over.is_some() {
            return Ok(Completion::Already(Box::new(self.report(id).await?)));
        }
        if !run.has_ended() {
            return Ok(Completion::Open);
        }
        let (finished, now) = (self.next_finished().await?, self.now);
        let run = self.run_mut(id).await?.ok_or(Fault::Missing("a run"))?;
        run.end(finished, now);
        self.execute(sql!("UPDATE job SET finished = finished + 1 WHERE id = $1", job)).await?;
        self.marks.runs += 1;
        let report = self.report(id).await?;
        if finish {
            self.store_finish(&report, job).await?;
        }
        Ok(Completion::Completed(Box::new(report)))
    }

    async fn store_finish(&mut self, report: &RunReport, job: i64) -> Done<()> {
        let body = Body::one(report)?;
        let job_of = self.job(job).await?;
        let (name, priority) = (job_of.name.clone(), job_of.link.priority);
        let header = Header::of_finish(report, &name, priority, self.now);
        self.store_new(job, &header, &[body]).await
    }

    /// Cancels a run: `None` if there is none, `false` if it is over.
    pub(crate) async fn cancel(&mut self, id: RunId) -> Done<Option<bool>> {
        let Some(run) = self.folded(id).await? else { return Ok(None) };
        if run.record.over.is_some() || run.has_ended() {
            return Ok(Some(false));
        }
        let job = run.job;
        if let Some(run) = self.run_mut(id).await? {
            run.cancelled = true;
        }
        self.unstage_cancelled(id).await?;
        let own = self.line_of_run(job, id).await?;
        self.cancel_waiting(job, id, own).await?;
        if let Some(line) = own {
            self.cancel_line(line, id).await?;
        }
        let lines: Vec<i64> =
            self.values(sql!("SELECT id FROM line WHERE job = $1 AND rank IS NOT NULL", job)).await?;
        for line in lines {
            self.restand(line).await?;
        }
        self.marks.control += 1;
        Ok(Some(true))
    }

    /// What was found so far is dropped; the fill item ends when it is settled.
    async fn unstage_cancelled(&mut self, id: RunId) -> Done<()> {
        let lease = self.run(id).await?.and_then(|run| run.record.fill.as_ref()?.lease);
        self.unstage(id).await?;
        if let Some(run) = self.run_mut(id).await?
            && let Some(fill) = &mut run.record.fill
        {
            fill.lease = lease;
        }
        Ok(())
    }

    /// Ends what waits of a run, but for what its query found and nobody has touched.
    async fn cancel_waiting(&mut self, job: i64, run: RunId, own: Option<i64>) -> Done<()> {
        let mut waiting: Vec<PgRow> = self.all(sql!(DELAYED, job, key(run))).await?;
        waiting.extend(self.all(sql!(TOUCHED, job, key(run), own.unwrap_or(0))).await?);
        for row in waiting {
            let piece = self.read_piece(job, &row).await?;
            self.end(job, piece, true, &End::Cancelled).await?;
        }
        Ok(())
    }

    /// Ends all that stands in the line of a run, whatever there is, in one small step: it is counted, and deleted
    /// little by little.
    async fn cancel_line(&mut self, line: i64, id: RunId) -> Done<()> {
        let sql = "SELECT coalesce(sum(count), 0)::bigint FROM ready WHERE line = $1";
        let items = self.value::<i64>(sql!(sql, line)).await?.cast_unsigned();
        // Nobody has touched them: their first attempt was still to come.
        let counts = Counts { cancelled: items, ..Counts::default() };
        if let Some(run) = self.run_mut(id).await? {
            run.add(Tally { counts, fresh: items, errors: Vec::new() });
        }
        self.drop_line(line).await
    }

    /// The job of a run.
    pub(crate) async fn job_of_run(&mut self, run: RunId) -> Done<Option<(i64, String)>> {
        let sql = "SELECT job, name FROM run JOIN job ON job.id = run.job WHERE run.id = $1 AND run.ns = $2";
        let row = self.one(sql!(sql, key(run), self.ns)).await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }
}
