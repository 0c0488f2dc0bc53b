//! Sessions that open: what they link, and which declaration of a schedule is in force.

use jobs_core::{
    Ahead, Attach, Attached, Link, Millis, PutCell,
    ledger::{Claim, Cursor, Patience, Session, ahead_cell},
};

use crate::{
    fault::Done,
    rows::{JobRow, SessionRow},
    sessions::others,
    step::Step,
};

impl Step<'_> {
    pub(crate) fn attach(&mut self, attach: &Attach) -> Done<Attached> {
        let mut attached = Attached::default();
        self.set_waits_right()?;
        for gone in &attach.gone {
            self.declare_gone(*gone)?;
            let more = self.bring_back(*gone, &mut attached.reaped)?;
            attached.reaped.more |= more;
        }
        let known = self.session(attach.session)?;
        let row = match &known {
            Some(known) => known.row,
            None => self.id()?,
        };
        let again = known.is_some() && self.links(row)? == sorted(&attach.links);
        let mut past = known.as_ref().map(|known| known.state.past.clone()).unwrap_or_default();
        let jobs = self.cache.job_ids.len();
        for link in &attach.links {
            let known = match self.known_job(&link.job)? {
                Some(id) => self.job(id)?.is_some_and(|job| !job.link.is_bare()),
                None => false,
            };
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
            if link.schedule.is_some() {
                attached.ahead.extend(self.look_ahead(link)?);
                let state = self.schedule_of(link)?.map(|cursor| cursor.state());
                attached.schedules.extend(state.map(|state| (link.job.clone(), state)));
            }
        }
        if self.cache.job_ids.len() > jobs {
            self.drop_jobless()?;
        }
        attached.past.clone_from(&past);
        self.write_leases()?;
        attached.others = others(self.conn, self.ns, row, self.now)?;
        let state = Session::open(known.as_ref().map(|known| &known.state), attach, past, self.now);
        self.save_session(&SessionRow { row, state })?;
        if !again {
            self.save_links(row, &attach.links)?;
        }
        Ok(attached)
    }

    /// Keeps how a job is linked now.
    fn link_job(&mut self, link: &Link) -> Done<()> {
        let id = self.job_id(&link.job)?;
        if let Some(job) = self.job_mut(id)? {
            job.link = link.clone();
            job.relinked = true;
        }
        self.limit(id, link)
    }

    /// The schedule that a link declares, if it is known.
    fn schedule_of(&mut self, link: &Link) -> Done<Option<&mut Cursor>> {
        match self.known_job(&link.job)? {
            Some(id) => Ok(self.job(id)?.and_then(|job| job.schedule.as_mut())),
            None => Ok(None),
        }
    }

    /// Makes a declaration the current one, if it is new or a rollback. Returns the instant of a schedule that was
    /// past before it was first seen.
    fn declare(&mut self, link: &Link, session: i64) -> Done<Option<Millis>> {
        let Some(declared) = &link.schedule else { return Ok(None) };
        let current = self.schedule_of(link)?.map(|cursor| cursor.clone());
        let takes = match Cursor::claim(current.as_ref(), declared) {
            Claim::InForce => false,
            Claim::Takes => true,
            Claim::TakesIfAbandoned => match &current {
                Some(current) => !self.is_declared(&link.job, &current.fingerprint, session)?,
                None => true,
            },
        };
        if !takes {
            return Ok(None);
        }
        let id = self.job_id(&link.job)?;
        let now = self.now;
        let Some(job) = self.job_mut(id)?.filter(|job| !job.unreadable) else { return Ok(None) };
        job.moved = true;
        let Some((past, missed)) = Cursor::declare(&mut job.schedule, declared, now) else { return Ok(None) };
        self.record(id, vec![missed])?;
        Ok(Some(past))
    }

    /// Whether the cursor of a schedule is ahead of the clock; it is set back if it is too far ahead.
    fn look_ahead(&mut self, link: &Link) -> Done<Option<Ahead>> {
        let Some(id) = self.known_job(&link.job)? else { return Ok(None) };
        let now = self.now;
        let Some(JobRow { schedule: Some(schedule), moved, .. }) = self.job(id)? else { return Ok(None) };
        let cursor = schedule.cursor;
        let set_back = match Patience::with(cursor, now) {
            Patience::None => return Ok(None),
            Patience::Waits => false,
            Patience::SetBack => true,
        };
        if set_back {
            schedule.set_back(now);
            *moved = true;
            self.dirty_jobs.insert(id);
            let value = Some(serde_json::json!({ "cursor": cursor, "set_back": now }));
            self.put(&ahead_cell(&link.job), &PutCell { value, ..PutCell::default() })?;
        }
        Ok(Some(Ahead { schedule: link.job.clone(), cursor, set_back }))
    }

    /// What belongs to a job whose row was deleted by hand has no job any more: now that rows are made anew, it goes.
    fn drop_jobless(&mut self) -> Done<()> {
        self.write_jobs()?;
        let delayed = "SELECT job, EXISTS (SELECT 1 FROM job WHERE job.id = chunk.job) FROM chunk
                       WHERE line IS NULL AND job > ?1 ORDER BY job LIMIT 1";
        let mut after = i64::MIN;
        while let Some((job, is_there)) =
            self.one(delayed, [after], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)))?
        {
            after = job;
            if !is_there {
                // Where nobody looks for work, it is found and deleted little by little.
                let line = self.aside_line(job)?;
                self.execute("UPDATE chunk SET line = ?2 WHERE job = ?1 AND line IS NULL", (job, line))?;
                self.drop_line(line)?;
            }
        }
        Ok(())
    }
}

fn sorted(links: &[Link]) -> Vec<Link> {
    let mut links = links.to_vec();
    links.sort_by(|a, b| a.job.cmp(&b.job));
    links
}
