//! What people are shown.

use jobs_core::{
    Chunk, DeadFilter, DeadItem, ItemInfo, ItemState, JobRecord, Link, Millis, RunFilter, RunId, RunReport,
    SessionId, SessionRecord,
};

use crate::state::State;

impl State {
    pub(crate) fn jobs(&self, now: Millis) -> Vec<JobRecord> {
        let record = |link: &Link| {
            let of_job = self.waiting.iter().filter(|chunk| chunk.header.job == link.job);
            let waits = |delayed: bool| {
                let waits = of_job.clone().filter(|chunk| chunk.header.waits_since.is_some() == delayed);
                waits.map(|chunk| u64::from(chunk.count())).sum()
            };
            let held = self.leases.values().filter(|held| held.chunk.header.job == link.job);
            let live = self.sessions.values().filter(|session| session.state.is_alive(now));
            JobRecord {
                link: link.clone(),
                schedule: self.cursors.get(&link.job).map(jobs_core::ledger::Cursor::state),
                live: live.into_iter().any(|session| session.link(&link.job).is_some()),
                ready: waits(false),
                delayed: waits(true),
                in_flight: held.map(|held| u64::from(held.open.left())).sum(),
                dead: self.dead.iter().filter(|(chunk, ..)| chunk.header.job == link.job).count() as u64,
            }
        };
        self.links.values().map(record).collect()
    }

    pub(crate) fn runs(&self, filter: &RunFilter) -> Vec<RunReport> {
        let reports = self.runs.values().rev().map(|run| run.state.report(&run.job));
        reports.filter(|report| filter.matches(report)).take(filter.max()).collect()
    }

    pub(crate) fn items(&self, run: RunId, limit: usize) -> Vec<ItemInfo> {
        let mut chunks: Vec<(u8, Chunk, ItemState)> = Vec::new();
        for held in self.leases.values() {
            let node =
                self.sessions.get(&held.session).map(|s| s.state.node.name.clone()).unwrap_or_default();
            let state = ItemState::InFlight { node, since: held.granted_at.timestamp() };
            chunks.extend(held.rest().into_iter().map(|chunk| (0, chunk, state.clone())));
        }
        chunks.extend(self.waiting.iter().map(|chunk| match chunk.header.waits_since {
            None => (1, chunk.clone(), ItemState::Ready),
            Some(_) => (2, chunk.clone(), ItemState::Delayed { until: chunk.header.due.timestamp() }),
        }));
        let kept = self.runs.contains_key(&run);
        chunks.retain(|(_, chunk, _)| kept && chunk.header.run() == Some(run));
        chunks.sort_by_key(|(kind, chunk, _)| (*kind, chunk.header.stage, chunk.header.start));
        let infos = chunks.iter().flat_map(|(_, Chunk { header, body }, state)| {
            (0..).zip(body.items()).map(move |(index, payload)| ItemInfo {
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
        });
        infos.take(limit).collect()
    }

    pub(crate) fn session(&self, id: SessionId) -> Option<SessionRecord> {
        let held = self.leases.values().filter(|held| held.session == id);
        let holds = held.map(|held| u64::from(held.open.left())).sum();
        let state = &self.sessions.get(&id)?.state;
        Some(SessionRecord { session: id, node: state.node.clone(), holds, until: state.until })
    }

    pub(crate) fn sessions(&self) -> Vec<SessionRecord> {
        let mut records: Vec<_> = self.sessions.keys().filter_map(|id| self.session(*id)).collect();
        records.sort_by(|one, other| (&one.node.name, one.session).cmp(&(&other.node.name, other.session)));
        records
    }

    pub(crate) fn dead(&self, filter: &DeadFilter) -> Vec<DeadItem> {
        let items = self.dead.iter().rev().map(|(chunk, attempts, _)| {
            let payload = chunk.body.items().next().map(DeadItem::payload).unwrap_or_default();
            let mut item = DeadItem::new(chunk.header.item(0), &*chunk.header.job, payload);
            item.run = chunk.header.run();
            item.attempts.clone_from(attempts);
            item
        });
        items.filter(|item| filter.matches(item)).take(filter.max()).collect()
    }
}
