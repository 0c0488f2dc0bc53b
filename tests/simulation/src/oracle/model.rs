//! What the store should hold, as far as its own answers tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jobs_core::{Header, Link, Millis, RunId, SessionId, Stage, TickInfo, Token};

use crate::log::Phase;

/// An item: its run, what part of it, and its place.
pub(super) type Key = (u64, Stage, u64);

pub(super) struct Session {
    pub(super) node: String,
    pub(super) lease: Duration,
    pub(super) until: Millis,
    pub(super) connected_at: Millis,
    pub(super) links: BTreeMap<Arc<str>, Link>,
    pub(super) open: BTreeSet<Token>,
    /// Per lane the last call.
    pub(super) lanes: BTreeMap<u32, u64>,
}

impl Session {
    pub(super) fn is_alive(&self, now: Millis) -> bool {
        now <= self.until
    }
}

pub(super) struct Lease {
    pub(super) session: SessionId,
    pub(super) header: Header,
    pub(super) granted_at: Millis,
    pub(super) settled: Vec<bool>,
    pub(super) fate: LeaseFate,
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseFate {
    Open,
    /// All of it was settled.
    Settled,
    /// Its session died.
    Died,
    /// Its session did not know of it.
    Orphaned,
    /// Its session ended in order.
    Detached,
}

impl Lease {
    pub(super) fn key(&self, index: usize) -> Key {
        (self.header.number, self.header.stage, self.header.start + index as u64)
    }

    pub(super) fn index(&self, n: u64) -> Option<usize> {
        let index = usize::try_from(n.checked_sub(self.header.start)?).ok()?;
        (index < self.settled.len()).then_some(index)
    }

    pub(super) fn unsettled(&self) -> Vec<Key> {
        (0..self.settled.len()).filter(|index| !self.settled[*index]).map(|index| self.key(index)).collect()
    }
}

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Dead,
    Poison,
    Undecodable,
    Discarded,
    Cancelled,
    Expired,
}

#[derive(Default)]
pub(super) struct Item {
    /// The lease that it is under.
    pub(super) token: Option<Token>,
    pub(super) end: Option<Ending>,
    pub(super) suspect: bool,
    pub(super) crashes: u32,
    /// How many nodes died holding it.
    pub(super) deaths: u32,
    /// Failed attempts that were counted.
    pub(super) attempt: u32,
    /// How many nodes it killed.
    pub(super) kills: u32,
}

pub(super) struct Run {
    pub(super) job: Arc<str>,
    pub(super) query: bool,
    pub(super) tick: Option<Millis>,
    pub(super) cancelled: bool,
    pub(super) over: bool,
    pub(super) total: u64,
    pub(super) published: bool,
    pub(super) query_failed: bool,
    pub(super) fill: (Option<Token>, u64, u64),
    pub(super) filled: Option<Token>,
    pub(super) retries: u64,
}

/// One attempt of a handler, as it wrote it down itself.
pub(super) struct Exec {
    pub(super) node: usize,
    pub(super) end: Option<Phase>,
}

/// A stretch in which a schedule had one declaration.
#[derive(Clone, Debug)]
pub(super) struct Epoch {
    pub(super) fingerprint: Arc<str>,
    /// Ticks after this belong to it.
    pub(super) from: Millis,
    /// Ticks up to this had a verdict when it ended.
    pub(super) to: Option<Millis>,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) leases: BTreeMap<Token, Lease>,
    pub(super) items: BTreeMap<Key, Item>,
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) execs: BTreeMap<(Token, u64), Vec<Exec>>,
    /// The patterns that are paused.
    pub(super) paused: Vec<String>,
    /// When each job last got a run, in virtual time.
    pub(super) last_fired: BTreeMap<Arc<str>, u64>,
    pub(super) fired: BTreeMap<(Arc<str>, Millis), RunId>,
    pub(super) epochs: BTreeMap<Arc<str>, Vec<Epoch>>,
    /// Verdicts of ticks that did not fire, with when they were given.
    pub(super) passed: Vec<(Arc<str>, TickInfo, u64, Millis)>,
    /// Ticks that wait for the last run.
    pub(super) waiting: BTreeMap<Arc<str>, Millis>,
}

impl Model {
    pub(super) fn is_paused(&self, job: &str) -> bool {
        self.paused.iter().any(|pattern| jobs_core::covers(pattern, job))
    }

    pub(super) fn item(&mut self, key: Key) -> &mut Item {
        self.items.entry(key).or_default()
    }

    pub(super) fn close(&mut self, token: Token, fate: LeaseFate) {
        if let Some(lease) = self.leases.get_mut(&token) {
            lease.fate = fate;
            if let Some(session) = self.sessions.get_mut(&lease.session) {
                session.open.remove(&token);
            }
        }
    }
}
