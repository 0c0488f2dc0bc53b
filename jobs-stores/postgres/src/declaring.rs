//! Sessions that open: what they link, and which declaration of a schedule is in force.

use jobs_core::{Attach, Attached, Link, Millis, SessionId, TickInfo, Verdict};

use crate::{fault::Done, jobs::Cursor, sessions::Session, step::Step};

impl Step {
    pub(crate) async fn attach(&mut self, attach: &Attach) -> Done<Attached> {
        let mut attached = Attached::default();
        let mut runs = Vec::new();
        for gone in &attach.gone {
            self.bring_back(*gone, &mut attached.reaped, &mut runs).await?;
        }
        self.note_ended(&mut attached.reaped, runs).await?;
        let known = self.session(attach.session).await?;
        let again = match &known {
            Some(known) => self.links_of(known.row).await? == sorted(&attach.links),
            None => false,
        };
        let mut past = known.as_ref().map(|known| known.past.clone()).unwrap_or_default();
        self.read_jobs(attach.links.iter().map(|link| link.job.clone()).collect()).await?;
        for link in &attach.links {
            let known = self.known_job(&link.job).await?.is_some();
            if self.gives_way(link, &attach.links, attach.session).await? {
                continue;
            }
            // A repeat changes nothing, for it may come after what others have said since; but for a declaration
            // that nobody declares any more, which an older one may follow now.
            if !again {
                self.rename(link).await?;
            }
            if !again || !known {
                self.link_job(link).await?;
            }
            past.extend(self.declare(link, attach.session).await?.map(|instant| (link.job.clone(), instant)));
            if let (Some(_), Some((_, cursor))) = (&link.schedule, self.schedule(&link.job).await?) {
                attached.schedules.insert(link.job.clone(), cursor.state());
            }
        }
        attached.past.clone_from(&past);
        let now = self.now;
        let records = self.session_records().await?.into_iter();
        let seen = records.filter(|record| record.until >= now || record.holds > 0);
        attached.others = seen.filter(|record| record.session != attach.session).collect();
        let row = self.open_session(attach, known.as_ref(), past).await?;
        if !again {
            self.save_links(row, &attach.links).await?;
        }
        Ok(attached)
    }

    async fn open_session(
        &mut self,
        attach: &Attach,
        known: Option<&Session>,
        past: Vec<(std::sync::Arc<str>, Millis)>,
    ) -> Done<i64> {
        let now = self.now;
        let connected = known.filter(|known| known.is_alive(now));
        let session = Session {
            row: 0,
            id: attach.session,
            lease: attach.lease,
            until: known.map_or(Millis::MIN, |known| known.until).max(now + attach.lease),
            connected_at: connected.map_or(now, |known| known.connected_at),
            node: attach.node.clone(),
            past,
        };
        self.save_session(&session).await
    }

    /// Keeps how a job is linked now.
    async fn link_job(&mut self, link: &Link) -> Done<()> {
        let id = self.job_id(&link.job).await?;
        self.job_mut(id).await?.link = link.clone();
        Ok(())
    }

    /// Makes a declaration the current one, if it is new or a rollback. Gives the instant of a schedule that was
    /// past before it was first seen.
    async fn declare(&mut self, link: &Link, session: SessionId) -> Done<Option<Millis>> {
        let Some(declared) = &link.schedule else { return Ok(None) };
        let (fingerprint, now) = (&declared.fingerprint, self.now);
        let current = self.schedule(&link.job).await?.map(|(_, cursor)| cursor);
        let first = current.as_ref().is_none_or(|cursor| !cursor.was(fingerprint));
        if let Some(cursor) = &current {
            let superseded = cursor.was(fingerprint);
            let in_force = cursor.fingerprint == *fingerprint;
            if in_force || (superseded && self.is_declared(&link.job, &cursor.fingerprint, session).await?) {
                return Ok(None);
            }
        }
        let job = self.job_id(&link.job).await?;
        let schedule = &mut self.job_mut(job).await?.schedule;
        let cursor = schedule.get_or_insert_with(|| Cursor::new(now, fingerprint.clone()));
        if cursor.fingerprint != *fingerprint {
            cursor.redeclare(fingerprint, now);
        }
        let Some(past) = declared.instant.filter(|instant| first && *instant <= now) else { return Ok(None) };
        let missed = TickInfo::passed(past.timestamp(), past.timestamp(), 1, Verdict::Missed);
        self.record(job, [missed]).await?;
        Ok(Some(past))
    }
}

fn sorted(links: &[Link]) -> Vec<Link> {
    let mut links = links.to_vec();
    links.sort_by(|a, b| a.job.cmp(&b.job));
    links
}
