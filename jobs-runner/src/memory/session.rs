//! A session: what it links, what it holds, and what it was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jobs_core::{Link, Millis, Settled, Token, ledger};

#[derive(Debug)]
pub(super) struct Session {
    pub(super) state: ledger::Session,
    pub(super) links: BTreeMap<Arc<str>, Link>,
    pub(super) leases: BTreeSet<Token>,
    /// Per lane the number of the last call, and what it was answered.
    pub(super) lanes: BTreeMap<u32, (u64, Settled)>,
}

impl Session {
    pub(super) fn is_alive(&self, now: Millis) -> bool {
        self.state.is_alive(now)
    }

    pub(super) fn declares(&self, job: &str, fingerprint: &str) -> bool {
        let declared = self.links.get(job).and_then(|link| link.schedule.as_ref());
        declared.is_some_and(|declaration| *declaration.fingerprint == *fingerprint)
    }
}
