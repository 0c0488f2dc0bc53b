//! What people are shown of a store: the items of a run, and sessions.

use jobs_core::{Chunk, DeadItem, ItemInfo, ItemState, RunId, SessionId, SessionRecord, ledger};

use super::{session::Session, state::State};

impl State {
    pub(super) fn items(&self, run: RunId, limit: usize) -> Vec<ItemInfo> {
        let Some(job) = self.runs.get(&run).and_then(|run| self.jobs.get(&run.job)) else {
            return Vec::new();
        };
        let of = |chunk: &Chunk| chunk.header.run() == Some(run);
        let mut chunks = Vec::new();
        for held in
            job.leases.iter().filter_map(|token| self.leases.get(token)).filter(|held| of(&held.chunk))
        {
            let session = self.sessions.get(&held.session);
            let node = session.map(|session| session.state.node.name.clone()).unwrap_or_default();
            let state = ItemState::InFlight { node, since: held.granted_at.timestamp() };
            chunks.extend(held.rest().into_iter().map(|chunk| (0, chunk, state.clone())));
        }
        let ready = job.queues.values().flat_map(|queue| queue.of_run(run));
        chunks.extend(ready.map(|chunk| (1, chunk.clone(), ItemState::Ready)));
        for chunk in job.delayed.of_run(run).map(|(_, chunk)| chunk) {
            let until = chunk.header.due.timestamp();
            chunks.push((2, chunk.clone(), ItemState::Delayed { until }));
        }
        chunks.sort_by_key(|(kind, chunk, _)| (*kind, chunk.header.stage, chunk.header.start));
        chunks.iter().flat_map(|(_, chunk, state)| shown(chunk, state)).take(limit).collect()
    }

    pub(super) fn sessions(&self) -> Vec<SessionRecord> {
        let mut records: Vec<_> =
            self.sessions.iter().map(|(id, session)| self.session(*id, session)).collect();
        records.sort_by(|a, b| (&a.node.name, a.session).cmp(&(&b.node.name, b.session)));
        records
    }

    pub(super) fn session(&self, id: SessionId, session: &Session) -> SessionRecord {
        let leases = session.leases.iter().filter_map(|token| self.leases.get(token));
        let holds = leases.map(|held| u64::from(held.items.left())).sum();
        let ledger::Session { node, until, .. } = &session.state;
        SessionRecord { session: id, node: node.clone(), holds, until: *until }
    }
}

fn shown(chunk: &Chunk, state: &ItemState) -> impl Iterator<Item = ItemInfo> {
    let header = &chunk.header;
    (0..).zip(chunk.body.items()).map(move |(index, payload)| ItemInfo {
        id: header.item(index),
        job: header.job.to_string(),
        run: header.run(),
        stage: header.stage,
        state: state.clone(),
        attempt: header.attempt + 1,
        redelivered: header.redelivered,
        enqueued_at: header.enqueued_at.timestamp(),
        payload: DeadItem::payload(payload),
    })
}
