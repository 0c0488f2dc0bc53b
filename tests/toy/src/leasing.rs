//! Who gets what.

use std::{collections::BTreeSet, sync::Arc};

use jobs_core::{
    Chunk, Lease, Millis, RunId, SessionId, Stage, Want,
    ledger::{Head, InFlight, OpenItems, Pauses, QueueKey, Room, share},
};

use crate::state::{Held, State};

impl State {
    /// Leases what a session wants.
    pub(crate) fn grant(&mut self, session: SessionId, want: &Want, now: Millis) -> Vec<Lease> {
        let (mut room, pauses, mut leases) = (Room::new(want), self.pauses(now), Vec::new());
        let mut passed = BTreeSet::new();
        while room.is_open()
            && let Some(first) = self.first(&passed, |_| true)
        {
            match self.take(first, session, None, &mut room, &pauses, now) {
                Some(lease) => leases.push(lease),
                None => {
                    passed.insert(queue(&self.waiting[first]));
                }
            }
        }
        leases
    }

    /// Leases the first item of a run that was just made, if nothing of its job stands before it.
    pub(crate) fn grant_first(
        &mut self,
        run: RunId,
        session: SessionId,
        room: &mut Room<'_>,
        now: Millis,
    ) -> Option<Lease> {
        let job = self.runs.get(&run)?.job.clone();
        let (pauses, mut passed) = (self.pauses(now), BTreeSet::new());
        while let Some(first) = self.first(&passed, |chunk| chunk.header.job == job) {
            let lease = self.take(first, session, Some(run), room, &pauses, now);
            if lease.is_some() {
                return lease;
            }
            passed.insert(queue(&self.waiting[first]));
        }
        None
    }

    /// The first ready chunk of all queues but these.
    fn first(&self, passed: &BTreeSet<(Arc<str>, QueueKey)>, of: impl Fn(&Chunk) -> bool) -> Option<usize> {
        let ready = self.waiting.iter().enumerate().filter(|(_, chunk)| chunk.header.waits_since.is_none());
        let open = ready.filter(|(_, chunk)| of(chunk) && !passed.contains(&queue(chunk)));
        let place = |chunk: &Chunk| {
            let header = &chunk.header;
            let served = self.served.get(&header.job).copied().unwrap_or_default();
            (header.rank(), served, header.job.clone(), header.number, header.start)
        };
        open.min_by_key(|(_, chunk)| place(chunk)).map(|(index, _)| index)
    }

    /// Leases from the front of a chunk, if that may be had.
    fn take(
        &mut self,
        index: usize,
        session: SessionId,
        only: Option<RunId>,
        room: &mut Room<'_>,
        pauses: &Pauses,
        now: Millis,
    ) -> Option<Lease> {
        let chunk = &self.waiting[index];
        let holder = self.sessions.get(&session).filter(|holder| holder.state.is_alive(now))?;
        let link = holder.link(&chunk.header.job)?;
        let excluded = QueueKey::of(&chunk.header).excludes(&holder.state.node.build);
        if excluded || pauses.of(&link.job, now).is_some() || (only.is_some() && chunk.header.run() != only) {
            return None;
        }
        let head = Head::of(&chunk.header, chunk.count());
        let suspects = self.leases.values().filter(|held| held.chunk.header.suspect);
        if head.suspect && suspects.into_iter().any(|held| held.session == session) {
            return None;
        }
        let n = share(room, link, &head, self.in_flight(&link.job, now));
        if n == 0 {
            return None;
        }
        room.take(link, head.stage, n);
        let leased = self.waiting[index].split_to(n);
        if self.waiting[index].count() == 0 {
            self.waiting.swap_remove(index);
        }
        Some(self.lease(session, leased, now))
    }

    fn lease(&mut self, session: SessionId, chunk: Chunk, now: Millis) -> Lease {
        let token = self.number(now);
        self.served.insert(chunk.header.job.clone(), token.0);
        let mut cursor = None;
        if let Some(run) = chunk.header.run().and_then(|run| self.runs.get_mut(&run)) {
            run.state.record.begun = true;
            if chunk.header.stage == Stage::Fill {
                let former = run.state.fill_under(token);
                run.finish_staged(former);
                cursor.clone_from(&run.state.cursor);
            }
        }
        let open = OpenItems::all(chunk.count());
        self.leases.insert(token, Held { session, chunk: chunk.clone(), open, granted_at: now });
        Lease { token, chunk, cursor }
    }

    fn in_flight(&self, job: &str, now: Millis) -> InFlight {
        let of_job = self.leases.values().filter(|held| {
            let header = &held.chunk.header;
            *header.job == *job && header.stage == Stage::Work && self.is_alive(held.session, now)
        });
        let all = of_job.map(|held| held.open.left()).sum();
        // Nothing is enqueued one by one yet.
        InFlight { all, of_runs: all }
    }
}

fn queue(chunk: &Chunk) -> (Arc<str>, QueueKey) {
    (chunk.header.job.clone(), QueueKey::of(&chunk.header).of_job())
}
