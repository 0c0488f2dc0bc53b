//! What handlers did, by their own record, against what the store made of it.

use jobs_core::Stage;

use super::{
    journal::Journal,
    model::{Ending, Exec, LeaseFate},
};
use crate::log::{Attempt, Phase};

impl Journal {
    pub(super) fn attempt(&mut self, attempt: &Attempt) {
        let here = self.here();
        let key = (attempt.item.number(), attempt.stage, attempt.item.n());
        let about = format!("{here} {} {:?} {}", attempt.job, attempt.stage, attempt.item);
        match &attempt.phase {
            Phase::Begin(payload) => {
                if attempt.stage == Stage::Work
                    && payload.is_some_and(|payload| payload != (attempt.item.number(), attempt.item.n()))
                {
                    self.report.staged.push(format!("{about} is given {payload:?}"));
                }
                self.may_begin(attempt, &about);
                let pages = attempt.stage == Stage::Fill && attempt.job == "sim.pages";
                let execs = self.model.execs.entry((attempt.token, attempt.item.n())).or_default();
                if !execs.is_empty() && !pages {
                    self.report.repeated.push(format!("{about} begins twice under one lease"));
                }
                execs.push(Exec { node: attempt.node, end: None });
            }
            phase => {
                match phase {
                    Phase::Dropped => self.coverage.saw("attempt: dropped"),
                    Phase::Kills => self.model.item(key).kills += 1,
                    _ => {}
                }
                let execs = self.model.execs.get_mut(&(attempt.token, attempt.item.n()));
                if let Some(exec) = execs.and_then(|execs| execs.last_mut())
                    && exec.end.is_none()
                {
                    exec.end = Some(phase.clone());
                }
            }
        }
    }

    /// An attempt begins under a lease that its session can trust, unless the store's clock has just jumped.
    fn may_begin(&mut self, attempt: &Attempt, about: &str) {
        let Some(lease) = self.model.leases.get(&attempt.token) else {
            self.report.fencing.push(format!("{about} begins without a lease"));
            return;
        };
        let session = self.model.sessions.get(&lease.session);
        let alive = session.is_some_and(|session| session.is_alive(self.now));
        let open = lease.fate == LeaseFate::Open || lease.fate == LeaseFate::Settled;
        let time = session.map_or(15_000, |session| session.lease.as_millis());
        let since = self.at.saturating_sub(u64::try_from(time).unwrap_or(0) + 15_000);
        let trusted = alive && open;
        if !trusted && !self.nodes.stepped(since, self.at) {
            self.report.fencing.push(format!("{about} begins under a lease that is {:?}", lease.fate));
        }
    }
}

/// Judges what was done twice, or not at all.
pub(super) fn judge(journal: &mut Journal) {
    let Journal { model, report, .. } = journal;
    for ((token, n), execs) in &model.execs {
        let Some(lease) = model.leases.get(token) else { continue };
        let Some(index) = lease.index(*n) else { continue };
        let settled = lease.settled[index] || lease.header.stage == Stage::Fill;
        let done = execs.iter().any(|exec| exec.end == Some(Phase::Done));
        if !done || settled {
            continue;
        }
        // What it did is done again: only because its node died, or was taken for dead.
        match lease.fate {
            LeaseFate::Died => {}
            fate => {
                let (item, node) = (lease.header.item(u32::try_from(index).unwrap_or(0)), execs[0].node);
                let text =
                    format!("{item} was done on {} and is not settled: {fate:?}", crate::log::name(node));
                report.repeated.push(text);
            }
        }
    }
    let mut done = std::collections::BTreeMap::new();
    for ((token, n), execs) in &model.execs {
        let Some(lease) = model.leases.get(token).filter(|lease| lease.header.stage == Stage::Work) else {
            continue;
        };
        if execs.iter().any(|exec| exec.end == Some(Phase::Done)) {
            let settled = lease.index(*n).is_some_and(|index| lease.settled[index]);
            let entry: &mut (u32, u32) = done.entry((lease.header.number, Stage::Work, *n)).or_default();
            entry.0 += 1;
            entry.1 += u32::from(settled);
        }
    }
    for (key, (_, settled)) in &done {
        if *settled > 1 {
            report.repeated.push(format!("{}-{} was done and settled {settled} times", key.0, key.2));
        }
    }
    for (key, item) in &model.items {
        let about = format!("{}-{}", key.0, key.2);
        let settled = done.get(key).map_or(0, |(_, settled)| *settled);
        if key.1 == Stage::Work && item.end == Some(Ending::Done) && settled == 0 {
            report.lost.push(format!("{about} ended well and nobody did it"));
        }
        if item.kills > 5 || (item.kills == 5 && item.end != Some(Ending::Poison)) {
            report.poison.push(format!("{about} killed {} nodes and is {:?}", item.kills, item.end));
        }
        if item.end == Some(Ending::Poison) && item.deaths < 5 {
            report.poison.push(format!("{about} is called poison after {} deaths", item.deaths));
        }
    }
}
