//! A job under a new name, and a deploy that takes the name back.

use std::sync::Arc;

use jobs_core::{Link, pause_cell};

use crate::{fault::Done, step::Step};

/// A line of a job that is renamed: what of it is another job's is told by these.
type Place = (i64, i64, i64, String);

impl Step<'_> {
    /// Takes over what belongs to the job's former name, at once: were it left to nodes that still link the old
    /// name, a tick would fire under both. What they hold they settle by its token, as ever.
    pub(crate) fn rename(&mut self, link: &Link) -> Done<()> {
        let Some(was) = link.was.as_ref().filter(|was| **was != link.job) else { return Ok(()) };
        self.forget_new_name(&link.job)?;
        let sql = "INSERT INTO renamed VALUES (?1, ?2, ?3) ON CONFLICT (ns, was) DO UPDATE SET name = ?3";
        self.execute(sql, (self.ns, &**was, &*link.job))?;
        self.move_job(was, &link.job)
    }

    /// Whether a job gives way to its new name, because a live session renames it. When none is left and nobody
    /// links the new name, the deploy was rolled back: the job takes back what belongs to it. When somebody does,
    /// the former name was given to another job.
    pub(crate) fn gives_way(&mut self, link: &Link, beside: &[Link], session: i64) -> Done<bool> {
        let Some(mut name) = self.new_name(&link.job)? else { return Ok(false) };
        while let Some(newer) = self.new_name(&name)? {
            name = newer;
        }
        let mut links = self.live_links(&name, session)?;
        links.extend(beside.iter().find(|other| other.job == name).cloned());
        if links.iter().any(|link| link.was.is_some()) {
            return Ok(true);
        }
        self.forget_new_name(&link.job)?;
        if links.is_empty() {
            self.move_job(&name, &link.job)?;
        }
        Ok(false)
    }

    fn new_name(&mut self, was: &str) -> Done<Option<Arc<str>>> {
        let sql = "SELECT name FROM renamed WHERE ns = ?1 AND was = ?2";
        self.one(sql, (self.ns, was), |row| row.get::<_, String>(0).map(Into::into))
    }

    fn forget_new_name(&mut self, was: &str) -> Done<()> {
        self.execute("DELETE FROM renamed WHERE ns = ?1 AND was = ?2", (self.ns, was))?;
        Ok(())
    }

    fn move_job(&mut self, was: &Arc<str>, name: &Arc<str>) -> Done<()> {
        let Some(from) = self.known_job(was)? else { return Ok(()) };
        let to = self.job_id(name)?;
        self.finish()?;
        let old = self.job(from)?;
        let (schedule, limited, ticks, finished) =
            (old.schedule.clone(), old.limited, old.ticks, old.finished);
        let new = self.job_mut(to)?;
        // What the new name has already, it keeps.
        let takes_schedule = new.schedule.is_none() && schedule.is_some();
        if takes_schedule {
            new.schedule = schedule;
            new.ticks = ticks;
            self.execute("DELETE FROM tick WHERE job = ?1", [to])?;
        } else {
            self.execute("DELETE FROM tick WHERE job = ?1", [from])?;
        }
        let new = self.job_mut(to)?;
        new.limited |= limited;
        new.finished += finished;
        let limited = new.limited;
        for table in ["chunk", "run", "dead", "tick"] {
            self.execute(&format!("UPDATE {table} SET job = ?2 WHERE job = ?1"), (from, to))?;
        }
        self.execute("UPDATE lease SET job = ?2, limited = ?3 WHERE job = ?1", (from, to, limited))?;
        if limited {
            self.execute("UPDATE lease SET limited = 1 WHERE job = ?1", [to])?;
        }
        self.execute("DELETE FROM job WHERE id = ?1", [from])?;
        // All that is remembered says the old name.
        self.finish()?;
        self.cache.forget_jobs();
        self.move_lines(from, to)?;
        self.find_next_due(to)?;
        self.rename_pause(&pause_cell(was), &pause_cell(name))?;
        self.marks.work += 1;
        Ok(())
    }

    /// Lines that both have become one.
    fn move_lines(&mut self, from: i64, to: i64) -> Done<()> {
        let sql = "SELECT id, kind, run, builds FROM line WHERE job = ?1 ORDER BY id";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let lines: Vec<Place> = self.all(sql, [from], read)?;
        for (line, kind, run, builds) in lines {
            let sql = "SELECT id FROM line WHERE job = ?1 AND kind = ?2 AND run = ?3 AND builds = ?4";
            match self.one(sql, (to, kind, run, builds), |row| row.get::<_, i64>(0))? {
                None => {
                    self.execute("UPDATE line SET job = ?2 WHERE id = ?1", (line, to))?;
                }
                Some(there) => {
                    self.execute("UPDATE chunk SET line = ?2 WHERE line = ?1 AND line > 0", (line, there))?;
                    self.execute("DELETE FROM line WHERE id = ?1", [line])?;
                    self.recount(there, to)?;
                }
            }
        }
        Ok(())
    }
}
