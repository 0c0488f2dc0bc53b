//! What is only read: each in one look at the tables, which holds nobody up.

use std::sync::Arc;

use jobs_core::{
    JobRecord, Link, RunFilter, RunId, RunReport, ScheduleState, SessionRecord, TickInfo, ledger::Cursor,
};
use sqlx::{Row, postgres::PgRow};

use crate::{
    facts::{Facts, readable},
    fault::Done,
    runs::{OfRun, key},
    sessions::SessionRow,
    step::{Step, most, sql},
};

const JOBS: &str = "
    SELECT name, link, schedule,
        EXISTS (SELECT FROM link AS k JOIN session ON session.id = k.session
                WHERE k.job = job.name AND session.ns = job.ns AND until >= $2) AS live,
        (SELECT coalesce(sum(count), 0) FROM line JOIN ready ON ready.line = line.id
         WHERE line.job = job.id AND line.rank IS NOT NULL AND line.kind < 5)::bigint AS ready,
        (SELECT coalesce(sum(count), 0) FROM delayed WHERE delayed.job = job.id)::bigint AS delayed,
        (SELECT coalesce(sum(open), 0) FROM lease WHERE lease.job = job.id)::bigint AS in_flight,
        (SELECT count(*) FROM dead WHERE dead.job = job.id) AS dead
    FROM job WHERE ns = $1 AND ($3::text IS NULL OR name = $3) ORDER BY name";
/// What is read of a run, as a fact.
macro_rules! runs {
    ($of:literal) => {
        concat!(
            "SELECT 'run', row_to_json(r)::text, NULL::bytea, NULL::bytea FROM (
                SELECT run.id, run.job, name AS job_name, NULL::text AS link, total, ok, retries, dead, discarded, expired,
                       cancelled, fresh, filled, begun, is_cancelled, busy, ended, sweep, record
                FROM run JOIN job ON job.id = run.job WHERE ",
            $of,
            ") AS r"
        )
    };
}
const RUNS: &str = runs!("run.ns = $1 AND run.id < $2 ORDER BY run.id DESC LIMIT $3");
const RUNS_OF_JOB: &str =
    runs!("job.ns = $1 AND job.name = $4 AND run.id < $2 ORDER BY run.id DESC LIMIT $3");
const RUN: &str = runs!("run.ns = $1 AND run.id = $2");
const TALLIES: &str = "
    SELECT 'tally', row_to_json(t)::text, NULL::bytea, NULL::bytea FROM tally AS t WHERE ns = $1 AND run = ANY ($2)
    ORDER BY run, id";
const TICKS: &str = "
    SELECT info FROM tick JOIN job ON job.id = tick.job WHERE ns = $1 AND name = $2 ORDER BY n DESC LIMIT $3";
/// Every session, with how many items each holds.
const SESSIONS: &str = "
    SELECT 'session', row_to_json(s)::text, NULL::bytea, NULL::bytea FROM (
        SELECT session.*, (SELECT coalesce(sum(open), 0) FROM lease WHERE lease.session = session.id)::bigint AS held
        FROM session WHERE ns = $1 ORDER BY session) AS s";
/// So many runs are looked at in one statement.
const PAGE: i64 = 200;

impl Step {
    /// All jobs, or the one with this name.
    pub(crate) async fn job_records(&mut self, name: Option<&str>) -> Done<Vec<JobRecord>> {
        let rows = self.rows(sql!(JOBS, self.ns, self.now.0, name)).await?;
        rows.iter().map(job_record).collect()
    }

    pub(crate) async fn run_report(&mut self, run: RunId) -> Done<Option<RunReport>> {
        let facts = Facts::of(&self.rows(sql!(RUN, self.ns, key(run))).await?)?;
        Ok(self.reports(facts).await?.1.pop())
    }

    pub(crate) async fn run_reports(&mut self, filter: &RunFilter) -> Done<Vec<RunReport>> {
        let (mut listed, mut before) = (Vec::new(), i64::MAX);
        loop {
            let statement = match filter.job_id() {
                Some(job) => sql!(RUNS_OF_JOB, self.ns, before, PAGE, job),
                None => sql!(RUNS, self.ns, before, PAGE),
            };
            let rows = self.rows(statement).await?;
            let (last, reports) = self.reports(Facts::of(&rows)?).await?;
            for report in reports {
                if listed.len() < filter.max() && filter.matches(&report) {
                    listed.push(report);
                }
            }
            if listed.len() >= filter.max() || most(rows.len()) < PAGE {
                return Ok(listed);
            }
            before = last;
        }
    }

    /// Reports of runs, with what is still to be added up, and the number of the last of them.
    async fn reports(&mut self, mut facts: Facts) -> Done<(i64, Vec<RunReport>)> {
        let ids: Vec<i64> = facts.ids("run");
        let last = ids.last().copied().unwrap_or(i64::MIN);
        if !ids.is_empty() {
            facts.add(Facts::of(&self.rows(sql!(TALLIES, self.ns, ids)).await?)?);
        }
        // The newest first.
        let (runs, _) = OfRun::all(&mut facts);
        Ok((last, runs.iter().rev().map(OfRun::report).collect()))
    }

    /// The verdicts of a schedule, newest first.
    pub(crate) async fn ticks(&mut self, schedule: &str, limit: usize) -> Done<Vec<TickInfo>> {
        let rows = self.rows(sql!(TICKS, self.ns, schedule, most(limit))).await?;
        let mut ticks = Vec::with_capacity(rows.len());
        for row in &rows {
            ticks.extend(readable::<TickInfo>(row.try_get(0)?));
        }
        Ok(ticks)
    }

    /// Every session, in the order of their nodes' names.
    pub(crate) async fn sessions(&mut self) -> Done<Vec<SessionRecord>> {
        let mut facts = self.load(sql!(SESSIONS, self.ns)).await?;
        let mut records: Vec<SessionRecord> =
            facts.read::<SessionRow>("session").iter().map(SessionRow::record).collect();
        records.sort_by(|a, b| (&a.node.name, a.session).cmp(&(&b.node.name, b.session)));
        Ok(records)
    }
}

fn job_record(row: &PgRow) -> Done<JobRecord> {
    let name: Arc<str> = row.try_get::<&str, _>("name")?.into();
    let link = readable(row.try_get("link")?).unwrap_or_else(|| Link::new(name.clone()));
    let cursor: Option<Cursor> = row.try_get::<Option<&str>, _>("schedule")?.and_then(readable);
    let schedule: Option<ScheduleState> = cursor.map(|cursor| cursor.state());
    let count = |column| Ok::<_, crate::fault::Fault>(row.try_get::<i64, _>(column)?.cast_unsigned());
    Ok(JobRecord {
        link: Link { job: name, ..link },
        schedule,
        live: row.try_get("live")?,
        ready: count("ready")?,
        delayed: count("delayed")?,
        in_flight: count("in_flight")?,
        dead: count("dead")?,
    })
}
