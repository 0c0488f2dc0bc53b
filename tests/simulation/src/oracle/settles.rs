//! Settlements: each item ends once, under the lease that it is under, and a repeat changes nothing.

use jobs_core::{End, FailureKind, Settle, Settled, Settlement, Stage};

use super::{
    journal::Journal,
    model::{Ending, Key, LeaseFate},
};

impl Journal {
    pub(super) fn settle(&mut self, settle: &Settle, settled: &Settled) {
        let here = self.here();
        let Some(session) = self.model.sessions.get_mut(&settle.session) else {
            if !settle.settlements.is_empty() {
                self.coverage.saw("settle: on behalf of nobody");
            }
            let lost = |s: &Settlement| settled.lost.contains(&s.token);
            if !settled.leases.is_empty() || !settle.settlements.iter().all(lost) {
                self.report.fencing.push(format!("{here} {} is no more and settles", settle.session));
            }
            return;
        };
        let before = session.lanes.get(&settle.lane).copied().unwrap_or(0);
        if before >= settle.n {
            self.coverage.saw("settle: repeated");
            let new = |lease: &&jobs_core::Lease| !self.model.leases.contains_key(&lease.token);
            if let Some(lease) = settled.leases.iter().find(new) {
                let text = format!("{here} a repeated settle is answered with a new lease {}", lease.token.0);
                self.report.fencing.push(text);
            }
            return;
        }
        session.lanes.insert(settle.lane, settle.n);
        for settlement in &settle.settlements {
            self.settlement(settle, settled, settlement);
        }
        for lease in &settled.leases {
            self.granted(settle.session, lease);
        }
    }

    fn settlement(&mut self, settle: &Settle, settled: &Settled, settlement: &Settlement) {
        let (here, token) = (self.here(), settlement.token);
        let Some(lease) = self.model.leases.get_mut(&token) else {
            self.report.fencing.push(format!("{here} {} settles a lease that never was", settle.session));
            return;
        };
        let open = lease.fate == LeaseFate::Open && lease.session == settle.session;
        if settled.lost.contains(&token) {
            self.coverage.saw("settle: late");
            if open {
                let text =
                    format!("{here} the lease {} of {} is lost without cause", token.0, lease.header.job);
                self.report.fencing.push(text);
            }
            return;
        }
        if !open {
            let text = format!("{here} the lease {} of {} was lost and settles", token.0, lease.header.job);
            self.report.fencing.push(text);
            return;
        }
        let to = (settlement.to as usize).min(lease.settled.len());
        let fresh = (settlement.from as usize..to).filter(|index| !lease.settled[*index]);
        let fresh: Vec<usize> = fresh.collect();
        fresh.iter().for_each(|index| lease.settled[*index] = true);
        let keys: Vec<Key> = fresh.into_iter().map(|index| lease.key(index)).collect();
        let (attempt, over) = (lease.header.attempt, lease.settled.iter().all(|settled| *settled));
        for key in keys {
            if self.model.item(key).token != Some(token) {
                self.report.fencing.push(format!("{here} {}-{} is not under that lease", key.0, key.2));
            }
            self.attempted(key, attempt, &settlement.end);
        }
        if over {
            self.model.close(token, LeaseFate::Settled);
        }
    }

    fn attempted(&mut self, key: Key, attempt: u32, end: &End) {
        let run = self.model.runs.get(&jobs_core::RunId::new(key.0));
        let cancelled = run.is_some_and(|run| run.cancelled);
        // A failed attempt of a cancelled run is cancelled.
        let retried = matches!(end, End::Retry { .. }) && !cancelled;
        let counted = retried || matches!(end, End::Done(_) | End::Discarded(_) | End::Dead(_));
        if counted && attempt > 0 && key.1 == Stage::Work {
            let run = self.model.runs.get_mut(&jobs_core::RunId::new(key.0));
            run.into_iter().for_each(|run| run.retries += 1);
        }
        match end {
            End::Done(_) => self.ends(key, Ending::Done),
            End::Dead(failure) => {
                self.coverage.saw(if key.1 == Stage::Work { "item: dead" } else { "query: failed" });
                let undecodable = failure.kind == FailureKind::Undecodable;
                self.ends(key, if undecodable { Ending::Undecodable } else { Ending::Dead });
                self.fill_ended(key, true);
            }
            End::Discarded(_) => {
                self.coverage.saw("item: discarded");
                self.ends(key, Ending::Discarded);
            }
            End::Cancelled => {
                self.coverage.saw("item: cancelled");
                self.ends(key, Ending::Cancelled);
            }
            End::Expired => self.ends(key, Ending::Expired),
            End::Retry { .. } => {
                self.coverage.saw(if key.1 == Stage::Work { "item: retried" } else { "query: failed" });
                let item = self.model.item(key);
                item.attempt = attempt + 1;
                item.suspect = false;
                self.release(key);
            }
            End::Snooze { .. } => {
                self.coverage.saw("item: snoozed");
                self.model.item(key).suspect = false;
                self.release(key);
            }
            End::Undecodable(_) => {
                self.coverage.saw("item: undecodable");
                self.release(key);
            }
            End::Back => {
                self.coverage.saw("lease: given back");
                self.release(key);
            }
        }
    }

    /// An item is over.
    pub(super) fn ends(&mut self, key: Key, ending: Ending) {
        let here = self.here();
        let item = self.model.item(key);
        item.token = None;
        if let Some(before) = item.end.replace(ending) {
            let text = format!("{here} {}-{} is {ending:?} and was {before:?}", key.0, key.2);
            self.report.repeated.push(text);
        }
    }

    /// An item waits for its next attempt, unless its run is cancelled.
    pub(super) fn release(&mut self, key: Key) {
        let run = self.model.runs.get(&jobs_core::RunId::new(key.0));
        let cancelled = run.is_some_and(|run| run.cancelled);
        let item = self.model.item(key);
        item.token = None;
        if cancelled && item.end.is_none() {
            item.end = Some(Ending::Cancelled);
        }
    }

    pub(super) fn fill_ended(&mut self, key: Key, failed: bool) {
        if key.1 == Stage::Fill
            && let Some(run) = self.model.runs.get_mut(&jobs_core::RunId::new(key.0))
        {
            run.query_failed = failed;
        }
    }
}
