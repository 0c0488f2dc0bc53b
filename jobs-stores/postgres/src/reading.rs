//! What is only read: each in one look at the tables, which holds nobody up.

use std::sync::Arc;

use jobs_core::{JobRecord, Link, RunFilter, RunId, RunReport, ScheduleState, SessionRecord, TickInfo};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::Done,
    jobs::Cursor,
    runs::{Run, key},
    step::{Step, most, sql, unsigned},
    tallies::Tally,
};

const JOBS: &str = "
    SELECT name, link, schedule,
        EXISTS (SELECT FROM link AS k JOIN session ON session.id = k.session
                WHERE k.job = job.name AND session.ns = job.ns AND until >= $2) AS live,
        (SELECT coalesce(sum(count), 0) FROM line JOIN ready ON ready.line = line.id
         WHERE line.job = job.id AND line.rank IS NOT NULL)::bigint AS ready,
        (SELECT coalesce(sum(count), 0) FROM delayed WHERE delayed.job = job.id)::bigint AS delayed,
        (SELECT coalesce(sum(open), 0) FROM lease WHERE lease.job = job.id)::bigint AS in_flight,
        (SELECT count(*) FROM dead WHERE dead.job = job.id) AS dead
    FROM job WHERE ns = $1 AND ($3::text IS NULL OR name = $3) ORDER BY name";
const RUNS: &str = "
    SELECT run.*, name FROM run JOIN job ON job.id = run.job WHERE run.ns = $1 AND run.id < $2
    AND ($4::text IS NULL OR name = $4) ORDER BY run.id DESC LIMIT $3";
const RUN: &str =
    "SELECT run.*, name FROM run JOIN job ON job.id = run.job WHERE run.ns = $1 AND run.id = $2";
const TALLIES: &str = "SELECT * FROM tally WHERE ns = $1 AND run = ANY ($2) ORDER BY run, id";
const TICKS: &str = "
    SELECT info FROM tick JOIN job ON job.id = tick.job WHERE ns = $1 AND name = $2 ORDER BY n DESC LIMIT $3";
/// So many runs are looked at in one statement.
const PAGE: i64 = 200;

impl Step {
    /// All jobs, or the one with this name.
    pub(crate) async fn job_records(&mut self, name: Option<&str>) -> Done<Vec<JobRecord>> {
        let rows = self.all(sql!(JOBS, self.ns, self.now.0, name)).await?;
        rows.iter().map(job_record).collect()
    }

    pub(crate) async fn run_report(&mut self, run: RunId) -> Done<Option<RunReport>> {
        let rows = self.all(sql!(RUN, self.ns, key(run))).await?;
        Ok(self.reports(&rows).await?.pop())
    }

    pub(crate) async fn run_reports(&mut self, filter: &RunFilter) -> Done<Vec<RunReport>> {
        let (mut listed, mut before) = (Vec::new(), i64::MAX);
        loop {
            let rows = self.all(sql!(RUNS, self.ns, before, PAGE, filter.job_id())).await?;
            for report in self.reports(&rows).await? {
                before = key(report.id);
                if listed.len() < filter.max() && filter.matches(&report) {
                    listed.push(report);
                }
            }
            if listed.len() >= filter.max() || most(rows.len()) < PAGE {
                return Ok(listed);
            }
        }
    }

    /// Reports of runs, with what is still to be added up.
    async fn reports(&mut self, rows: &[PgRow]) -> Done<Vec<RunReport>> {
        let mut runs = Vec::with_capacity(rows.len());
        for row in rows {
            runs.push((Run::read(row)?, row.try_get::<String, _>("name")?));
        }
        let ids: Vec<i64> = runs.iter().map(|(run, _)| key(run.id)).collect();
        for row in self.all(sql!(TALLIES, self.ns, ids)).await? {
            let of = RunId::new(unsigned(&row, "run")?);
            if let Some((run, _)) = runs.iter_mut().find(|(run, _)| run.id == of) {
                run.add(Tally::read(&row)?);
            }
        }
        Ok(runs.iter().map(|(run, name)| run.report(name)).collect())
    }

    /// The verdicts of a schedule, newest first.
    pub(crate) async fn ticks(&mut self, schedule: &str, limit: usize) -> Done<Vec<TickInfo>> {
        let infos: Vec<String> = self.values(sql!(TICKS, self.ns, schedule, most(limit))).await?;
        infos.iter().map(|info| Ok(serde_json::from_str(info)?)).collect()
    }

    /// Every session, in the order of their nodes' names.
    pub(crate) async fn sessions(&mut self) -> Done<Vec<SessionRecord>> {
        let mut records = self.session_records().await?;
        records.sort_by(|a, b| (&a.node.name, a.session).cmp(&(&b.node.name, b.session)));
        Ok(records)
    }
}

fn job_record(row: &PgRow) -> Done<JobRecord> {
    let name: Arc<str> = row.try_get::<&str, _>("name")?.into();
    let link: Link = serde_json::from_str(row.try_get("link")?)?;
    let cursor: Option<Cursor> =
        row.try_get::<Option<&str>, _>("schedule")?.map(serde_json::from_str).transpose()?;
    let schedule: Option<ScheduleState> = cursor.map(|cursor| cursor.state());
    Ok(JobRecord {
        link: Link { job: name, ..link },
        schedule,
        live: row.try_get("live")?,
        ready: unsigned(row, "ready")?,
        delayed: unsigned(row, "delayed")?,
        in_flight: unsigned(row, "in_flight")?,
        dead: unsigned(row, "dead")?,
    })
}
