//! A job under a new name, and a deploy that takes the name back.

use std::{collections::HashMap, sync::Arc};

use jobs_core::{Link, SessionId, pause_cell};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::Done,
    lines::MOVE_CHUNKS,
    step::{Step, sql},
};

const RENAME: &str = "
    INSERT INTO renamed (ns, was, name) VALUES ($1, $2, $3) ON CONFLICT (ns, was) DO UPDATE SET name = excluded.name";
/// What says the number of a job: one statement for each table.
const MOVE: [&str; 5] = [
    "UPDATE delayed SET job = $2 WHERE job = $1",
    "UPDATE run SET job = $2 WHERE job = $1",
    "UPDATE dead SET job = $2 WHERE job = $1",
    "UPDATE tick SET job = $2 WHERE job = $1",
    "UPDATE lease SET job = $2 WHERE job = $1",
];
const SAME_LINE: &str = "
    SELECT there.id FROM line AS one JOIN line AS there USING (kind, run, builds)
    WHERE one.id = $1 AND there.job = $2";

impl Step {
    /// Takes over what belongs to the job's former name, at once: were it left to nodes that still link the old
    /// name, a tick would fire under both. What they hold they settle by its token, as ever.
    pub(crate) async fn rename(&mut self, link: &Link) -> Done<()> {
        let Some(was) = link.was.as_ref().filter(|was| **was != link.job) else { return Ok(()) };
        self.forget_new_name(&link.job).await?;
        self.renamed().await?.insert(was.to_string(), link.job.clone());
        self.execute(sql!(RENAME, self.ns, &**was, &*link.job)).await?;
        self.move_job(was, &link.job).await
    }

    /// Whether a job gives way to its new name, because a live session renames it. When none is left and nobody
    /// links the new name, the deploy was rolled back: the job takes back what belongs to it. When somebody does,
    /// the former name was given to another job.
    pub(crate) async fn gives_way(&mut self, link: &Link, beside: &[Link], session: SessionId) -> Done<bool> {
        let Some(mut name) = self.new_name(&link.job).await? else { return Ok(false) };
        while let Some(newer) = self.new_name(&name).await? {
            name = newer;
        }
        let mut links = self.live_links(&name, session).await?;
        links.extend(beside.iter().find(|other| other.job == name).cloned());
        if links.iter().any(|link| link.was.is_some()) {
            return Ok(true);
        }
        self.forget_new_name(&link.job).await?;
        if links.is_empty() {
            self.move_job(&name, &link.job).await?;
        }
        Ok(false)
    }

    async fn new_name(&mut self, was: &str) -> Done<Option<Arc<str>>> {
        Ok(self.renamed().await?.get(was).cloned())
    }

    /// All that were renamed, by their former names: there are few.
    async fn renamed(&mut self) -> Done<&mut HashMap<String, Arc<str>>> {
        if self.renamed.is_none() {
            let rows = self.all(sql!("SELECT was, name FROM renamed WHERE ns = $1", self.ns)).await?;
            let read = |row: &PgRow| Ok((row.try_get(0)?, row.try_get::<&str, _>(1)?.into()));
            self.renamed = Some(rows.iter().map(read).collect::<Done<_>>()?);
        }
        Ok(self.renamed.get_or_insert_default())
    }

    async fn forget_new_name(&mut self, was: &str) -> Done<()> {
        if self.renamed().await?.remove(was).is_some() {
            self.execute(sql!("DELETE FROM renamed WHERE ns = $1 AND was = $2", self.ns, was)).await?;
        }
        Ok(())
    }

    async fn move_job(&mut self, was: &Arc<str>, name: &Arc<str>) -> Done<()> {
        let Some(from) = self.known_job(was).await? else { return Ok(()) };
        let to = self.job_id(name).await?;
        self.finish().await?;
        let (schedule, ticks) = {
            let old = self.job(from).await?;
            (old.schedule.clone(), old.ticks)
        };
        let new = self.job_mut(to).await?;
        // What the new name has already, it keeps.
        let takes_schedule = new.schedule.is_none() && schedule.is_some();
        if takes_schedule {
            new.schedule = schedule;
            new.ticks = ticks;
        }
        let left = if takes_schedule { to } else { from };
        self.execute(sql!("DELETE FROM tick WHERE job = $1", left)).await?;
        for statement in MOVE {
            self.execute(sql!(statement, from, to)).await?;
        }
        let finished =
            "UPDATE job SET finished = finished + (SELECT finished FROM job WHERE id = $1) WHERE id = $2";
        self.execute(sql!(finished, from, to)).await?;
        self.move_lines(from, to).await?;
        self.execute(sql!("DELETE FROM job WHERE id = $1", from)).await?;
        self.finish().await?;
        // All that is remembered says the old name.
        self.jobs.clear();
        self.job_ids.clear();
        self.no_jobs.clear();
        self.runs.clear();
        self.rename_pause(&pause_cell(was), &pause_cell(name)).await?;
        self.marks.work += 1;
        Ok(())
    }

    /// Lines that both have become one.
    async fn move_lines(&mut self, from: i64, to: i64) -> Done<()> {
        let lines: Vec<i64> =
            self.values(sql!("SELECT id FROM line WHERE job = $1 ORDER BY id", from)).await?;
        for line in lines {
            match self.one(sql!(SAME_LINE, line, to)).await? {
                None => {
                    self.execute(sql!("UPDATE line SET job = $2 WHERE id = $1", line, to)).await?;
                }
                Some(row) => {
                    let there: i64 = row.try_get(0)?;
                    self.execute(sql!(MOVE_CHUNKS, line, there)).await?;
                    self.execute(sql!("DELETE FROM line WHERE id = $1", line)).await?;
                    self.restand(there).await?;
                }
            }
        }
        Ok(())
    }
}
