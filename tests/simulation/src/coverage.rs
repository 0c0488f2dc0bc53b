//! What was seen at all: a batch that never saw a fault or a take-over has shown nothing about it.

use std::collections::BTreeMap;

/// How often each thing was seen.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

/// What a batch has to see.
pub const EXPECTED: [&str; 63] = [
    // Faults.
    "fault: refused",
    "fault: reply lost",
    "fault: late reply",
    "fault: delayed",
    "fault: cut off",
    "fault: cut off from answers",
    "node: crash",
    "node: crash, known to be gone",
    "node: frozen",
    "node: frozen past its lease",
    "node: shut down",
    "node: another build",
    "node: does not start at first",
    "clock: forward",
    "clock: back",
    // Steering.
    "pause",
    "resume",
    "cancel",
    "run by hand",
    // Ticks.
    "verdict: fired",
    "verdict: late",
    "verdict: overlap",
    "verdict: paused",
    "verdict: replaced",
    "verdict: missed",
    "fire: already",
    "fire: busy",
    "fire: paused",
    "fire: not yet",
    "fire: stale",
    "fire: repeated",
    "fire: caught up",
    "pass: already",
    "schedule: changed",
    "schedule: rolled back",
    // Leases.
    "take-over",
    "session: reaped while it runs",
    "session: renewed after its lease",
    "lease: orphaned",
    "lease: given back",
    "settle: late",
    "settle: repeated",
    "settle: on behalf of nobody",
    "attempt: dropped",
    "suspect",
    "suspect: charged",
    "poison",
    // Items and runs.
    "item: retried",
    "item: dead",
    "item: discarded",
    "item: snoozed",
    "item: cancelled",
    "item: undecodable",
    "item: undecodable for good",
    "query: failed",
    "query: staged in pieces",
    "query: appended again",
    "query: append of a lost lease",
    "query: resumed at a page",
    "run: succeeded",
    "run: partial",
    "run: failed",
    "run: cancelled",
];

impl Coverage {
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// Adds what another world saw.
    pub fn add(&mut self, other: &Self) {
        for (what, n) in &other.0 {
            *self.0.entry(what).or_default() += n;
        }
    }

    /// What should have been seen and was not.
    #[must_use]
    pub fn unseen(&self) -> Vec<&'static str> {
        EXPECTED.into_iter().filter(|what| !self.0.contains_key(what)).collect()
    }

    /// How often each thing was seen.
    pub fn table(&self) -> impl Iterator<Item = (&'static str, u64)> {
        EXPECTED.into_iter().map(|what| (what, self.0.get(what).copied().unwrap_or(0)))
    }
}
