//! Sessions, and what they link.

use std::{rc::Rc, sync::Arc, time::Duration};

use jobs_core::{Link, Millis, Node, SessionId, SessionRecord};
use rusqlite::{Connection, Row};

use crate::{fault::Done, runs::unreadable, step::Step};

#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Its number in the file.
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

/// Every session, with how many items each holds.
const RECORDS: &str = "SELECT id, session, lease, until, connected_at, node, past,
                              (SELECT coalesce(sum(open), 0) FROM lease WHERE lease.session = session.id) AS held
                       FROM session WHERE ns = ?1";
const SELECT: &str =
    "SELECT id, session, lease, until, connected_at, node, past FROM session WHERE ns = ?1 AND session = ?2";
const REPLACE: &str = "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                       ON CONFLICT (id) DO UPDATE SET lease = ?4, until = ?5, connected_at = ?6, node = ?7, past = ?8";

impl Session {
    pub(crate) fn is_alive(&self, now: Millis) -> bool {
        now <= self.until
    }

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (node, past): (String, String) = (row.get(5)?, row.get(6)?);
        Ok(Self {
            row: row.get(0)?,
            id: SessionId(row.get::<_, i64>(1)?.cast_unsigned()),
            lease: Duration::from_millis(row.get::<_, i64>(2)?.cast_unsigned()),
            until: Millis(row.get(3)?),
            connected_at: Millis(row.get(4)?),
            node: serde_json::from_str(&node).map_err(|error| unreadable(5, error))?,
            past: serde_json::from_str(&past).map_err(|error| unreadable(6, error))?,
        })
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<SessionRecord> {
    let Session { id, node, until, .. } = Session::read(row)?;
    Ok(SessionRecord { session: id, node, holds: row.get::<_, i64>(7)?.cast_unsigned(), until })
}

/// The sessions but that one that live, or hold something.
pub(crate) fn others(conn: &Connection, ns: i64, but: i64, now: Millis) -> Done<Vec<SessionRecord>> {
    let sql = format!("{RECORDS} AND id <> ?2 AND (until >= ?3 OR held > 0) ORDER BY session");
    let mut select = conn.prepare_cached(&sql)?;
    Ok(select.query_map((ns, but, now.0), record)?.collect::<rusqlite::Result<_>>()?)
}

/// Every session, in the order of their nodes' names.
pub(crate) fn all(conn: &Connection, ns: Option<i64>) -> Done<Vec<SessionRecord>> {
    let mut select = conn.prepare_cached(RECORDS)?;
    let mut records: Vec<SessionRecord> = select.query_map([ns], record)?.collect::<rusqlite::Result<_>>()?;
    records.sort_by(|a, b| (&a.node.name, a.session).cmp(&(&b.node.name, b.session)));
    Ok(records)
}

impl Step<'_> {
    pub(crate) fn session(&mut self, id: SessionId) -> Done<Option<Rc<Session>>> {
        if let Some(known) = self.cache.sessions.get(&(self.ns, id)) {
            return Ok(known.clone());
        }
        let session = self.one(SELECT, (self.ns, id.0.cast_signed()), Session::read)?.map(Rc::new);
        self.cache.sessions.insert((self.ns, id), session.clone());
        Ok(session)
    }

    /// Stores a session as it is now.
    pub(crate) fn save_session(&mut self, session: &Session) -> Done<()> {
        let Session { row, id, lease, until, connected_at, node, past } = session;
        let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let (node, past) = (serde_json::to_string(node)?, serde_json::to_string(past)?);
        let values = (row, self.ns, id.0.cast_signed(), lease, until.0, connected_at.0, node, past);
        self.execute(REPLACE, values)?;
        self.cache.sessions.remove(&(self.ns, *id));
        Ok(())
    }

    /// Forgets a session, its links, its lanes and its cells; its leases are gone already.
    pub(crate) fn forget_session(&mut self, session: &Session) -> Done<()> {
        self.execute("DELETE FROM session WHERE id = ?1", [session.row])?;
        self.execute("DELETE FROM link WHERE session = ?1", [session.row])?;
        self.execute("DELETE FROM lane WHERE session = ?1", [session.row])?;
        self.cache.sessions.remove(&(self.ns, session.id));
        self.cache.links.retain(|(row, _), _| *row != session.row);
        self.cache.lanes.retain(|(row, _), _| *row != session.row);
        self.drop_owned(session.id)
    }

    /// What a session says of a job, if it links it.
    pub(crate) fn link(&mut self, session: i64, job: &Arc<str>) -> Done<Option<Rc<Link>>> {
        let key = (session, job.clone());
        if let Some(known) = self.cache.links.get(&key) {
            return Ok(known.clone());
        }
        let sql = "SELECT link FROM link WHERE session = ?1 AND job = ?2";
        let text = self.one(sql, (session, &**job), |row| row.get::<_, String>(0))?;
        let link = text.map(|text| serde_json::from_str(&text)).transpose()?.map(Rc::new);
        self.cache.links.insert(key, link.clone());
        Ok(link)
    }

    /// All that a session links, by name.
    pub(crate) fn links(&mut self, session: i64) -> Done<Vec<Link>> {
        let sql = "SELECT link FROM link WHERE session = ?1 ORDER BY job";
        let texts = self.all(sql, [session], |row| row.get::<_, String>(0))?;
        Ok(texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?)
    }

    /// Stores what a session links, instead of what it linked before.
    pub(crate) fn save_links(&mut self, session: i64, links: &[Link]) -> Done<()> {
        self.execute("DELETE FROM link WHERE session = ?1", [session])?;
        for link in links {
            let fingerprint = link.schedule.as_ref().map(|declared| &*declared.fingerprint);
            let sql = "INSERT OR REPLACE INTO link VALUES (?1, ?2, ?3, ?4)";
            self.execute(sql, (session, &*link.job, fingerprint, serde_json::to_string(link)?))?;
        }
        self.cache.links.retain(|(row, _), _| *row != session);
        Ok(())
    }

    /// Whether a live session, but for that one, declares a schedule so.
    pub(crate) fn is_declared(&mut self, job: &str, fingerprint: &str, but: i64) -> Done<bool> {
        let sql = "SELECT 1 FROM link JOIN session ON session.id = link.session
                   WHERE link.job = ?1 AND link.fingerprint = ?2 AND ns = ?3 AND until >= ?4 AND session.id <> ?5";
        self.is_any(sql, (job, fingerprint, self.ns, self.now.0, but))
    }

    /// How live sessions, but for that one, link a job.
    pub(crate) fn live_links(&mut self, job: &str, but: i64) -> Done<Vec<Link>> {
        let sql = "SELECT link FROM link JOIN session ON session.id = link.session
                   WHERE link.job = ?1 AND ns = ?2 AND until >= ?3 AND session.id <> ?4";
        let values = (job, self.ns, self.now.0, but);
        let texts = self.all(sql, values, |row| row.get::<_, String>(0))?;
        Ok(texts.iter().map(|text| serde_json::from_str(text)).collect::<Result<_, _>>()?)
    }
}
