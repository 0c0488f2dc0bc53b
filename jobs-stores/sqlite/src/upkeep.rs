//! Beats, and what any session does so that all goes on: taking over, healing, ending what nobody can decode.

use std::collections::BTreeSet;

use jobs_core::{
    Beat, FailureKind, Pulse, Reaped, RunId, SessionId, Token, is_undecodable,
    ledger::{QueueKey, QueueKind, Session},
    notice,
};

use crate::{
    bodies::Found,
    chunks::Stored,
    fault::Done,
    rows::{SessionRow, limit, run_id, run_key, text},
    step::Step,
};

/// The most runs of which one reap asks whether anything is left.
const RUNS: i64 = 50;

const BUILDS: &str = "SELECT DISTINCT CASE WHEN json_valid(node) THEN node ->> 'build' END
                      FROM link JOIN session ON session.id = link.session
                      WHERE link.job = ?1 AND ns = ?2 AND until >= ?3";
const ASIDE: &str = "SELECT id, job, builds FROM line WHERE ns = ?1 AND kind = 3 ORDER BY id LIMIT ?2";
/// Whether anything waits of a run: in the line of what its query found, or touched.
const WAITS: &str = "SELECT 1 WHERE EXISTS (SELECT 1 FROM line WHERE job = ?1 AND kind = 1 AND run = ?2)
                     OR EXISTS (SELECT 1 FROM chunk WHERE number = ?2 AND header IS NOT NULL AND count > 0)";

impl Step<'_> {
    pub(crate) fn beat(&mut self, beat: &Beat) -> Done<Pulse> {
        let Some(known) = self.session(beat.session)? else { return Ok(Pulse::default()) };
        if known.state.has_left() {
            return Ok(Pulse::default());
        }
        if beat.held.is_some() && !self.is_whole(known.row)? {
            let text =
                "rows of a session's links or jobs are gone from the store's file; it is attached anew";
            notice::warn("sqlite-lost-links", text);
            self.detach(beat.session)?;
            return Ok(Pulse::default());
        }
        let mut session = SessionRow::clone(&known);
        // While it had expired it was given nothing; now it may ask again.
        self.marks.work += u64::from(session.state.renew(beat, self.now));
        self.save_life(&session)?;
        let mut pulse = Pulse { alive: true, ..Pulse::default() };
        pulse.paused = self.pauses()?.patterns(self.now);
        if let Some(named) = &beat.held {
            let held: BTreeSet<Token> = self.tokens(session.row, usize::MAX)?.into_iter().collect();
            let named: BTreeSet<Token> = named.iter().copied().collect();
            pulse.lost = named.difference(&held).copied().collect();
            for token in held.difference(&named) {
                let granted_at = self.held(session.row, *token)?.map(|held| held.granted_at);
                let is_orphan = |at| session.state.is_orphan(at, beat, self.now);
                if granted_at.is_some_and(is_orphan) && self.may_touch() {
                    self.give_back(session.row, *token)?;
                }
            }
        }
        pulse.cancelled = self.cancelled_of(session.row)?;
        Ok(pulse)
    }

    /// Whether all jobs are there that a session linked when it was attached.
    fn is_whole(&mut self, session: i64) -> Done<bool> {
        self.write_jobs()?;
        match self.attached_links(session)? {
            Some(links) => Ok(self.known_links(session)? >= links),
            None => Ok(true),
        }
    }

    /// Cancelled runs of which a session holds items.
    fn cancelled_of(&mut self, session: i64) -> Done<Vec<RunId>> {
        self.write_leases()?;
        let sql = "SELECT DISTINCT number FROM lease WHERE session = ?1 AND tracked = 0 ORDER BY number";
        let mut cancelled = Vec::new();
        for run in self.all(sql, [session], run_id)? {
            if self.run(run)?.is_some_and(|run| run.run.is_cancelled()) {
                cancelled.push(run);
            }
        }
        Ok(cancelled)
    }

    pub(crate) fn reap(&mut self, id: SessionId) -> Done<Reaped> {
        let mut reaped = Reaped::default();
        if !self.session(id)?.is_some_and(|caller| caller.state.may_reap(self.now)) {
            return Ok(reaped);
        }
        self.set_lives_right()?;
        self.set_waits_right()?;
        for id in self.expired_sessions()? {
            let more = self.bring_back(id, &mut reaped)?;
            reaped.more |= more;
        }
        for row in self.lost_sessions()? {
            let more = self.bring_back_lost(row, &mut reaped)?;
            reaped.more |= more;
        }
        self.go_on_cancelling(&mut reaped.ended)?;
        self.look_at_aside()?;
        self.end_undecodable(&mut reaped)?;
        self.end_lost_runs(&mut reaped)?;
        reaped.more |= self.left == 0;
        Ok(reaped)
    }

    /// Sets the lives of sessions right that a clock of the future has renewed.
    fn set_lives_right(&mut self) -> Done<()> {
        let sql = "SELECT session FROM session WHERE ns = ?1 AND until > ?2 + lease";
        let ahead = self.all(sql, (self.ns, self.now.0), |row| row.get::<_, i64>(0))?;
        for id in ahead {
            let Some(known) = self.session(SessionId(id.cast_unsigned()))? else { continue };
            let mut state: Session = known.state.clone();
            if state.set_right(self.now) {
                self.save_life(&SessionRow { row: known.row, state })?;
            }
        }
        Ok(())
    }

    /// Kills the items that every live build has failed to decode, for long enough.
    fn end_undecodable(&mut self, reaped: &mut Reaped) -> Done<()> {
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, text(row, 2)?));
        for (line, job, builds) in self.all(ASIDE, (self.ns, limit(self.left)), read)? {
            let key = QueueKey { kind: QueueKind::Aside, run: 0, builds };
            self.end_undecodable_of(line, job, &key, reaped)?;
        }
        Ok(())
    }

    fn end_undecodable_of(&mut self, line: i64, job: i64, key: &QueueKey, reaped: &mut Reaped) -> Done<()> {
        let Some(name) = self.job_name(job)? else { return self.drop_line(line) };
        let builds = self.all(BUILDS, (&*name, self.ns, self.now.0), |row| text(row, 0))?;
        // Some live build may still decode what stands here.
        if builds.iter().any(|build| !key.excludes(build)) {
            return Ok(());
        }
        let builds = builds.into_iter().map(Into::into).collect();
        let columns = Stored::COLUMNS;
        let sql = format!(
            "SELECT {columns} FROM chunk WHERE line = ?1 AND line > 0 ORDER BY rank, number, place LIMIT ?2"
        );
        for stored in self.all(&sql, (line, limit(self.left)), Stored::read)? {
            let Found::There(mut piece) = self.piece(&stored)? else { continue };
            let failed = piece.header.undecodable.clone();
            let Some(failed) = failed.filter(|failed| is_undecodable(failed, &builds, self.now)) else {
                continue;
            };
            let n = usize::try_from(piece.part.count).unwrap_or(usize::MAX).min(self.left);
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            if n == 0 {
                break;
            }
            self.take(&stored, n)?;
            for _ in 0..n {
                self.left -= 1;
                let one = piece.split_one();
                let message = failed.message.clone();
                let ended = &mut reaped.ended;
                let dead = self.kill(job, one, FailureKind::Undecodable, message, "", ended)?;
                reaped.dead.push(dead);
            }
        }
        Ok(())
    }

    /// Ends runs of which nothing waits and nothing is leased, though they are not over: rows were deleted by hand.
    fn end_lost_runs(&mut self, reaped: &mut Reaped) -> Done<()> {
        self.finish()?;
        let after = self.cache.runs_after.get(&self.ns).copied().unwrap_or(RunId::new(0));
        let sql = "SELECT id, job FROM run WHERE ns = ?1 AND finished IS NULL AND ended = 0 AND id > ?2
                   ORDER BY id LIMIT ?3";
        let read = |row: &rusqlite::Row<'_>| Ok((run_id(row)?, row.get::<_, i64>(1)?));
        let open = self.all(sql, (self.ns, run_key(after), RUNS), read)?;
        let last = open.last().filter(|_| open.len() == RUNS as usize).map(|(run, _)| *run);
        self.cache.runs_after.insert(self.ns, last.unwrap_or(RunId::new(0)));
        let mut leased = None;
        for (run, job) in open {
            if self.is_any(WAITS, (job, run_key(run)))? {
                continue;
            }
            let leased = match &mut leased {
                Some(leased) => leased,
                none => none.insert(self.leased_runs()?),
            };
            if leased.contains(&run) {
                continue;
            }
            let Some(row) = self.change_run(run)? else { continue };
            let (missing, staged) = row.run.give_up();
            self.end_staging(job, run, staged)?;
            let text = format!("{missing} items of run {run} are not in the file any more; they are dead");
            notice::warn("sqlite-lost-run", text);
            reaped.ended.push(run);
        }
        Ok(())
    }

    /// The runs of which something is leased.
    fn leased_runs(&self) -> Done<BTreeSet<RunId>> {
        let sql = "SELECT DISTINCT number FROM lease WHERE tracked = 0";
        Ok(self.all(sql, [], run_id)?.into_iter().collect())
    }
}
