//! Beats, leaving, and taking back what dead sessions held.

use std::collections::BTreeSet;

use jobs_core::{
    AfterCrash, Beat, End, FailureKind, Header, Pulse, Reaped, RunId, SessionId, Token, after_crash,
    is_undecodable,
};
use sqlx::Row;

use crate::{
    chunks::Piece,
    fault::Done,
    leases::Held,
    runs::run_id,
    sessions::Session,
    step::{Step, sql},
};

const RENEW: &str = "UPDATE session SET until = $2, connected_at = $3 WHERE id = $1";
/// Cancelled runs of which a session holds items.
const CANCELLED: &str = "
    SELECT DISTINCT number FROM lease JOIN run ON run.id = lease.number AND NOT tracked
    WHERE session = $1 AND is_cancelled ORDER BY number";
const EXPIRED: &str = "SELECT session FROM session WHERE ns = $1 AND until < $2 ORDER BY session";
const ASIDE: &str = "SELECT id, job FROM line WHERE ns = $1 AND kind = 3 AND rank IS NOT NULL ORDER BY id";
const BUILDS: &str = "
    SELECT DISTINCT build FROM link JOIN session ON session.id = link.session
    WHERE link.job = $1 AND ns = $2 AND until >= $3";
const OF_LINE: &str = "
    SELECT ready.start, ready.count, body, at, ready.header, body.header AS of_body, rank, number, ready.id
    FROM ready LEFT JOIN body ON body.id = ready.body WHERE line = $1 ORDER BY rank, number, ready.start, ready.id";

impl Step {
    pub(crate) async fn beat(&mut self, beat: &Beat) -> Done<Pulse> {
        let Some(mut session) = self.session(beat.session).await? else { return Ok(Pulse::default()) };
        let now = self.now;
        // One that was not heard of for a lease was cut off, whatever it says.
        let renewed = !session.is_alive(now);
        if beat.reconnected || renewed {
            session.connected_at = now;
        }
        // While it had expired it was given nothing; now it may ask again.
        self.marks.work += u64::from(renewed);
        session.until = session.until.max(now + session.lease);
        self.execute(sql!(RENEW, session.row, session.until.0, session.connected_at.0)).await?;
        let mut pulse = Pulse { alive: true, ..Pulse::default() };
        let cancelled = self.all(sql!(CANCELLED, session.row)).await?;
        pulse.cancelled = cancelled.iter().map(run_id).collect::<Done<_>>()?;
        pulse.paused = self.all_paused().await?;
        if let Some(named) = &beat.held {
            pulse.lost = self.compare_held(&session, named, beat).await?;
        }
        Ok(pulse)
    }

    /// Which of the leases that a session names it does not have. What it has beyond them goes back.
    async fn compare_held(&mut self, session: &Session, named: &[Token], beat: &Beat) -> Done<Vec<Token>> {
        let held: BTreeSet<Token> = self.tokens(session.row).await?.into_iter().collect();
        let named: BTreeSet<Token> = named.iter().copied().collect();
        let beyond: Vec<Token> = held.difference(&named).copied().collect();
        if !beyond.is_empty() {
            // The answer that carried a young lease may still be on its way.
            let as_of = beat.as_of.min(self.now);
            for held in self.held(session.row, &beyond).await?.into_values() {
                if as_of.since(held.granted_at) > session.lease {
                    self.give_back(&held).await?;
                }
            }
        }
        Ok(named.difference(&held).copied().collect())
    }

    pub(crate) async fn detach(&mut self, id: SessionId) -> Done<()> {
        let Some(session) = self.session(id).await? else { return self.drop_owned(id).await };
        for held in self.all_held(session.row).await?.into_values() {
            self.give_back(&held).await?;
        }
        self.forget_session(&session).await
    }

    async fn give_back(&mut self, held: &Held) -> Done<()> {
        self.forget(held).await?;
        for piece in held.rest() {
            self.end_held(held, piece, &End::Back).await?;
        }
        Ok(())
    }

    /// Whether there is anything to reap: asked by everybody now and then, and answered without holding anybody up.
    pub(crate) async fn is_anything_to_reap(&mut self, id: SessionId) -> Done<bool> {
        Ok(self.may_reap(id).await?
            && (self.is_any(sql!(EXPIRED, self.ns, self.now.0)).await?
                || self.is_any(sql!(ASIDE, self.ns)).await?))
    }

    async fn may_reap(&mut self, id: SessionId) -> Done<bool> {
        let now = self.now;
        let settled =
            |caller: Session| caller.is_alive(now) && now.since(caller.connected_at) >= caller.lease;
        Ok(self.session(id).await?.is_some_and(settled))
    }

    pub(crate) async fn reap(&mut self, id: SessionId) -> Done<Reaped> {
        let mut reaped = Reaped::default();
        if !self.may_reap(id).await? {
            return Ok(reaped);
        }
        let mut runs = Vec::new();
        for id in self.values::<i64>(sql!(EXPIRED, self.ns, self.now.0)).await? {
            self.bring_back(SessionId(id.cast_unsigned()), &mut reaped, &mut runs).await?;
        }
        self.flush().await?;
        self.bury_undecodable(&mut reaped, &mut runs).await?;
        self.note_ended(&mut reaped, runs).await?;
        Ok(reaped)
    }

    /// Says which of the runs whose items ended are over.
    pub(crate) async fn note_ended(&mut self, reaped: &mut Reaped, runs: Vec<RunId>) -> Done<()> {
        self.flush().await?;
        self.write_tallies().await?;
        reaped.ended = self.over(runs);
        Ok(())
    }

    /// Takes back what a dead session held.
    pub(crate) async fn bring_back(
        &mut self,
        id: SessionId,
        reaped: &mut Reaped,
        runs: &mut Vec<RunId>,
    ) -> Done<()> {
        let Some(session) = self.session(id).await? else { return Ok(()) };
        let node = session.node.name.clone();
        for held in self.all_held(session.row).await?.into_values() {
            self.forget(&held).await?;
            for piece in held.rest() {
                runs.extend(piece.header.run());
                let (done, open) = self.split_recorded(piece).await?;
                for piece in done {
                    self.end(held.job, piece, held.cancelled, &End::Done(None)).await?;
                }
                for piece in open {
                    reaped.items += u64::from(piece.part.count);
                    self.after_crash(&held, piece, &node, reaped).await?;
                }
            }
        }
        self.forget_session(&session).await?;
        reaped.nodes.push(node);
        Ok(())
    }

    async fn after_crash(
        &mut self,
        held: &Held,
        mut piece: Piece,
        node: &str,
        reaped: &mut Reaped,
    ) -> Done<()> {
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
                let dead = self.kill(held.job, piece, FailureKind::Poison, message, node).await?;
                reaped.dead.push(dead);
                return Ok(());
            }
        }
        self.end(held.job, piece, held.cancelled, &End::Back).await
    }

    /// Kills the items that every live build has failed to decode, for long enough.
    async fn bury_undecodable(&mut self, reaped: &mut Reaped, runs: &mut Vec<RunId>) -> Done<()> {
        for row in self.all(sql!(ASIDE, self.ns)).await? {
            self.bury_undecodable_of(row.try_get(0)?, row.try_get(1)?, reaped, runs).await?;
        }
        Ok(())
    }

    async fn bury_undecodable_of(
        &mut self,
        line: i64,
        job: i64,
        reaped: &mut Reaped,
        runs: &mut Vec<RunId>,
    ) -> Done<()> {
        let name = self.job_name(job).await?;
        let builds: Vec<String> = self.values(sql!(BUILDS, &*name, self.ns, self.now.0)).await?;
        let builds = builds.into_iter().map(Into::into).collect();
        for row in self.all(sql!(OF_LINE, line)).await? {
            let mut piece = self.read_piece(job, &row).await?;
            let now = self.now;
            let failed = |header: &Header| {
                header.undecodable.clone().filter(|failed| is_undecodable(failed, &builds, now))
            };
            let Some(failed) = failed(&piece.header) else { continue };
            let id: i64 = row.try_get("id")?;
            self.execute(sql!("DELETE FROM ready WHERE line = $1 AND id = $2", line, id)).await?;
            while piece.part.count > 0 {
                let (one, message) = (piece.split_one(), failed.message.clone());
                runs.extend(one.header.run());
                let dead = self.kill(job, one, FailureKind::Undecodable, message, "").await?;
                reaped.dead.push(dead);
            }
        }
        self.restand(line).await
    }
}
