//! Sessions, and what they link.

use std::{sync::Arc, time::Duration};

use jobs_core::{Link, Millis, Node, SessionId, SessionRecord};
use sqlx::{Row, postgres::PgRow};

use crate::{
    fault::Done,
    lanes::Lane,
    step::{Step, sql, unsigned},
};

#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Its number in the database.
    pub(crate) row: i64,
    pub(crate) id: SessionId,
    pub(crate) lease: Duration,
    /// Alive until then without a beat.
    pub(crate) until: Millis,
    /// Since when it has been connected without a break: it reaps nobody during its first lease.
    pub(crate) connected_at: Millis,
    pub(crate) node: Node,
    /// The instants that were past when it opened, for a repeat.
    pub(crate) past: Vec<(Arc<str>, Millis)>,
}

const SELECT: &str =
    "SELECT id, session, lease, until, connected_at, node, past FROM session WHERE ns = $1 AND session = $2";
/// What a call to settle begins with.
#[derive(Debug)]
pub(crate) struct Settling {
    pub(crate) session: Session,
    pub(crate) lane: Option<Lane>,
    /// When the first chunk is due of all that wait for their time.
    pub(crate) due: Option<Millis>,
}

/// A session that settles: with its lane, and whether anything is paused or waits for its time.
const SETTLING: &str = "
    SELECT session.id, session.session, lease, until, connected_at, node, past, n, answer,
           EXISTS (SELECT FROM cell WHERE cell.ns = $1 AND name >= 'pause/' AND name < 'pause0') AS pauses,
           (SELECT due FROM delayed WHERE delayed.ns = $1 ORDER BY due LIMIT 1) AS due
    FROM session LEFT JOIN lane ON lane.session = session.id AND lane.lane = $3
    WHERE session.ns = $1 AND session.session = $2";
/// Every session, with how many items each holds.
const RECORDS: &str = "
    SELECT id, session, lease, until, connected_at, node, past, coalesce(held, 0)::bigint AS held
    FROM session LEFT JOIN LATERAL (SELECT sum(open) AS held FROM lease WHERE lease.session = session.id) AS l ON true
    WHERE ns = $1 ORDER BY session";
const INSERT: &str = "
    INSERT INTO session (ns, session, lease, until, connected_at, node, node_name, build, past)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (ns, session) DO UPDATE
    SET lease = $3, until = $4, connected_at = $5, node = $6, node_name = $7, build = $8, past = $9 RETURNING id";
const LIVE_LINKS: &str = "
    SELECT link FROM link JOIN session ON session.id = link.session
    WHERE link.job = $1 AND ns = $2 AND until >= $3 AND session.session <> $4";
const DECLARED: &str = "
    SELECT FROM link JOIN session ON session.id = link.session
    WHERE link.job = $1 AND fingerprint = $2 AND ns = $3 AND until >= $4 AND session.session <> $5 LIMIT 1";
const INSERT_LINKS: &str = "
    INSERT INTO link (session, job, fingerprint, link)
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[]) ON CONFLICT (session, job) DO UPDATE
    SET fingerprint = excluded.fingerprint, link = excluded.link";

impl Session {
    pub(crate) fn is_alive(&self, now: Millis) -> bool {
        now <= self.until
    }

    fn read(row: &PgRow) -> Done<Self> {
        Ok(Self {
            row: row.try_get("id")?,
            id: SessionId(unsigned(row, "session")?),
            lease: Duration::from_millis(unsigned(row, "lease")?),
            until: Millis(row.try_get("until")?),
            connected_at: Millis(row.try_get("connected_at")?),
            node: serde_json::from_str(row.try_get("node")?)?,
            past: serde_json::from_str(row.try_get("past")?)?,
        })
    }
}

impl Step {
    pub(crate) async fn session(&mut self, id: SessionId) -> Done<Option<Session>> {
        let row = self.one(sql!(SELECT, self.ns, id.0.cast_signed())).await?;
        row.map(|row| Session::read(&row)).transpose()
    }

    /// A session that settles, the last call of its lane, and when the first chunk is due of all that wait for their
    /// time. The caller holds the lane.
    pub(crate) async fn settling(&mut self, id: SessionId, lane: u32) -> Done<Option<Settling>> {
        let Some(row) = self.one(sql!(SETTLING, self.ns, id.0.cast_signed(), i64::from(lane))).await? else {
            return Ok(None);
        };
        if !row.try_get::<bool, _>("pauses")? {
            self.pauses = Some(Arc::default());
        }
        let due = row.try_get::<Option<i64>, _>("due")?.map(Millis);
        Ok(Some(Settling { session: Session::read(&row)?, lane: Lane::read(&row)?, due }))
    }

    /// Every session, by its number.
    pub(crate) async fn session_records(&mut self) -> Done<Vec<SessionRecord>> {
        let rows = self.all(sql!(RECORDS, self.ns)).await?;
        let record = |row: &PgRow| {
            let Session { id, node, until, .. } = Session::read(row)?;
            Ok(SessionRecord { session: id, node, holds: unsigned(row, "held")?, until })
        };
        rows.iter().map(record).collect()
    }

    /// Stores a session as it is now, and gives its number in the database.
    pub(crate) async fn save_session(&mut self, session: &Session) -> Done<i64> {
        let Session { id, lease, until, connected_at, node, past, .. } = session;
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let (json, past) = (serde_json::to_string(node)?, serde_json::to_string(past)?);
        // Text of Postgres has no zero byte.
        let (name, build) = (node.name.replace('\0', ""), node.build.replace('\0', ""));
        let id = id.0.cast_signed();
        self.value(sql!(INSERT, self.ns, id, lease, until.0, connected_at.0, json, name, build, past)).await
    }

    /// Forgets a session, its links, its lanes and its cells; its leases are gone already.
    pub(crate) async fn forget_session(&mut self, session: &Session) -> Done<()> {
        self.execute(sql!("DELETE FROM session WHERE id = $1", session.row)).await?;
        self.execute(sql!("DELETE FROM link WHERE session = $1", session.row)).await?;
        self.execute(sql!("DELETE FROM lane WHERE session = $1", session.row)).await?;
        self.drop_owned(session.id).await
    }

    /// All that a session links, by name.
    pub(crate) async fn links_of(&mut self, session: i64) -> Done<Vec<Link>> {
        let sql = "SELECT link FROM link WHERE session = $1 ORDER BY job";
        links(self.values(sql!(sql, session)).await?)
    }

    /// Stores what a session links, instead of what it linked before.
    pub(crate) async fn save_links(&mut self, session: i64, links: &[Link]) -> Done<()> {
        self.execute(sql!("DELETE FROM link WHERE session = $1", session)).await?;
        let mut by_job = std::collections::BTreeMap::new();
        for link in links {
            by_job.insert(&*link.job, link);
        }
        let (mut jobs, mut fingerprints, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for (job, link) in by_job {
            jobs.push(job);
            fingerprints.push(link.schedule.as_ref().map(|declared| declared.fingerprint.to_string()));
            texts.push(serde_json::to_string(link)?);
        }
        self.execute(sql!(INSERT_LINKS, session, jobs, fingerprints, texts)).await?;
        Ok(())
    }

    /// Whether a live session, but for that one, declares a schedule so.
    pub(crate) async fn is_declared(&mut self, job: &str, fingerprint: &str, but: SessionId) -> Done<bool> {
        self.is_any(sql!(DECLARED, job, fingerprint, self.ns, self.now.0, but.0.cast_signed())).await
    }

    /// How live sessions, but for that one, link a job.
    pub(crate) async fn live_links(&mut self, job: &str, but: SessionId) -> Done<Vec<Link>> {
        links(self.values(sql!(LIVE_LINKS, job, self.ns, self.now.0, but.0.cast_signed())).await?)
    }
}

fn links(texts: Vec<String>) -> Done<Vec<Link>> {
    Ok(texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?)
}
