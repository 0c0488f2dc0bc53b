//! What is known of jobs, and where their schedules stand.

use std::{collections::VecDeque, sync::Arc};

use jobs_core::{Link, Millis, RunId, ScheduleState, SessionId, TickInfo};
use serde::{Deserialize, Serialize};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::{Done, Fault},
    step::{Step, sql},
};

/// So many declarations that were in force before are known again.
const SUPERSEDED: usize = 100;

#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) name: Arc<str>,
    /// How it was linked last.
    pub(crate) link: Link,
    pub(crate) schedule: Option<Cursor>,
    /// How many verdict records there are.
    pub(crate) ticks: i64,
}

/// Where a schedule stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cursor {
    pub(crate) cursor: Millis,
    pub(crate) waiting: Option<Millis>,
    pub(crate) fingerprint: Arc<str>,
    /// Declarations that were in force before, oldest first.
    superseded: VecDeque<Arc<str>>,
    /// The last fire and who made it, for its repeat.
    pub(crate) last_fire: Option<(Millis, RunId, Option<SessionId>)>,
}

impl Cursor {
    pub(crate) fn new(cursor: Millis, fingerprint: Arc<str>) -> Self {
        Self { cursor, waiting: None, fingerprint, superseded: VecDeque::new(), last_fire: None }
    }

    pub(crate) fn state(&self) -> ScheduleState {
        let Self { cursor, waiting, fingerprint, .. } = self;
        ScheduleState { cursor: *cursor, waiting: *waiting, fingerprint: fingerprint.clone() }
    }

    /// Whether a declaration was in force before.
    pub(crate) fn was(&self, fingerprint: &Arc<str>) -> bool {
        self.superseded.contains(fingerprint)
    }

    /// Puts another declaration in force.
    pub(crate) fn redeclare(&mut self, fingerprint: &Arc<str>, now: Millis) {
        let former = std::mem::replace(&mut self.fingerprint, fingerprint.clone());
        self.superseded.retain(|other| other != fingerprint);
        self.superseded.push_back(former);
        if self.superseded.len() > SUPERSEDED {
            self.superseded.pop_front();
        }
        self.cursor = self.cursor.max(now);
        self.waiting = None;
    }
}

const SELECT: &str = "SELECT name, link, schedule, ticks FROM job WHERE id = $1";
const INSERT: &str = "
    INSERT INTO job (ns, name, link, keep_runs, keep_ticks) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (ns, name) DO NOTHING RETURNING id";
const SELECT_ALL: &str = "SELECT id, name, link, schedule, ticks FROM job WHERE ns = $1 AND name = ANY ($2)";
const UPDATE: &str = "
    UPDATE job SET link = u.link, keep_runs = u.keep_runs, keep_ticks = u.keep_ticks, schedule = u.schedule, ticks = u.ticks
    FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[])
         AS u (id, link, keep_runs, keep_ticks, schedule, ticks) WHERE job.id = u.id";

impl Job {
    fn read(row: &PgRow) -> Done<Self> {
        let schedule: Option<&str> = row.try_get("schedule")?;
        Ok(Self {
            name: row.try_get::<&str, _>("name")?.into(),
            link: serde_json::from_str(row.try_get("link")?)?,
            schedule: schedule.map(serde_json::from_str).transpose()?,
            ticks: row.try_get("ticks")?,
        })
    }
}

impl Step {
    /// Locks the jobs of these names, in the one order in which all lock them.
    pub(crate) async fn lock_jobs(&mut self, names: Vec<String>) -> Done<()> {
        let sql = "SELECT id, name FROM job WHERE ns = $1 AND name = ANY ($2) ORDER BY id FOR NO KEY UPDATE";
        for row in self.all(sql!(sql, self.ns, names)).await? {
            let name = row.try_get::<&str, _>("name")?.into();
            self.job_ids.insert(name, row.try_get("id")?);
        }
        Ok(())
    }

    /// Reads all jobs of these names at once: a session may link ten thousand.
    pub(crate) async fn read_jobs(&mut self, names: Vec<Arc<str>>) -> Done<()> {
        let asked: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.no_jobs.extend(names);
        for row in self.all(sql!(SELECT_ALL, self.ns, asked)).await? {
            let (id, job) = (row.try_get("id")?, Job::read(&row)?);
            self.no_jobs.remove(&job.name);
            self.job_ids.insert(job.name.clone(), id);
            self.jobs.insert(id, job);
        }
        Ok(())
    }

    /// The id of the job with this name, if it is known.
    pub(crate) async fn known_job(&mut self, name: &Arc<str>) -> Done<Option<i64>> {
        if let Some(id) = self.job_ids.get(name) {
            return Ok(Some(*id));
        }
        if self.no_jobs.contains(name) {
            return Ok(None);
        }
        let sql = "SELECT id FROM job WHERE ns = $1 AND name = $2";
        let Some(row) = self.one(sql!(sql, self.ns, &**name)).await? else { return Ok(None) };
        let id = row.try_get(0)?;
        self.job_ids.insert(name.clone(), id);
        Ok(Some(id))
    }

    /// The id of the job with this name; one that nobody has linked yet is made.
    pub(crate) async fn job_id(&mut self, name: &Arc<str>) -> Done<i64> {
        if let Some(id) = self.known_job(name).await? {
            return Ok(id);
        }
        let link = Link::new(name.clone());
        let text = serde_json::to_string(&link)?;
        let (runs, ticks) = (i64::from(link.keep_runs), i64::from(link.keep_ticks));
        self.no_jobs.remove(name);
        if let Some(row) = self.one(sql!(INSERT, self.ns, &**name, text, runs, ticks)).await? {
            let id = row.try_get(0)?;
            self.job_ids.insert(name.clone(), id);
            self.jobs.insert(id, Job { name: name.clone(), link, schedule: None, ticks: 0 });
            return Ok(id);
        }
        // Another one was quicker.
        self.lock_jobs(vec![name.to_string()]).await?;
        self.job_ids.get(name).copied().ok_or(Fault::Missing("a job that was just made"))
    }

    /// A job that is there.
    pub(crate) async fn job(&mut self, id: i64) -> Done<&mut Job> {
        if !self.jobs.contains_key(&id) {
            let row = self.one(sql!(SELECT, id)).await?.ok_or(Fault::Missing("a job"))?;
            self.jobs.insert(id, Job::read(&row)?);
        }
        self.jobs.get_mut(&id).ok_or(Fault::Missing("a job"))
    }

    /// A job that is going to be changed. It is locked, or the namespace is held alone.
    pub(crate) async fn job_mut(&mut self, id: i64) -> Done<&mut Job> {
        self.dirty_jobs.insert(id);
        self.job(id).await
    }

    /// A job's name.
    pub(crate) async fn job_name(&mut self, id: i64) -> Done<Arc<str>> {
        if let Some((name, _)) = self.job_ids.iter().find(|(_, known)| **known == id) {
            return Ok(name.clone());
        }
        let name = self.job(id).await?.name.clone();
        self.job_names(id, &name);
        Ok(name)
    }

    /// Remembers a job's name.
    pub(crate) fn job_names(&mut self, id: i64, name: &Arc<str>) {
        self.job_ids.insert(name.clone(), id);
    }

    /// Where the schedule of that id stands.
    pub(crate) async fn schedule(&mut self, name: &Arc<str>) -> Done<Option<(i64, Cursor)>> {
        let Some(id) = self.known_job(name).await? else { return Ok(None) };
        Ok(self.job(id).await?.schedule.clone().map(|cursor| (id, cursor)))
    }

    /// Records verdicts, neighbours that say the same in one record, and moves on to the last of them.
    pub(crate) async fn record(
        &mut self,
        job: i64,
        verdicts: impl IntoIterator<Item = TickInfo>,
    ) -> Done<()> {
        for verdict in verdicts {
            let last = Millis::from(verdict.last);
            if let Some(cursor) = &mut self.job_mut(job).await?.schedule {
                cursor.cursor = cursor.cursor.max(last);
                if cursor.waiting.is_some_and(|tick| tick <= cursor.cursor) {
                    cursor.waiting = None;
                }
            }
            self.record_one(job, &verdict).await?;
        }
        Ok(())
    }

    async fn record_one(&mut self, job: i64, verdict: &TickInfo) -> Done<()> {
        // What fired stands alone.
        let before = match verdict.run {
            Some(_) => None,
            None => {
                let sql = "SELECT n, info FROM tick WHERE job = $1 ORDER BY n DESC LIMIT 1";
                self.one(sql!(sql, job)).await?
            }
        };
        if let Some(row) = before {
            let mut info: TickInfo = serde_json::from_str(row.try_get("info")?)?;
            if info.merge(verdict) {
                let (n, info): (i64, _) = (row.try_get("n")?, serde_json::to_string(&info)?);
                self.execute(sql!("UPDATE tick SET info = $3 WHERE job = $1 AND n = $2", job, n, info))
                    .await?;
                return Ok(());
            }
        }
        let info = serde_json::to_string(verdict)?;
        self.execute(sql!("INSERT INTO tick (job, info) VALUES ($1, $2)", job, info)).await?;
        self.job_mut(job).await?.ticks += 1;
        Ok(())
    }

    /// Writes the jobs that were changed, all at once.
    pub(crate) async fn write_jobs(&mut self) -> Done<()> {
        let (mut ids, mut links, mut schedules) = (Vec::<i64>::new(), Vec::new(), Vec::new());
        let (mut runs, mut kept, mut ticks) = (Vec::<i64>::new(), Vec::<i64>::new(), Vec::new());
        for id in std::mem::take(&mut self.dirty_jobs) {
            let Some(job) = self.jobs.get(&id) else { continue };
            ids.push(id);
            links.push(serde_json::to_string(&job.link)?);
            runs.push(job.link.keep_runs.into());
            kept.push(job.link.keep_ticks.into());
            schedules.push(job.schedule.as_ref().map(serde_json::to_string).transpose()?);
            ticks.push(job.ticks);
        }
        if !ids.is_empty() {
            self.execute(sql!(UPDATE, ids, links, runs, kept, schedules, ticks)).await?;
        }
        Ok(())
    }
}
