//! Beats, leaving, and taking back what dead sessions held.

use std::collections::BTreeSet;

use jobs_core::{
    AfterCrash, Beat, End, FailureKind, Header, Pulse, Reaped, RunId, SessionId, Token, after_crash,
    is_undecodable,
};

use crate::{
    chunks::{Piece, Stored},
    fault::Done,
    lines::Kind,
    sessions::Session,
    step::Step,
};

impl Step<'_> {
    pub(crate) fn beat(&mut self, beat: &Beat) -> Done<Pulse> {
        let Some(known) = self.session(beat.session)? else { return Ok(Pulse::default()) };
        let (now, mut session) = (self.now, Session::clone(&known));
        // One that was not heard of for a lease was cut off, whatever it says.
        let renewed = !session.is_alive(now);
        if beat.reconnected || renewed {
            session.connected_at = now;
        }
        // While it had expired it was given nothing; now it may ask again.
        self.marks.work += u64::from(renewed);
        session.until = session.until.max(now + session.lease);
        self.save_session(&session)?;
        let mut pulse = Pulse { alive: true, ..Pulse::default() };
        pulse.cancelled = self.cancelled_of(session.row)?;
        pulse.paused = self.all_paused()?;
        if let Some(named) = &beat.held {
            let held: BTreeSet<Token> = self.tokens(session.row)?.into_iter().collect();
            let named: BTreeSet<Token> = named.iter().copied().collect();
            pulse.lost = named.difference(&held).copied().collect();
            for token in held.difference(&named) {
                // The answer that carried a young lease may still be on its way.
                let as_of = beat.as_of.min(now);
                let granted_at = self.held(session.row, *token)?.map(|held| held.granted_at);
                if granted_at.is_some_and(|granted_at| as_of.since(granted_at) > session.lease) {
                    self.give_back(session.row, *token)?;
                }
            }
        }
        Ok(pulse)
    }

    /// Cancelled runs of which a session holds items.
    fn cancelled_of(&mut self, session: i64) -> Done<Vec<RunId>> {
        self.write_leases()?;
        let sql = "SELECT DISTINCT number FROM lease WHERE session = ?1 AND tracked = 0 ORDER BY number";
        let mut cancelled = Vec::new();
        for run in self.all(sql, [session], crate::runs::run_id)? {
            if self.run(run)?.is_some_and(|run| run.record().cancelled) {
                cancelled.push(run);
            }
        }
        Ok(cancelled)
    }

    pub(crate) fn detach(&mut self, id: SessionId) -> Done<()> {
        let Some(session) = self.session(id)? else { return self.drop_owned(id) };
        for token in self.tokens(session.row)? {
            self.give_back(session.row, token)?;
        }
        self.forget_session(&session)
    }

    fn give_back(&mut self, session: i64, token: Token) -> Done<()> {
        let Some(held) = self.forget(session, token)? else { return Ok(()) };
        for piece in held.rest() {
            self.end(held.job, piece, &End::Back, &mut Vec::new())?;
        }
        Ok(())
    }

    pub(crate) fn reap(&mut self, id: SessionId) -> Done<Reaped> {
        let (now, mut reaped) = (self.now, Reaped::default());
        let settled =
            |caller: &Session| caller.is_alive(now) && now.since(caller.connected_at) >= caller.lease;
        if !self.session(id)?.is_some_and(|caller| settled(&caller)) {
            return Ok(reaped);
        }
        let sql = "SELECT session FROM session WHERE ns = ?1 AND until < ?2 ORDER BY session";
        let expired = self.all(sql, (self.ns, now.0), |row| row.get::<_, i64>(0))?;
        for id in expired {
            self.bring_back(SessionId(id.cast_unsigned()), &mut reaped)?;
        }
        self.bury_undecodable(&mut reaped)?;
        Ok(reaped)
    }

    /// Takes back what a dead session held.
    pub(crate) fn bring_back(&mut self, id: SessionId, reaped: &mut Reaped) -> Done<()> {
        let Some(session) = self.session(id)? else { return Ok(()) };
        let node = session.node.name.clone();
        for token in self.tokens(session.row)? {
            let Some(held) = self.forget(session.row, token)? else { continue };
            for piece in held.rest() {
                reaped.items += u64::from(piece.part.count);
                self.after_crash(held.job, piece, &node, reaped)?;
            }
        }
        self.forget_session(&session)?;
        reaped.nodes.push(node);
        Ok(())
    }

    fn after_crash(&mut self, job: i64, mut piece: Piece, node: &str, reaped: &mut Reaped) -> Done<()> {
        let fate = after_crash(&piece.header);
        let header = &mut piece.header;
        header.redelivered += 1;
        piece.part.own = false;
        match fate {
            AfterCrash::Suspect => header.suspect = true,
            AfterCrash::Charged => header.crashes += 1,
            AfterCrash::Poison => {
                let deaths = header.redelivered;
                let message = format!(
                    "{deaths} nodes died holding it, the last ones with nothing else under suspicion"
                );
                let dead = self.kill(job, piece, FailureKind::Poison, message, node, &mut reaped.ended)?;
                reaped.dead.push(dead);
                return Ok(());
            }
        }
        self.end(job, piece, &End::Back, &mut reaped.ended)
    }

    /// Kills the items that every live build has failed to decode, for long enough.
    fn bury_undecodable(&mut self, reaped: &mut Reaped) -> Done<()> {
        let sql = "SELECT id, job FROM line WHERE ns = ?1 AND kind = ?2 AND rank IS NOT NULL ORDER BY id";
        let lines = self.all(sql, (self.ns, Kind::Aside as i64), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        for (line, job) in lines {
            self.bury_undecodable_of(line, job, reaped)?;
        }
        Ok(())
    }

    fn bury_undecodable_of(&mut self, line: i64, job: i64, reaped: &mut Reaped) -> Done<()> {
        let name = self.job_name(job)?;
        let sql = "SELECT DISTINCT node ->> 'build' FROM link JOIN session ON session.id = link.session
                   WHERE link.job = ?1 AND ns = ?2 AND until >= ?3";
        let builds = self.all(sql, (&*name, self.ns, self.now.0), |row| row.get::<_, String>(0))?;
        let builds = builds.into_iter().map(Into::into).collect();
        let sql = "SELECT id, job, start, count, body, at, header FROM chunk WHERE line = ?1 AND line > 0
                   ORDER BY rank, number, place";
        let mut buried = false;
        for stored in self.all(sql, [line], Stored::read)? {
            let mut piece = self.piece(&stored)?;
            let now = self.now;
            let failed = |header: &Header| {
                header.undecodable.clone().filter(|failed| is_undecodable(failed, &builds, now))
            };
            let Some(failed) = failed(&piece.header) else { continue };
            self.take_out(&stored)?;
            buried = true;
            while piece.part.count > 0 {
                let (one, message) = (piece.split_one(), failed.message.clone());
                let ended = &mut reaped.ended;
                let dead = self.kill(job, one, FailureKind::Undecodable, message, "", ended)?;
                reaped.dead.push(dead);
            }
        }
        if buried { self.recount(line, job) } else { Ok(()) }
    }
}
