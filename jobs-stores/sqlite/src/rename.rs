//! A job under a new name, and a deploy that takes the name back.

use std::sync::Arc;

use jobs_core::{
    Link,
    ledger::{Yields, yields},
    pause_cell,
};

use crate::{fault::Done, rows::text, step::Step};

/// The most names that a job has had one after the other.
const NAMES: usize = 1_000;

/// A line of a job that is renamed, and what tells it from the others.
struct LineRow {
    id: i64,
    kind: i64,
    run: i64,
    builds: String,
    items: i64,
}

impl Step<'_> {
    /// Takes over what belongs to the job's former name, at once: were it left to nodes that still link the old
    /// name, a tick would fire under both. What they hold they settle by its token, as ever.
    pub(crate) fn rename(&mut self, link: &Link) -> Done<()> {
        let Some(was) = link.former() else { return Ok(()) };
        self.forget_new_name(&link.job)?;
        let sql = "INSERT INTO renamed (ns, was, name) VALUES (?1, ?2, ?3)
                   ON CONFLICT (ns, was) DO UPDATE SET name = ?3";
        self.execute(sql, (self.ns, &**was, &*link.job))?;
        self.move_job(was, &link.job)
    }

    /// Whether a job gives way to its new name. It takes back what belongs to it if the deploy was rolled back.
    pub(crate) fn gives_way(&mut self, link: &Link, beside: &[Link], session: i64) -> Done<bool> {
        let Some(name) = self.newest_name(&link.job)? else { return Ok(false) };
        let live = self.live_links(&name, session)?;
        match yields(live.iter().chain(beside.iter().find(|other| other.job == name))) {
            Yields::GivesWay => return Ok(true),
            Yields::TakesBack => {
                self.forget_new_name(&link.job)?;
                self.move_job(&name, &link.job)?;
            }
            Yields::Parts => self.forget_new_name(&link.job)?,
        }
        Ok(false)
    }

    /// What a job is called now; `None` if it was not renamed.
    fn newest_name(&mut self, was: &str) -> Done<Option<Arc<str>>> {
        let mut name = self.new_name(was)?;
        for _ in 0..NAMES {
            let Some(newer) = name.as_deref().map(|name| self.new_name(name)).transpose()?.flatten() else {
                break;
            };
            name = Some(newer);
        }
        Ok(name)
    }

    fn new_name(&mut self, was: &str) -> Done<Option<Arc<str>>> {
        let sql = "SELECT name FROM renamed WHERE ns = ?1 AND was = ?2";
        self.one(sql, (self.ns, was), |row| text(row, 0).map(Into::into))
    }

    fn forget_new_name(&mut self, was: &str) -> Done<()> {
        self.execute("DELETE FROM renamed WHERE ns = ?1 AND was = ?2", (self.ns, was))?;
        Ok(())
    }

    fn move_job(&mut self, was: &Arc<str>, name: &Arc<str>) -> Done<()> {
        let Some(from) = self.known_job(was)? else { return Ok(()) };
        let to = self.job_id(name)?;
        self.finish()?;
        let Some(old) = self.job(from)? else { return Ok(()) };
        let schedule = old.schedule.clone();
        let limited = old.limited;
        let ticks = old.ticks;
        let finished = old.finished;
        let Some(new) = self.job_mut(to)? else { return Ok(()) };
        new.limited |= limited;
        new.finished += finished;
        let limited = new.limited;
        // What the new name has already, it keeps.
        let takes_schedule = new.schedule.is_none() && !new.unreadable && schedule.is_some();
        if takes_schedule {
            new.schedule = schedule;
            new.moved = true;
            new.ticks = ticks;
        }
        let replaced = if takes_schedule { to } else { from };
        self.execute("DELETE FROM tick WHERE job = ?1", [replaced])?;
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
        let sql = "SELECT id, kind, run, builds, items FROM line WHERE job = ?1 ORDER BY id";
        let lines = self.all(sql, [from], |row| {
            let builds = text(row, 3)?;
            Ok(LineRow { id: row.get(0)?, kind: row.get(1)?, run: row.get(2)?, builds, items: row.get(4)? })
        })?;
        for LineRow { id, kind, run, builds, items } in lines {
            let sql = "SELECT id FROM line WHERE job = ?1 AND kind = ?2 AND run = ?3 AND builds = ?4";
            match self.one(sql, (to, kind, run, builds), |row| row.get::<_, i64>(0))? {
                None => {
                    self.execute("UPDATE line SET job = ?2 WHERE id = ?1", (id, to))?;
                }
                Some(there) => {
                    self.execute("UPDATE chunk SET line = ?2 WHERE line = ?1 AND line > 0", (id, there))?;
                    self.execute("DELETE FROM line WHERE id = ?1", [id])?;
                    self.moved_in(there, to, items)?;
                }
            }
        }
        Ok(())
    }
}
