//! Sessions that open: what they link, and which declaration of a schedule is in force.

use crate::{
    fault::Done,
    jobs::Cursor,
    sessions::{Session, others},
    step::Step,
};
use jobs_core::{Attach, Attached, Link, Millis, TickInfo, Verdict};

impl Step<'_> {
    pub(crate) fn attach(&mut self, attach: &Attach) -> Done<Attached> {
        let mut attached = Attached::default();
        for gone in &attach.gone {
            self.bring_back(*gone, &mut attached.reaped)?;
        }
        let known = self.session(attach.session)?;
        let row = match &known {
            Some(known) => known.row,
            None => self.id()?,
        };
        let again = known.is_some() && self.links(row)? == sorted(&attach.links);
        let mut past = known.as_ref().map(|known| known.past.clone()).unwrap_or_default();
        for link in &attach.links {
            let known = self.known_job(&link.job)?.is_some();
            if self.gives_way(link, &attach.links, row)? {
                continue;
            }
            // A repeat changes nothing, for it may come after what others have said since; but for a declaration
            // that nobody declares any more, which an older one may follow now.
            if !again {
                self.rename(link)?;
            }
            if !again || !known {
                self.link_job(link)?;
            }
            past.extend(self.declare(link, row)?.map(|instant| (link.job.clone(), instant)));
            if let (Some(_), Some((_, cursor))) = (&link.schedule, self.schedule(&link.job)?) {
                attached.schedules.insert(link.job.clone(), cursor.state());
            }
        }
        attached.past.clone_from(&past);
        self.write_leases()?;
        attached.others = others(self.conn, self.ns, row, self.now)?;
        self.open_session(attach, known.as_deref(), row, past)?;
        if !again {
            self.save_links(row, &attach.links)?;
        }
        Ok(attached)
    }

    fn open_session(
        &mut self,
        attach: &Attach,
        known: Option<&Session>,
        row: i64,
        past: Vec<(std::sync::Arc<str>, Millis)>,
    ) -> Done<()> {
        let now = self.now;
        let connected = known.filter(|known| known.is_alive(now));
        let session = Session {
            row,
            id: attach.session,
            lease: attach.lease,
            until: known.map_or(Millis::MIN, |known| known.until).max(now + attach.lease),
            connected_at: connected.map_or(now, |known| known.connected_at),
            node: attach.node.clone(),
            past,
        };
        self.save_session(&session)
    }

    /// Keeps how a job is linked now.
    fn link_job(&mut self, link: &Link) -> Done<()> {
        let id = self.job_id(&link.job)?;
        self.job_mut(id)?.link = link.clone();
        self.limit(id, link)
    }

    /// From now on the leases of a job are found by it, if a link limits it over all sessions.
    pub(crate) fn limit(&mut self, id: i64, link: &Link) -> Done<()> {
        if link.is_limited() && !self.job(id)?.limited {
            self.job_mut(id)?.limited = true;
            // What is in flight already counts.
            self.write_leases()?;
            self.execute("UPDATE lease SET limited = 1 WHERE job = ?1", [id])?;
        }
        Ok(())
    }

    /// Makes a declaration the current one, if it is new or a rollback. Gives the instant of a schedule that was
    /// past before it was first seen.
    fn declare(&mut self, link: &Link, session: i64) -> Done<Option<Millis>> {
        let Some(declared) = &link.schedule else { return Ok(None) };
        let (fingerprint, now) = (&declared.fingerprint, self.now);
        let current = self.schedule(&link.job)?.map(|(_, cursor)| cursor.clone());
        let first = current.as_ref().is_none_or(|cursor| !cursor.was(fingerprint));
        if let Some(cursor) = &current {
            let superseded = cursor.was(fingerprint);
            let in_force = cursor.fingerprint == *fingerprint;
            if in_force || (superseded && self.is_declared(&link.job, &cursor.fingerprint, session)?) {
                return Ok(None);
            }
        }
        let job = self.job_id(&link.job)?;
        let cursor = self.job_mut(job)?.schedule.get_or_insert_with(|| Cursor::new(now, fingerprint.clone()));
        if cursor.fingerprint != *fingerprint {
            cursor.redeclare(fingerprint, now);
        }
        let Some(past) = declared.instant.filter(|instant| first && *instant <= now) else { return Ok(None) };
        let missed = TickInfo::passed(past.timestamp(), past.timestamp(), 1, Verdict::Missed);
        self.record(job, [missed])?;
        Ok(Some(past))
    }
}

fn sorted(links: &[Link]) -> Vec<Link> {
    let mut links = links.to_vec();
    links.sort_by(|a, b| a.job.cmp(&b.job));
    links
}
