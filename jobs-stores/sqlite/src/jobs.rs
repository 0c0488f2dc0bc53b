//! What is known of jobs, and where their schedules stand.

use std::{collections::VecDeque, sync::Arc};

use jobs_core::{Link, Millis, RunId, ScheduleState, SessionId, TickInfo};
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::{fault::Done, runs::unreadable, step::Step};

/// So many declarations that were in force before are known again.
const SUPERSEDED: usize = 100;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: Arc<str>,
    /// How it was linked last.
    pub(crate) link: Link,
    /// Whether anybody ever linked it with a limit over all sessions.
    pub(crate) limited: bool,
    pub(crate) schedule: Option<Cursor>,
    /// When the first chunk is due that waits for its time.
    pub(crate) next_due: Option<Millis>,
    /// How many verdict records and finished runs there are.
    pub(crate) ticks: i64,
    pub(crate) finished: i64,
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

impl Job {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let link: String = row.get(1)?;
        let schedule: Option<String> = row.get(3)?;
        let schedule = schedule.map(|text| serde_json::from_str(&text)).transpose();
        Ok(Self {
            name: row.get::<_, String>(0)?.into(),
            link: serde_json::from_str(&link).map_err(|error| unreadable(1, error))?,
            limited: row.get(2)?,
            schedule: schedule.map_err(|error| unreadable(3, error))?,
            next_due: row.get::<_, Option<i64>>(4)?.map(Millis),
            ticks: row.get(5)?,
            finished: row.get(6)?,
        })
    }
}

impl Step<'_> {
    /// The id of the job with this name, if it is known.
    pub(crate) fn known_job(&mut self, name: &Arc<str>) -> Done<Option<i64>> {
        if let Some(id) = self.cache.job_ids.get(&(self.ns, name.clone())) {
            return Ok(Some(*id));
        }
        let id =
            self.one("SELECT id FROM job WHERE ns = ?1 AND name = ?2", (self.ns, &**name), |row| row.get(0))?;
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
        self.execute(
            "INSERT INTO job (id, ns, name, link, keep_runs, keep_ticks, limited, ticks, finished)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, 0)",
            (id, self.ns, &**name, serde_json::to_string(&link)?, link.keep_runs, link.keep_ticks),
        )?;
        self.cache.job_ids.insert((self.ns, name.clone()), id);
        Ok(id)
    }

    /// A job that is there.
    pub(crate) fn job(&mut self, id: i64) -> Done<&mut Job> {
        if !self.cache.jobs.contains_key(&id) {
            let mut select = self.conn.prepare_cached(SELECT)?;
            let job = select.query_row([id], Job::read)?;
            self.cache.jobs.insert(id, job);
        }
        self.cache.jobs.get_mut(&id).ok_or_else(|| rusqlite::Error::QueryReturnedNoRows.into())
    }

    /// A job that is going to be changed.
    pub(crate) fn job_mut(&mut self, id: i64) -> Done<&mut Job> {
        self.dirty_jobs.insert(id);
        self.job(id)
    }

    /// A job's name.
    pub(crate) fn job_name(&mut self, id: i64) -> Done<Arc<str>> {
        Ok(self.job(id)?.name.clone())
    }

    /// Where the schedule of that id stands.
    pub(crate) fn schedule(&mut self, name: &Arc<str>) -> Done<Option<(i64, &Cursor)>> {
        let Some(id) = self.known_job(name)? else { return Ok(None) };
        Ok(self.job(id)?.schedule.as_ref().map(|cursor| (id, cursor)))
    }

    /// Records verdicts, neighbours that say the same in one record, and moves on to the last of them.
    pub(crate) fn record(&mut self, job: i64, verdicts: impl IntoIterator<Item = TickInfo>) -> Done<()> {
        for verdict in verdicts {
            let last = Millis::from(verdict.last);
            if let Some(cursor) = &mut self.job_mut(job)?.schedule {
                cursor.cursor = cursor.cursor.max(last);
                if cursor.waiting.is_some_and(|tick| tick <= cursor.cursor) {
                    cursor.waiting = None;
                }
            }
            self.record_one(job, &verdict)?;
        }
        Ok(())
    }

    fn record_one(&mut self, job: i64, verdict: &TickInfo) -> Done<()> {
        // What fired stands alone.
        let before = match verdict.run {
            Some(_) => None,
            None => {
                let sql = "SELECT n, info FROM tick WHERE job = ?1 ORDER BY n DESC LIMIT 1";
                self.one(sql, [job], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?
            }
        };
        if let Some((n, info)) = before {
            let mut info: TickInfo = serde_json::from_str(&info)?;
            if info.merge(verdict) {
                let info = serde_json::to_string(&info)?;
                self.execute("UPDATE tick SET info = ?3 WHERE job = ?1 AND n = ?2", (job, n, info))?;
                return Ok(());
            }
        }
        let n = self.id()?;
        self.execute("INSERT INTO tick VALUES (?1, ?2, ?3)", (job, n, serde_json::to_string(verdict)?))?;
        self.job_mut(job)?.ticks += 1;
        Ok(())
    }

    /// Writes the jobs that were changed.
    pub(crate) fn write_jobs(&mut self) -> Done<()> {
        for id in std::mem::take(&mut self.dirty_jobs) {
            let Some(job) = self.cache.jobs.get(&id) else { continue };
            let schedule = job.schedule.as_ref().map(serde_json::to_string).transpose()?;
            let link = serde_json::to_string(&job.link)?;
            self.conn.prepare_cached(UPDATE)?.execute((
                id,
                link,
                job.link.keep_runs,
                job.link.keep_ticks,
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

const SELECT: &str = "SELECT name, link, limited, schedule, next_due, ticks, finished FROM job WHERE id = ?1";
const UPDATE: &str =
    "UPDATE job SET link = ?2, keep_runs = ?3, keep_ticks = ?4, limited = ?5, schedule = ?6, next_due = ?7,
                                     ticks = ?8, finished = ?9
                      WHERE id = ?1";
