//! How sessions live and end: beats, leaving, and taking back what dead ones held.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jobs_core::{
    Beat, FailureKind, Pulse, Reaped, RunId, STEP_RECORDS, SessionId, Token, is_undecodable, ledger, notice,
};
use serde::Deserialize;

use crate::{
    cells::{CellRow, pauses},
    facts::Facts,
    fault::Done,
    items::Held,
    pieces::{Piece, PieceRow},
    records::{ChunkGone, SessionRenewed},
    sessions::{SessionRow, session_key},
    step::{Step, most, sql},
};

const BEAT: &str = "
    SELECT * FROM session_2($1, $2, false) UNION ALL SELECT * FROM cancelled_2($1, $2)
    UNION ALL SELECT * FROM pauses_2($1)";
const BEAT_WITH_LEASES: &str = "
    SELECT * FROM session_2($1, $2, false) UNION ALL SELECT * FROM cancelled_2($1, $2)
    UNION ALL SELECT * FROM pauses_2($1) UNION ALL SELECT * FROM all_held_2($1, $2, $3, $4)";
const DETACH: &str =
    "SELECT * FROM session_2($1, $2, true) UNION ALL SELECT * FROM all_held_2($1, $2, NULL, $3)";
const MAY_REAP: &str = "SELECT * FROM session_2($1, $2, false)";
const REAP: &str = "
    SELECT * FROM expired_2($1, $2, NULL, $3) UNION ALL SELECT * FROM aside_2($1, $2, $4)
    UNION ALL SELECT * FROM swept_2($1, $4) UNION ALL SELECT * FROM future_2($1, $2, $4)
    UNION ALL SELECT * FROM lost_2($1, $2)";

/// How many expired sessions `expired_2` gives at the most.
const EXPIRED: usize = 100;

/// A queue of items that some builds could not decode, with the builds that live.
#[derive(Deserialize)]
struct AsideRow {
    line: i64,
    live: BTreeSet<Arc<str>>,
}

/// A chunk, and where it stands.
#[derive(Deserialize)]
struct ChunkRow {
    line: i64,
    rank: i64,
    id: i64,
    #[serde(flatten)]
    piece: PieceRow,
}

impl Step {
    pub(crate) async fn beat(&mut self, beat: &Beat) -> Done<Pulse> {
        let id = session_key(beat.session);
        let named: Option<Vec<i64>> =
            beat.held.as_ref().map(|held| held.iter().map(|token| token.0.cast_signed()).collect());
        let load = match &named {
            None => sql!(BEAT, self.ns, id),
            Some(named) => sql!(BEAT_WITH_LEASES, self.ns, id, named.clone(), most(STEP_RECORDS)),
        };
        let mut facts = self.load(load).await?;
        let Some(row) = facts.one::<SessionRow>("session") else { return Ok(Pulse::default()) };
        let mut session = row.session();
        if session.has_left() || session.until == ledger::Session::GONE {
            return Ok(Pulse::default());
        }
        let renewed = session.renew(beat, self.now);
        // While it had expired it was given nothing; now it may ask again.
        self.marks.work += u64::from(renewed);
        let connected_at = Some(session.connected_at.0);
        self.writes.sessions.push(SessionRenewed { id: row.id, until: session.until.0, connected_at });
        let mut pulse = Pulse { alive: true, ..Pulse::default() };
        let mut given_back = BTreeSet::new();
        pulse.paused = pauses(facts.read::<CellRow>("cell")).patterns(self.now);
        if let Some(named) = &beat.held {
            let there: BTreeSet<u64> = facts.read("token").into_iter().collect();
            let named: BTreeSet<Token> = named.iter().copied().collect();
            pulse.lost = named.into_iter().filter(|token| !there.contains(&token.0)).collect();
            // What it does not know of goes back.
            let (held, unreadable) = Held::all(&mut facts);
            self.shelve(unreadable).await?;
            let now = self.now;
            for held in held.iter().filter(|held| session.is_orphan(held.granted_at, beat, now)) {
                given_back.insert(held.token);
                self.give_back(held)?;
            }
        }
        let cancelled = facts.read::<(u64, u64)>("cancelled").into_iter();
        let of_held = cancelled.filter(|(_, token)| !given_back.contains(&Token(*token)));
        let runs: BTreeSet<RunId> = of_held.map(|(run, _)| RunId::new(run)).collect();
        pulse.cancelled = runs.into_iter().collect();
        self.write().await?;
        Ok(pulse)
    }

    pub(crate) async fn detach(&mut self, id: SessionId) -> Done<bool> {
        let load = sql!(DETACH, self.ns, session_key(id), most(STEP_RECORDS + 1));
        let mut facts = self.load(load).await?;
        let Some(row) = facts.one::<SessionRow>("session") else {
            self.writes.owners_gone.push(session_key(id));
            self.write().await?;
            return Ok(false);
        };
        let (held, unreadable) = Held::all(&mut facts);
        self.shelve(unreadable).await?;
        for held in held.iter().take(STEP_RECORDS) {
            self.give_back(held)?;
        }
        let more = held.len() > STEP_RECORDS;
        if more {
            let until = ledger::Session::LEFT.0;
            self.writes.sessions.push(SessionRenewed { id: row.id, until, connected_at: None });
        } else {
            self.writes.sessions_gone.push(row.id);
        }
        self.write().await?;
        Ok(more)
    }

    pub(crate) async fn reap(&mut self, id: SessionId) -> Done<Reaped> {
        let mut reaped = Reaped::default();
        let mut facts = self.load(sql!(MAY_REAP, self.ns, session_key(id))).await?;
        let caller = facts.one::<SessionRow>("session").map(|row| row.session());
        if !caller.is_some_and(|caller| caller.may_reap(self.now)) {
            return Ok(reaped);
        }
        let load = sql!(REAP, self.ns, self.now.0, most(STEP_RECORDS + 1), most(STEP_RECORDS));
        let mut facts = self.load(load).await?;
        self.reap_expired(&mut facts, &mut reaped).await?;
        if let Some(swept) = facts.one::<u64>("swept") {
            let id = RunId::new(swept);
            reaped.more |= self.cancel_waiting(id, &mut facts)? || facts.has("others");
        }
        self.set_right(&mut facts);
        self.bury_undecodable(&mut facts, &mut reaped)?;
        for id in facts.read::<u64>("lost") {
            self.end_lost(RunId::new(id));
        }
        reaped.ended = self.write().await?;
        Ok(reaped)
    }

    /// What waited for a time of the future was set right, if there was any.
    pub(crate) fn set_right(&mut self, facts: &mut Facts) {
        self.marks.work += u64::from(facts.one::<usize>("future").is_some_and(|set_right| set_right > 0));
    }

    /// Takes back what expired sessions held, as far as it was read.
    pub(crate) async fn reap_expired(&mut self, facts: &mut Facts, reaped: &mut Reaped) -> Done<()> {
        let (held, unreadable) = Held::all(facts);
        let mut of_session = BTreeMap::<i64, Vec<&Held>>::new();
        let mut left = STEP_RECORDS;
        for held in &held {
            of_session.entry(held.session).or_default().push(held);
        }
        let set_aside = unreadable.len();
        self.shelve(unreadable).await?;
        let expired: Vec<SessionRow> = facts.read("expired");
        reaped.more |= expired.len() >= EXPIRED;
        for row in expired {
            let session = row.session();
            let held = of_session.remove(&row.id).unwrap_or_default();
            let all = i64::try_from(held.len() + set_aside).unwrap_or(i64::MAX) >= row.leases;
            for held in held.iter().take(left) {
                if session.has_left() {
                    self.give_back(held)?;
                } else {
                    let (dead, items) = self.bring_back(held, &session.node.name)?;
                    reaped.items += items;
                    reaped.dead.extend(dead);
                }
            }
            if !all || held.len() > left {
                reaped.more = true;
                return Ok(());
            }
            left -= held.len();
            self.writes.sessions_gone.push(row.id);
            if !session.has_left() {
                reaped.nodes.push(session.node.name);
            }
        }
        // Somebody has deleted the rows of their sessions.
        let of_nobody: Vec<&Held> = of_session.into_values().flatten().collect();
        for held in of_nobody.iter().take(left) {
            let (dead, items) = self.bring_back(held, "")?;
            reaped.items += items;
            reaped.dead.extend(dead);
        }
        reaped.more |= of_nobody.len() > left;
        Ok(())
    }

    /// Kills the items that every live build has failed to decode, for long enough: at most so many in one step.
    fn bury_undecodable(&mut self, facts: &mut Facts, reaped: &mut Reaped) -> Done<()> {
        let aside = facts.read::<AsideRow>("aside").into_iter();
        let live: BTreeMap<i64, BTreeSet<Arc<str>>> = aside.map(|queue| (queue.line, queue.live)).collect();
        let chunks: Vec<ChunkRow> = facts.read("chunk");
        let (mut left, mut seen) = (STEP_RECORDS, chunks.len());
        for row in &chunks {
            let Some(piece) = row.piece.piece() else { continue };
            let Some(failed) = piece.header.undecodable.clone() else { continue };
            if !live.get(&row.line).is_some_and(|live| is_undecodable(&failed, live, self.now)) {
                seen -= 1;
                continue;
            }
            if left == 0 {
                break;
            }
            let gone = ChunkGone {
                line: row.line,
                rank: row.rank,
                number: row.piece.number,
                start: row.piece.start,
                id: row.id,
            };
            self.writes.chunks_gone.push(gone);
            self.writes.restood.push(row.line);
            let count = piece.part.count;
            let most = u32::try_from(left).unwrap_or(u32::MAX).min(count);
            for index in 0..most {
                let one = piece.range(index..index + 1);
                let dead =
                    self.kill(row.piece.job, one, FailureKind::Undecodable, failed.message.clone(), "")?;
                reaped.dead.push(dead);
            }
            left -= most as usize;
            if most < count {
                self.keep_rest(row.piece.job, piece.range(most..count))?;
                left = 0;
            }
        }
        self.writes.restood.sort_unstable();
        self.writes.restood.dedup();
        reaped.more |= left == 0 || seen >= STEP_RECORDS;
        Ok(())
    }

    /// Ends a run whose items somebody has deleted by hand, so that it holds its job no longer.
    fn end_lost(&mut self, id: RunId) {
        let Some(of) = self.run(id).filter(|of| !of.run.has_ended()) else { return };
        let (missing, staged) = of.run.give_up();
        of.changed = true;
        let text = format!(
            "{missing} items of run {id} of `{}` are not in Postgres any more; they are dead",
            of.name
        );
        notice::warn("lost", text);
        self.drop_staged(staged);
    }

    /// The rest of a chunk of which some items are dead now.
    fn keep_rest(&mut self, job: i64, rest: Piece) -> Done<()> {
        self.writes.ready(job, &rest)
    }
}
