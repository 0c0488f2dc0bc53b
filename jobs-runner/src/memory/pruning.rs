//! Removing what is past what its job keeps.

use std::sync::Arc;

use jobs_core::{
    Millis, Pruned,
    ledger::{over, share_of},
};

use super::{job::Job, state::State};

impl State {
    pub(super) fn prune(&mut self, limit: usize, now: Millis) -> Pruned {
        let cells = self.drop_expired(limit, now);
        let mut pruned = Pruned { removed: cells, more: cells == limit };
        let verdicts = |job: &Job| over(job.verdicts.len() as u64, job.link.keep_ticks);
        self.prune_each(limit, &mut pruned, verdicts, |state, job, n| {
            state.job(job).verdicts.drain(..n);
        });
        let runs = |job: &Job| over(job.finished.len() as u64, job.link.keep_runs);
        self.prune_each(limit, &mut pruned, runs, |state, job, n| {
            let gone: Vec<_> = state.job(job).finished.drain(..n).collect();
            gone.into_iter().for_each(|(_, run)| state.forget_run(run));
        });
        let old: Vec<Arc<str>> =
            self.jobs.iter().filter(|(_, job)| self.has_old(job, now)).map(|(id, _)| id.clone()).collect();
        let share = share_of(limit, old.len());
        for job in old.iter().take(limit) {
            let removed = self.remove_old(job, share, now);
            pruned.removed += removed;
            pruned.more |= removed == share;
        }
        pruned.more |= old.len() > limit;
        pruned
    }

    /// Removes records of one kind: each job that has too many loses the same share of the limit.
    fn prune_each(
        &mut self,
        limit: usize,
        pruned: &mut Pruned,
        too_many: impl Fn(&Job) -> usize,
        remove: impl Fn(&mut Self, &Arc<str>, usize),
    ) {
        let jobs = self.jobs.iter().map(|(id, job)| (id.clone(), too_many(job)));
        let overfull: Vec<(Arc<str>, usize)> = jobs.filter(|(_, over)| *over > 0).collect();
        let share = share_of(limit, overfull.len());
        for (job, over) in overfull.iter().take(limit) {
            let n = share.min(*over);
            remove(self, job, n);
            pruned.removed += n;
            pruned.more |= n < *over;
        }
        pruned.more |= overfull.len() > limit;
    }
}
