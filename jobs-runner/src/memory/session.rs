//! One session: what it links, what it holds, and what it was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jobs_core::{Link, Millis, Node, Settled, Token};

#[derive(Debug)]
pub(super) struct Session {
    pub(super) lease: Duration,
    /// Alive until then without a beat.
    pub(super) until: Millis,
    /// Since when it has been connected without a break: it reaps nobody during its first lease.
    pub(super) connected_at: Millis,
    pub(super) node: Node,
    pub(super) links: BTreeMap<Arc<str>, Link>,
    pub(super) leases: BTreeSet<Token>,
    /// The instants that were past when it opened, for a repeat.
    pub(super) past: Vec<(Arc<str>, Millis)>,
    /// Per lane the number of the last call, and what it was answered.
    pub(super) lanes: BTreeMap<u32, (u64, Settled)>,
}

impl Session {
    pub(super) fn is_alive(&self, now: Millis) -> bool {
        now <= self.until
    }

    pub(super) fn declares(&self, job: &str, fingerprint: &str) -> bool {
        let declared = self.links.get(job).and_then(|link| link.schedule.as_ref());
        declared.is_some_and(|declaration| *declaration.fingerprint == *fingerprint)
    }
}
