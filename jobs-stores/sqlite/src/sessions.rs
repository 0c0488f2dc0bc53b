//! Sessions, and what they link.

use std::{rc::Rc, sync::Arc};

use jobs_core::{Link, Millis, SessionId, SessionRecord, ledger::Session};
use rusqlite::{Connection, Row};

use crate::{
    fault::Done,
    rows::{SessionRow, parsed, text},
    step::Step,
};

/// Every session, with how many items each holds.
const RECORDS: &str = "SELECT id, session, lease, until, connected_at, node, past,
                              (SELECT coalesce(sum(open), 0) FROM lease WHERE lease.session = session.id) AS held
                       FROM session WHERE ns = ?1";
const SAVE: &str = "INSERT INTO session (id, ns, session, lease, until, connected_at, node, past)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                    ON CONFLICT (id) DO UPDATE SET lease = ?4, until = ?5, connected_at = ?6, node = ?7, past = ?8";
/// How live sessions, but for one, link a job.
const LIVE_LINKS: &str = "SELECT link FROM link JOIN session ON session.id = link.session
                          WHERE link.job = ?1 AND ns = ?2 AND until >= ?3 AND session.id <> ?4";
const IS_DECLARED: &str = "SELECT 1 FROM link JOIN session ON session.id = link.session
                           WHERE link.job = ?1 AND link.fingerprint = ?2 AND ns = ?3 AND until >= ?4
                                 AND session.id <> ?5";
/// The links of a session whose jobs are there, or have another name by now.
const KNOWN_LINKS: &str = "SELECT count(*) FROM link WHERE session = ?1 AND
                           (EXISTS (SELECT 1 FROM job WHERE job.ns = ?2 AND job.name = link.job)
                            OR EXISTS (SELECT 1 FROM renamed WHERE renamed.ns = ?2 AND renamed.was = link.job)
                            OR CASE WHEN json_valid(link.link) THEN link.link ->> 'was' END IS NOT NULL)";

fn record(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    let Session { id, node, until, .. } = SessionRow::read(row)?.state;
    Ok(SessionRecord { session: id, node, holds: row.get::<_, i64>(7)?.cast_unsigned(), until })
}

/// The sessions but that one that live, or hold something.
pub(crate) fn others(conn: &Connection, ns: i64, but: i64, now: Millis) -> Done<Vec<SessionRecord>> {
    let sql =
        format!("{RECORDS} AND id <> ?2 AND (until >= ?3 OR held > 0) AND until <> ?4 ORDER BY session");
    let mut select = conn.prepare_cached(&sql)?;
    let records = select.query_map((ns, but, now.0, Session::LEFT.0), record)?;
    Ok(records.collect::<rusqlite::Result<_>>()?)
}

/// Every session that has not left, in the order of their nodes' names.
pub(crate) fn all(conn: &Connection, ns: Option<i64>) -> Done<Vec<SessionRecord>> {
    let mut select = conn.prepare_cached(&format!("{RECORDS} AND until <> ?2"))?;
    let records = select.query_map((ns, Session::LEFT.0), record)?;
    let mut records: Vec<SessionRecord> = records.collect::<rusqlite::Result<_>>()?;
    records.sort_by(|a, b| (&a.node.name, a.session).cmp(&(&b.node.name, b.session)));
    Ok(records)
}

impl Step<'_> {
    pub(crate) fn session(&mut self, id: SessionId) -> Done<Option<Rc<SessionRow>>> {
        if let Some(known) = self.cache.sessions.get(&(self.ns, id)) {
            return Ok(known.clone());
        }
        let columns = SessionRow::COLUMNS;
        let sql = format!("SELECT {columns} FROM session WHERE ns = ?1 AND session = ?2");
        let session = self.one(&sql, (self.ns, id.0.cast_signed()), SessionRow::read)?.map(Rc::new);
        self.cache.sessions.insert((self.ns, id), session.clone());
        Ok(session)
    }

    /// Sessions that have expired, the ones that did so first before the others.
    pub(crate) fn expired_sessions(&self) -> Done<Vec<SessionId>> {
        let sql = "SELECT session FROM session WHERE ns = ?1 AND until < ?2 ORDER BY until, session";
        self.all(sql, (self.ns, self.now.0), |row| row.get(0).map(|id: i64| SessionId(id.cast_unsigned())))
    }

    /// Stores a session as it is now.
    pub(crate) fn save_session(&mut self, SessionRow { row, state }: &SessionRow) -> Done<()> {
        let Session { id, lease, until, connected_at, node, past } = state;
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let node = serde_json::to_string(node)?;
        let past = serde_json::to_string(past)?;
        let values = (row, self.ns, id.0.cast_signed(), lease, until.0, connected_at.0, node, past);
        self.execute(SAVE, values)?;
        self.cache.sessions.remove(&(self.ns, *id));
        Ok(())
    }

    /// Stores until when a session lives, and nothing else of it.
    pub(crate) fn save_life(&mut self, SessionRow { row, state }: &SessionRow) -> Done<()> {
        let sql = "UPDATE session SET until = ?2, connected_at = ?3 WHERE id = ?1";
        self.execute(sql, (row, state.until.0, state.connected_at.0))?;
        self.cache.sessions.remove(&(self.ns, state.id));
        Ok(())
    }

    /// Removes a session, its links and its lanes; its leases are gone already.
    pub(crate) fn remove_session(&mut self, row: i64, id: Option<SessionId>) -> Done<()> {
        self.execute("DELETE FROM session WHERE id = ?1", [row])?;
        self.execute("DELETE FROM link WHERE session = ?1", [row])?;
        self.execute("DELETE FROM lane WHERE session = ?1", [row])?;
        if let Some(id) = id {
            self.cache.sessions.remove(&(self.ns, id));
        }
        self.cache.links.retain(|(session, _), _| *session != row);
        self.cache.lanes.retain(|(session, _), _| *session != row);
        Ok(())
    }

    /// What a session says of a job, if it links it.
    pub(crate) fn link(&mut self, session: i64, job: &Arc<str>) -> Done<Option<Rc<Link>>> {
        let key = (session, job.clone());
        if let Some(known) = self.cache.links.get(&key) {
            return Ok(known.clone());
        }
        let sql = "SELECT link FROM link WHERE session = ?1 AND job = ?2";
        let stored = self.one(sql, (session, &**job), |row| text(row, 0))?;
        let link = stored.and_then(|stored| parsed(link_of(job), &stored)).map(Rc::new);
        self.cache.links.insert(key, link.clone());
        Ok(link)
    }

    /// All that a session links, by name.
    pub(crate) fn links(&mut self, session: i64) -> Done<Vec<Link>> {
        let sql = "SELECT link FROM link WHERE session = ?1 ORDER BY job";
        let stored = self.all(sql, [session], |row| text(row, 0))?;
        Ok(stored.iter().filter_map(|stored| parsed("a link", stored)).collect())
    }

    /// Stores what a session links, instead of what it linked before.
    pub(crate) fn save_links(&mut self, session: i64, links: &[Link]) -> Done<()> {
        self.execute("DELETE FROM link WHERE session = ?1", [session])?;
        for link in links {
            let fingerprint = link.schedule.as_ref().map(|declared| &*declared.fingerprint);
            let sql = "INSERT OR REPLACE INTO link (session, job, fingerprint, link) VALUES (?1, ?2, ?3, ?4)";
            self.execute(sql, (session, &*link.job, fingerprint, serde_json::to_string(link)?))?;
        }
        let sql = "INSERT OR REPLACE INTO attached (session, links)
                   SELECT ?1, count(*) FROM link WHERE session = ?1";
        self.execute(sql, [session])?;
        self.cache.links.retain(|(row, _), _| *row != session);
        Ok(())
    }

    /// How many jobs a session linked when it was attached.
    pub(crate) fn attached_links(&self, session: i64) -> Done<Option<i64>> {
        self.one("SELECT links FROM attached WHERE session = ?1", [session], |row| row.get(0))
    }

    /// How many links of a session are as it was attached: their jobs are there, or have another name. One that renames
    /// a job may have lost it to its former name.
    pub(crate) fn known_links(&self, session: i64) -> Done<i64> {
        Ok(self.one(KNOWN_LINKS, (session, self.ns), |row| row.get(0))?.unwrap_or(0))
    }

    /// Whether a live session, but for that one, declares a schedule so.
    pub(crate) fn is_declared(&mut self, job: &str, fingerprint: &str, but: i64) -> Done<bool> {
        self.is_any(IS_DECLARED, (job, fingerprint, self.ns, self.now.0, but))
    }

    /// How live sessions, but for that one, link a job.
    pub(crate) fn live_links(&mut self, job: &str, but: i64) -> Done<Vec<Link>> {
        let stored = self.all(LIVE_LINKS, (job, self.ns, self.now.0, but), |row| text(row, 0))?;
        Ok(stored.iter().filter_map(|stored| parsed(link_of(job), stored)).collect())
    }
}

fn link_of(job: &str) -> String {
    format!("a link of the job {job}")
}
