//! What is only read: on a connection of its own, so that it holds nobody up.

use std::{path::Path, sync::Arc};

use jobs_core::{
    Cell, DeadFilter, DeadItem, JobRecord, Link, Millis, RunFilter, RunId, RunReport, ScheduleState,
    TickInfo, ledger::Cursor,
};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::{
    cells, dead,
    fault::Done,
    rows::{RunRow, limit, parsed, run_id, run_key, text},
};

/// One look at the tables, which do not change meanwhile.
pub(crate) struct Snapshot<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) path: &'a Path,
    /// The namespace; none if nobody has written into it.
    pub(crate) ns: Option<i64>,
    pub(crate) now: Millis,
}

const JOBS: &str = "WITH held AS (SELECT job, sum(open) AS open FROM lease GROUP BY job)
    SELECT name, link, schedule,
        EXISTS (SELECT 1 FROM link JOIN session ON session.id = link.session
                WHERE link.job = job.name AND session.ns = job.ns AND until >= ?2),
        (SELECT coalesce(sum(items), 0) FROM line WHERE line.job = job.id AND rank IS NOT NULL),
        (SELECT coalesce(sum(count), 0) FROM chunk WHERE chunk.job = job.id AND line IS NULL),
        coalesce(held.open, 0),
        (SELECT count(*) FROM dead WHERE dead.job = job.id)
    FROM job LEFT JOIN held ON held.job = job.id
    WHERE ns = ?1 AND (?3 IS NULL OR name = ?3) ORDER BY name";

impl Snapshot<'_> {
    pub(crate) fn get(&self, name: &str) -> Done<Option<Cell>> {
        self.ns.map_or(Ok(None), |ns| cells::get(self.conn, ns, name, self.now))
    }

    pub(crate) fn list(&self, prefix: &str) -> Done<Vec<(String, Cell)>> {
        self.ns.map_or(Ok(Vec::new()), |ns| cells::list(self.conn, ns, prefix, self.now))
    }

    pub(crate) fn completable(&self, most: usize) -> Done<Vec<RunId>> {
        let sql = "SELECT id FROM run WHERE ns = ?1 AND ended = 1 ORDER BY id LIMIT ?2";
        let mut select = self.conn.prepare_cached(sql)?;
        let runs = select.query_map((self.ns, limit(most)), run_id)?;
        Ok(runs.collect::<rusqlite::Result<_>>()?)
    }

    /// All jobs, or the one with this name.
    pub(crate) fn jobs(&self, name: Option<&str>) -> Done<Vec<JobRecord>> {
        let mut select = self.conn.prepare_cached(JOBS)?;
        let jobs = select.query_map((self.ns, self.now.0, name), job_record)?;
        Ok(jobs.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn run(&self, run: RunId) -> Done<Option<RunReport>> {
        let sql = format!("{} AND run.id = ?2", runs_with_names());
        let mut select = self.conn.prepare_cached(&sql)?;
        Ok(select.query_row((self.ns, run_key(run)), report).optional()?.flatten())
    }

    pub(crate) fn runs(&self, filter: &RunFilter) -> Done<Vec<RunReport>> {
        let job = match filter.job_id() {
            Some(name) => match self.job_id(name)? {
                Some(job) => Some(job),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        let of_job = if job.is_some() { "AND run.job = ?2" } else { "AND ?2 IS NULL" };
        let sql = format!("{} {of_job} ORDER BY run.id DESC", runs_with_names());
        let mut select = self.conn.prepare_cached(&sql)?;
        let mut rows = select.query((self.ns, job))?;
        let mut listed = Vec::new();
        while listed.len() < filter.max()
            && let Some(row) = rows.next()?
        {
            listed.extend(report(row)?.filter(|report| filter.matches(report)));
        }
        Ok(listed)
    }

    fn job_id(&self, name: &str) -> Done<Option<i64>> {
        let mut select = self.conn.prepare_cached("SELECT id FROM job WHERE ns = ?1 AND name = ?2")?;
        Ok(select.query_row((self.ns, name), |row| row.get(0)).optional()?)
    }

    pub(crate) fn ticks(&self, schedule: &str, most: usize) -> Done<Vec<TickInfo>> {
        let sql = "SELECT info FROM tick JOIN job ON job.id = tick.job WHERE ns = ?1 AND name = ?2
                   ORDER BY n DESC LIMIT ?3";
        let mut select = self.conn.prepare_cached(sql)?;
        let infos = select.query_map((self.ns, schedule, limit(most)), |row| text(row, 0))?;
        let mut listed = Vec::new();
        for info in infos {
            listed.extend(parsed::<TickInfo>(format_args!("a verdict of {schedule}"), &info?));
        }
        Ok(listed)
    }

    pub(crate) fn dead(&self, filter: &DeadFilter) -> Done<Vec<DeadItem>> {
        let of_job = "FROM job JOIN dead ON dead.job = job.id WHERE job.ns = ?1 AND name = ?2";
        let all = "FROM dead JOIN job ON job.id = dead.job WHERE dead.ns = ?1 AND ?2 IS NULL";
        let of = if filter.job_id().is_some() { of_job } else { all };
        let columns = dead::COLUMNS;
        let mut select = self.conn.prepare_cached(&format!("SELECT {columns} {of} ORDER BY dead.id DESC"))?;
        let mut rows = select.query((self.ns, filter.job_id()))?;
        let mut listed = Vec::new();
        while listed.len() < filter.max()
            && let Some(row) = rows.next()?
        {
            listed.extend(dead::item(row)?.filter(|dead| filter.matches(dead)));
        }
        Ok(listed)
    }
}

/// Runs with the names of their jobs: a job's row may have been deleted by hand.
fn runs_with_names() -> String {
    let columns = RunRow::COLUMNS.split(", ").map(|column| format!("run.{}", column.trim()));
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!(
        "SELECT {columns}, coalesce(name, '') FROM run LEFT JOIN job ON job.id = run.job WHERE run.ns = ?1"
    )
}

fn report(row: &Row<'_>) -> rusqlite::Result<Option<RunReport>> {
    let name = text(row, 16)?;
    Ok(RunRow::read(row)?.map(|row| row.run.report(&name)))
}

fn job_record(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    let name: Arc<str> = text(row, 0)?.into();
    let link = parsed(format_args!("how the job {name} is linked"), &text(row, 1)?);
    let schedule = match row.get_ref(2)? {
        rusqlite::types::ValueRef::Null => None,
        _ => parsed::<Cursor>(format_args!("the schedule of the job {name}"), &text(row, 2)?),
    };
    let schedule: Option<ScheduleState> = schedule.map(|cursor| cursor.state());
    Ok(JobRecord {
        link: Link { job: name.clone(), ..link.unwrap_or_else(|| Link::new(name)) },
        schedule,
        live: row.get(3)?,
        ready: row.get::<_, i64>(4)?.cast_unsigned(),
        delayed: row.get::<_, i64>(5)?.cast_unsigned(),
        in_flight: row.get::<_, i64>(6)?.cast_unsigned(),
        dead: row.get::<_, i64>(7)?.cast_unsigned(),
    })
}
