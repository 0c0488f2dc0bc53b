//! Judges a world by its log and by what the store holds in the end, in the manner of Jepsen's test of Chronos:
//! what should have happened is worked out from the log, and each difference has a name.

mod execs;
mod grants;
mod journal;
mod model;
mod nodes;
mod rest;
mod settles;
mod ticks;

use crate::{coverage::Coverage, world::World};

/// What is wrong with a world; nothing, if every promise was kept.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Ticks without a verdict, and items that ended well although nobody did them, or vanished.
    pub lost: Vec<String>,
    /// More than one run for a tick, or a verdict and a run.
    pub extra: Vec<String>,
    /// Ticks missed while somebody could have fired them, or against the policy.
    pub missed: Vec<String>,
    /// Items done again although their first end was, or should have been, in the store.
    pub repeated: Vec<String>,
    /// Something of a query's find was seen twice, or before all of it was there, or of a query that failed.
    pub staged: Vec<String>,
    /// More in flight than a job allows.
    pub limits: Vec<String>,
    /// Suspects that were not alone, or forgotten.
    pub suspects: Vec<String>,
    /// Items that killed more nodes than they may, or were called poison without that.
    pub poison: Vec<String>,
    /// A lost lease that changed something, or one that was lost without cause.
    pub fencing: Vec<String>,
    /// Sessions taken for dead that were not.
    pub reaped: Vec<String>,
    /// Counts of runs that are not what the handlers did.
    pub counts: Vec<String>,
    /// Ticks, or new leases, of what was paused or cancelled.
    pub steering: Vec<String>,
    /// What was not over after all trouble had ended.
    pub stuck: Vec<String>,
}

impl Report {
    /// The names of what was broken, each with what there is of it.
    #[must_use]
    pub fn broken(&self) -> Vec<(&'static str, &[String])> {
        let Self { lost, extra, missed, repeated, staged, limits, suspects, poison, .. } = self;
        let all: [(&'static str, &[String]); 13] = [
            ("lost", lost),
            ("extra", extra),
            ("missed", missed),
            ("repeated", repeated),
            ("staged", staged),
            ("limits", limits),
            ("suspects", suspects),
            ("poison", poison),
            ("fencing", &self.fencing),
            ("reaped", &self.reaped),
            ("counts", &self.counts),
            ("steering", &self.steering),
            ("stuck", &self.stuck),
        ];
        all.into_iter().filter(|(_, found)| !found.is_empty()).collect()
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.broken().is_empty()
    }
}

/// Judges a world.
pub(crate) fn judge(world: &World) -> (Report, Coverage) {
    let mut journal = journal::Journal::default();
    for entry in &world.entries {
        journal.take(entry);
    }
    ticks::judge(&mut journal, world);
    execs::judge(&mut journal);
    rest::judge(&mut journal, world);
    (journal.report, journal.coverage)
}
