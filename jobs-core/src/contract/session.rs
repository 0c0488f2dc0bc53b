//! Sessions: how one opens, stays alive, and what a store knows of it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Link, Millis, Reaped, RunId, SessionId, Token};

/// A session that opens.
#[derive(Clone, Debug, PartialEq)]
pub struct Attach {
    /// The session.
    pub session: SessionId,
    /// How long it lives without a beat.
    pub lease: Duration,
    /// The process.
    pub node: Node,
    /// What it links.
    pub links: Vec<Link>,
    /// Sessions of the same host whose process is gone for certain.
    pub gone: Vec<SessionId>,
}

/// The process of a session, as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The host's name.
    pub host: String,
    /// The process id, and what tells it from another process with the same id later: boot, pid namespace and
    /// start time.
    pub process: Process,
    /// Version and a hash of what it links and its item types: who fails to decode a payload, fails always.
    pub build: Arc<str>,
}

/// A process, for ever: ids are used again, these together are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The kernel's boot id.
    pub boot: String,
    /// The pid namespace.
    pub namespace: String,
    /// The process id in it.
    pub pid: u32,
    /// When the process began, in the kernel's ticks since boot.
    pub started: u64,
}

/// What a session finds when it opens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// The schedules that it links, by id.
    pub schedules: BTreeMap<Arc<str>, ScheduleState>,
    /// Instants that were already past when they were first seen: they are recorded as missed.
    pub past: Vec<(Arc<str>, Millis)>,
    /// What was taken back from the sessions that are gone.
    pub reaped: Reaped,
    /// The other sessions that live, or hold something.
    pub others: Vec<SessionRecord>,
    /// Schedules of this session whose cursor was ahead of the store's clock.
    pub ahead: Vec<Ahead>,
}

/// A schedule whose cursor was ahead of the store's clock: the clock was in the future when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The schedule's id.
    pub schedule: Arc<str>,
    /// Where its cursor stood.
    pub cursor: Millis,
    /// Whether the cursor was set back to now. If not, the schedule waits until the clock has reached it.
    pub set_back: bool,
}

/// What a store knows of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session.
    pub session: SessionId,
    /// The process.
    pub node: Node,
    /// How many items it holds.
    pub holds: u64,
    /// When it expires, if no beat renews it.
    pub until: Millis,
}

/// Where a schedule stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleState {
    /// All ticks up to here have a verdict. It only grows.
    pub cursor: Millis,
    /// A tick that was noticed on time and waits for the last run (`overlap = "queue"`).
    pub waiting: Option<Millis>,
    /// The declaration in force.
    pub fingerprint: Arc<str>,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The session.
    pub session: SessionId,
    /// All leases it knows of, now and then: what the store has beyond them is an orphan and goes back uncharged,
    /// once it is older than the session's lease: the answer that carried a younger one may be on its way.
    pub held: Option<Vec<Token>>,
    /// The store's time, as the sender knew it when it wrote this: a beat that was long on its way says nothing of what
    /// was leased since.
    pub as_of: Millis,
    /// Whether the store could not be reached for a while: the session reaps nobody for one lease from now.
    pub reconnected: bool,
}

/// What a beat answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Whether the session exists. If not it was reaped, and all its leases are lost.
    pub alive: bool,
    /// Leases that the session named and does not have.
    pub lost: Vec<Token>,
    /// Cancelled runs of which it holds items.
    pub cancelled: Vec<RunId>,
    /// The patterns that are paused, with their notes.
    pub paused: Vec<(String, String)>,
}
