//! Sessions: how they open, live and end.

use std::{collections::BTreeSet, sync::Arc};

use jobs_core::{
    Ahead, Attach, Attached, Beat, End, FailureKind, Link, Millis, Pulse, PutCell, Reaped, RunId, SessionId,
    Token, is_undecodable,
    ledger::{self, Claim, Cursor, Patience, QueueKey, QueueKind, after_crash_of, ahead_cell, held_back},
};

use crate::state::{Session, State};

impl State {
    pub(crate) fn attach(&mut self, attach: Attach, now: Millis) -> Attached {
        let mut attached = Attached::default();
        self.set_waits_right(now);
        for gone in &attach.gone {
            self.bring_back(*gone, &mut attached.reaped, now);
        }
        let known = self.sessions.remove(&attach.session);
        attached.past = known.as_ref().map(|known| known.state.past.clone()).unwrap_or_default();
        let again = known.as_ref().is_some_and(|known| same(&known.links, &attach.links));
        for link in &attach.links {
            if !again {
                self.links.insert(link.job.clone(), link.clone());
            }
            if link.schedule.is_some() {
                self.declare(link, &mut attached, now);
            }
        }
        let others = self.sessions.keys().filter(|id| {
            let holds = self.leases.values().any(|held| held.session == **id);
            holds || self.is_alive(**id, now)
        });
        attached.others = others.filter_map(|id| self.session(*id)).collect();
        let state =
            ledger::Session::open(known.as_ref().map(|k| &k.state), &attach, attached.past.clone(), now);
        let lanes = known.map(|known| known.lanes).unwrap_or_default();
        self.sessions.insert(attach.session, Session { state, links: attach.links, lanes });
        attached
    }

    fn declare(&mut self, link: &Link, attached: &mut Attached, now: Millis) {
        let Some(declared) = &link.schedule else { return };
        let mut cursor = self.cursors.remove(&link.job);
        let declares = |session: &Session, fingerprint: &str| {
            let link = session.link(&link.job).and_then(|link| link.schedule.as_ref());
            session.state.is_alive(now) && link.is_some_and(|other| *other.fingerprint == *fingerprint)
        };
        let current = cursor.as_ref().map(|cursor| cursor.fingerprint.clone());
        let live = current.is_some_and(|current| self.sessions.values().any(|s| declares(s, &current)));
        let takes = match Cursor::claim(cursor.as_ref(), declared) {
            Claim::InForce => false,
            Claim::Takes => true,
            Claim::TakesIfAbandoned => !live,
        };
        if takes && let Some((past, missed)) = Cursor::declare(&mut cursor, declared, now) {
            attached.past.push((link.job.clone(), past));
            self.record(&link.job, vec![missed]);
        }
        let Some(mut schedule) = cursor else { return };
        let stood = schedule.cursor;
        let patience = Patience::with(stood, now);
        let set_back = patience == Patience::SetBack;
        if set_back {
            schedule.set_back(now);
            let value = Some(serde_json::json!({ "cursor": stood, "set_back": now }));
            self.put(&ahead_cell(&link.job), PutCell { value, ..PutCell::default() }, now);
        }
        if patience != Patience::None {
            attached.ahead.push(Ahead { schedule: link.job.clone(), cursor: stood, set_back });
        }
        attached.schedules.insert(link.job.clone(), schedule.state());
        self.cursors.insert(link.job.clone(), schedule);
    }

    pub(crate) fn is_alive(&self, session: SessionId, now: Millis) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.state.is_alive(now))
    }

    pub(crate) fn held_by(&self, session: SessionId) -> BTreeSet<Token> {
        let held = self.leases.iter().filter(|(_, held)| held.session == session);
        held.map(|(token, _)| *token).collect()
    }

    pub(crate) fn beat(&mut self, beat: &Beat, now: Millis) -> Pulse {
        let held = self.held_by(beat.session);
        let Some(session) = self.sessions.get_mut(&beat.session) else { return Pulse::default() };
        session.state.renew(beat, now);
        let session = session.state.clone();
        let mut pulse = Pulse { alive: true, paused: self.pauses(now).patterns(now), ..Pulse::default() };
        if let Some(named) = &beat.held {
            let named: BTreeSet<Token> = named.iter().copied().collect();
            pulse.lost = named.difference(&held).copied().collect();
            let orphan = |token: &&Token| session.is_orphan(self.leases[*token].granted_at, beat, now);
            for token in held.difference(&named).filter(orphan).copied().collect::<Vec<_>>() {
                self.give_back(token, now);
            }
        }
        let runs = held.iter().filter_map(|token| self.leases.get(token)?.chunk.header.run());
        let cancelled = |run: &RunId| self.runs.get(run).is_some_and(|run| run.state.is_cancelled());
        pulse.cancelled = runs.filter(cancelled).collect::<BTreeSet<_>>().into_iter().collect();
        pulse
    }

    fn give_back(&mut self, token: Token, now: Millis) {
        let held = self.leases.remove(&token);
        for chunk in held.iter().flat_map(super::state::Held::rest) {
            self.end(chunk, End::Back, &mut Vec::new(), now);
        }
    }

    pub(crate) fn detach(&mut self, session: SessionId, now: Millis) -> bool {
        for token in self.held_by(session) {
            self.give_back(token, now);
        }
        self.forget(session);
        false
    }

    fn forget(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        self.cells.retain(|_, cell| cell.owner != Some(session));
    }

    pub(crate) fn reap(&mut self, session: SessionId, now: Millis) -> Reaped {
        let mut reaped = Reaped::default();
        if !self.sessions.get(&session).is_some_and(|caller| caller.state.may_reap(now)) {
            return reaped;
        }
        self.set_waits_right(now);
        self.sessions.values_mut().for_each(|session| {
            session.state.set_right(now);
        });
        let expired = self.sessions.keys().copied().filter(|id| !self.is_alive(*id, now));
        for id in expired.collect::<Vec<_>>() {
            self.bring_back(id, &mut reaped, now);
        }
        self.end_undecodable(&mut reaped, now);
        reaped
    }

    /// Sets the due times right of items that a clock of the future has put to wait.
    fn set_waits_right(&mut self, now: Millis) {
        for header in self.waiting.iter_mut().map(|chunk| &mut chunk.header) {
            if let Some(due) = held_back(header.waits_since, header.due, now) {
                (header.due, header.waits_since) = (due, Some(now));
            }
        }
    }

    /// Takes back what a dead session held.
    fn bring_back(&mut self, id: SessionId, reaped: &mut Reaped, now: Millis) {
        let Some(session) = self.sessions.get(&id) else { return };
        let node = session.state.node.name.clone();
        for token in self.held_by(id) {
            for mut chunk in self.leases.remove(&token).iter().flat_map(super::state::Held::rest) {
                reaped.items += u64::from(chunk.count());
                match after_crash_of(&mut chunk.header) {
                    Some(poison) => self.kill(chunk, FailureKind::Poison, poison, &node, reaped, now),
                    None => self.end(chunk, End::Back, &mut reaped.ended, now),
                }
            }
        }
        self.forget(id);
        reaped.nodes.push(node);
    }

    fn end_undecodable(&mut self, reaped: &mut Reaped, now: Millis) {
        let builds = |job: &str| -> BTreeSet<Arc<str>> {
            let links = self.sessions.values().filter(|s| s.state.is_alive(now) && s.link(job).is_some());
            links.map(|session| session.state.node.build.clone()).collect()
        };
        let hopeless = |chunk: &jobs_core::Chunk| {
            let failed = chunk.header.undecodable.as_ref();
            QueueKey::of(&chunk.header).kind == QueueKind::Aside
                && failed.is_some_and(|failed| is_undecodable(failed, &builds(&chunk.header.job), now))
        };
        let hopeless: Vec<bool> = self.waiting.iter().map(hopeless).collect();
        let (gone, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().zip(hopeless).partition(|(_, hopeless)| *hopeless);
        self.waiting = left.into_iter().map(|(chunk, _)| chunk).collect();
        for (mut chunk, _) in gone {
            let message = chunk.header.undecodable.as_ref().map(|f| f.message.clone()).unwrap_or_default();
            while chunk.count() > 0 {
                let one = chunk.split_to(1);
                self.kill(one, FailureKind::Undecodable, message.clone(), "", reaped, now);
            }
        }
    }
}

/// Whether both link the same, in whatever order.
fn same(one: &[Link], other: &[Link]) -> bool {
    one.len() == other.len() && one.iter().all(|link| other.contains(link))
}
