//! What became of runs, ticks and items, as users see it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Failure, FailureKind, ItemId, Location, RunId, Stage};

/// What made a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Trigger {
    /// Its schedule, on time.
    Schedule,
    /// Its schedule, for a tick that was noticed more than 10 s late.
    CatchUp,
    /// Somebody, by `run`.
    Manual,
    /// Items that were enqueued.
    Enqueued,
    /// Dead items that were given another chance.
    Requeued,
}

impl Trigger {
    /// All that this version knows.
    pub const ALL: [Self; 5] = [Self::Schedule, Self::CatchUp, Self::Manual, Self::Enqueued, Self::Requeued];
}

/// How far a run is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RunState {
    /// Stored; no attempt has begun.
    Queued,
    /// The query is running, or waits for its next attempt.
    Filling,
    /// Items are waiting or running.
    Working,
    /// Over, and no item is dead; also when there was none.
    Succeeded,
    /// Over; some items are dead, but not all.
    Partial,
    /// Over; all items are dead, or the query failed for good.
    Failed,
    /// Over by `cancel`.
    Cancelled,
}

impl RunState {
    /// Whether the run is over.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled)
    }
}

/// How many items of a run ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Items in all; without a query 1.
    pub total: u64,
    /// Done.
    pub ok: u64,
    /// Attempts after the first, over all items.
    pub retries: u64,
    /// Dead: out of attempts, fatal, poison or undecodable.
    pub dead: u64,
    /// Discarded by their handler.
    pub discarded: u64,
    /// Not started before they expired.
    pub expired: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl Counts {
    /// How many items have ended, in whatever way.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.ok + self.dead + self.discarded + self.expired + self.cancelled
    }
}

/// Failed attempts of a run that say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorGroup {
    /// What kind of end it was.
    pub kind: FailureKind,
    /// The error's text.
    pub message: String,
    /// How many attempts failed with it, the query's included.
    pub count: u64,
    /// The first item that did.
    pub sample: ItemId,
}

impl ErrorGroup {
    /// The most messages that are told apart in a run.
    pub const MAX: usize = 32;

    /// The message of the group, one for each kind of failure, that counts the failures beyond [`MAX`](Self::MAX)
    /// messages.
    pub const OTHERS: &str = "… and other errors";

    /// Counts a failed attempt of `item`.
    pub fn count_in(groups: &mut Vec<Self>, item: ItemId, failure: &Failure) {
        let Failure { kind, message, .. } = failure;
        match groups.iter_mut().find(|group| group.kind == *kind && group.message == *message) {
            Some(found) => found.count += 1,
            None => {
                Self::open(groups, Self { kind: *kind, message: message.clone(), count: 1, sample: item });
            }
        }
    }

    /// Counts what was counted elsewhere: a store may write down what it counts in one step, and add it up later.
    ///
    /// That is the same as counting at once, as long as a step has no more than [`MAX`](Self::MAX) messages. If it has
    /// more, what is counted among the others may be more, but none is counted with another message.
    pub fn add(groups: &mut Vec<Self>, more: Self) {
        match groups.iter_mut().find(|group| group.kind == more.kind && group.message == more.message) {
            Some(found) => found.count += more.count,
            None => Self::open(groups, more),
        }
    }

    /// Begins a group, or counts its failures among the others of their kind if there are too many messages.
    fn open(groups: &mut Vec<Self>, mut new: Self) {
        let told_apart = groups.iter().filter(|group| group.message != Self::OTHERS).count();
        if told_apart < Self::MAX || new.message == Self::OTHERS {
            groups.push(new);
            return;
        }
        new.message = Self::OTHERS.to_owned();
        Self::add(groups, new);
    }
}

/// What became of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// The run.
    pub id: RunId,
    /// The job's id.
    pub job: String,
    /// What made it.
    pub trigger: Trigger,
    /// The scheduled instant; `None` when run by hand or requeued.
    pub tick: Option<Timestamp>,
    /// How far it is, or how it ended.
    pub state: RunState,
    /// How many items ended how.
    pub counts: Counts,
    /// Its failed attempts, grouped by what they say, in the order of their first.
    pub errors: Vec<ErrorGroup>,
    /// When it was stored.
    pub started_at: Timestamp,
    /// When its last item ended.
    pub finished_at: Option<Timestamp>,
    /// What `run` noted.
    pub note: Option<String>,
}

impl RunReport {
    /// A run that was stored now, with nothing done.
    #[must_use]
    pub fn new(id: RunId, job: impl Into<String>, trigger: Trigger, started_at: Timestamp) -> Self {
        let (job, state, counts) = (job.into(), RunState::Queued, Counts::default());
        let (tick, errors, finished_at, note) = (None, Vec::new(), None, None);
        Self { id, job, trigger, tick, state, counts, errors, started_at, finished_at, note }
    }

    /// The report if the run succeeded, and an error that says what failed if it did not: for `?` in `main`.
    ///
    /// # Errors
    /// [`RunFailed`] unless the state is [`RunState::Succeeded`].
    pub fn ok(self) -> Result<Self, RunFailed> {
        if self.state == RunState::Succeeded { Ok(self) } else { Err(RunFailed { report: Box::new(self) }) }
    }
}

/// A run that did not succeed.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {} of `{}` {}", report.id, report.job, story(report))]
pub struct RunFailed {
    /// What became of it.
    pub report: Box<RunReport>,
}

/// `main` prints an error's `Debug`.
impl std::fmt::Debug for RunFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

fn story(report: &RunReport) -> String {
    let Counts { total, dead, .. } = report.counts;
    let mut story = match report.state {
        RunState::Cancelled => "was cancelled".to_owned(),
        RunState::Failed if dead < total || total == 0 => "failed: its query failed for good".to_owned(),
        RunState::Failed | RunState::Partial => format!("failed: {dead} of {total} items are dead"),
        _ => "is not over".to_owned(),
    };
    for error in report.errors.iter().take(3) {
        story += &format!("; {} × {}", error.count, error.message);
    }
    story
}

/// What became of a scheduled instant, or of neighbouring ones that did not fire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickInfo {
    /// The instant, or the first of them.
    pub tick: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// How many there are.
    pub count: u64,
    /// What became of them.
    pub verdict: Verdict,
    /// The run, if one was made.
    pub run: Option<RunId>,
}

impl TickInfo {
    /// One instant that fired.
    #[must_use]
    pub fn fired(tick: Timestamp, verdict: Verdict, run: RunId) -> Self {
        Self { tick, last: tick, count: 1, verdict, run: Some(run) }
    }

    /// Instants that did not fire.
    #[must_use]
    pub fn passed(tick: Timestamp, last: Timestamp, count: u64, verdict: Verdict) -> Self {
        Self { tick, last, count, verdict, run: None }
    }

    /// Takes the next record into this one if neither fired and both say the same.
    pub fn merge(&mut self, next: &Self) -> bool {
        let same = self.run.is_none() && next.run.is_none() && self.verdict == next.verdict;
        if same {
            self.last = next.last;
            self.count += next.count;
        }
        same
    }
}

/// What became of a scheduled instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Verdict {
    /// It fired on time.
    Fired,
    /// It fired by catch-up (noticed more than 10 s late), or later than `late_after`.
    Late,
    /// It was passed over on purpose.
    Skipped(SkipReason),
    /// Nothing ran when it was due, and `catch_up` dropped it.
    Missed,
}

/// Why a tick was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SkipReason {
    /// The last run was busy.
    Overlap,
    /// The job was paused.
    Paused,
    /// It waited for the last run, and a newer tick took its place (`overlap = "queue"`).
    Replaced,
}

/// An item that will not be tried again by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadItem {
    /// The item.
    pub id: ItemId,
    /// The job's id.
    pub job: String,
    /// The run it was part of.
    pub run: Option<RunId>,
    /// What the handler was given.
    pub payload: serde_json::Value,
    /// The failed attempts, oldest first; of more than 100 the newest.
    pub attempts: Vec<Failure>,
}

impl DeadItem {
    /// The most failed attempts that are kept of one item.
    pub const MAX_ATTEMPTS: usize = 100;

    /// The payload of an item as JSON; as text, if it is none.
    #[must_use]
    pub fn payload(item: &[u8]) -> serde_json::Value {
        serde_json::from_slice(item).unwrap_or_else(|_| String::from_utf8_lossy(item).into_owned().into())
    }

    /// A dead item of a job.
    #[must_use]
    pub fn new(id: ItemId, job: impl Into<String>, payload: serde_json::Value) -> Self {
        Self { id, job: job.into(), run: None, payload, attempts: Vec::new() }
    }
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobInfo {
    /// `group.name`.
    pub id: String,
    /// The group's name.
    pub group: String,
    /// The job's name in its group.
    pub name: String,
    /// When it is due, in canonical form; `None` for a job that runs on demand.
    pub schedule: Option<String>,
    /// The zone of the schedule.
    pub tz: String,
    /// The next tick.
    pub next: Option<Timestamp>,
    /// The note, if the job is paused.
    pub paused: Option<String>,
    /// Where it is declared.
    pub location: Location,
}

/// An item that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemInfo {
    /// The item. The fill item of a run, and its finish item, are numbered 0 like its first item.
    pub id: ItemId,
    /// The job's id.
    pub job: String,
    /// The run it is part of.
    pub run: Option<RunId>,
    /// What part of the run it is.
    pub stage: Stage,
    /// Whether it runs, and where; or what it waits for.
    pub state: ItemState,
    /// The number of the attempt that runs or is the next, from 1.
    pub attempt: u32,
    /// How often it was held by a node that died or lost its lease, charged or not.
    pub redelivered: u32,
    /// When it was stored.
    pub enqueued_at: Timestamp,
    /// What the handler is given.
    pub payload: serde_json::Value,
}

/// Whether an item runs, or what it waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ItemState {
    /// A node holds it.
    InFlight {
        /// The node's name.
        node: String,
        /// Since when.
        since: Timestamp,
    },
    /// It waits for a slot.
    Ready,
    /// It waits for its time: a retry, or snoozed.
    Delayed {
        /// When it is ready.
        until: Timestamp,
    },
}

/// A runner that is connected to the store, or that was and is not yet known to be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Its name.
    pub name: String,
    /// The name of its host.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its version, and a hash of the jobs that it links and their item types.
    pub build: String,
    /// How many items it holds.
    pub holds: u64,
    /// When others may take over what it holds, if it is not heard of until then.
    pub lease_until: Timestamp,
    /// Whether that instant is still to come.
    pub alive: bool,
}

/// How much there is to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Nodes that are alive.
    pub nodes: u64,
    /// Items that wait for a slot, over all jobs.
    pub ready: u64,
    /// Items that wait for their time, over all jobs.
    pub delayed: u64,
    /// Items that are in flight, over all jobs.
    pub in_flight: u64,
    /// Items that are dead, over all jobs.
    pub dead: u64,
    /// The same for each job, in the order of their ids.
    pub jobs: Vec<JobStats>,
}

/// How much there is to do of one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStats {
    /// The job's id.
    pub job: String,
    /// Whether a node that is alive links it.
    pub live: bool,
    /// Items that wait for a slot.
    pub ready: u64,
    /// Items that wait for their time.
    pub delayed: u64,
    /// Items that are in flight.
    pub in_flight: u64,
    /// Items that are dead.
    pub dead: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: FailureKind, message: &str) -> Failure {
        Failure::new(kind, message, Timestamp::UNIX_EPOCH)
    }

    fn count(failures: &[Failure]) -> Vec<ErrorGroup> {
        let mut groups = Vec::new();
        for (index, failure) in (0..).zip(failures) {
            ErrorGroup::count_in(&mut groups, ItemId::new(1, index), failure);
        }
        groups
    }

    #[test]
    fn what_was_counted_elsewhere_is_added_as_if_it_was_counted_here() {
        let failures: Vec<Failure> =
            (0..60).map(|n| failed(FailureKind::Error, &format!("no {}", n % 36))).collect();
        let mut added = count(&failures[..20]);
        count(&failures[20..48]).into_iter().for_each(|group| ErrorGroup::add(&mut added, group));
        count(&failures[48..]).into_iter().for_each(|group| ErrorGroup::add(&mut added, group));
        let summary = |groups: &[ErrorGroup]| -> Vec<_> {
            groups.iter().map(|group| (group.kind, group.message.clone(), group.count)).collect()
        };
        assert_eq!(summary(&added), summary(&count(&failures)));
        assert_eq!(added.len(), ErrorGroup::MAX + 1);
    }

    #[test]
    fn failures_beyond_the_bound_are_counted_by_their_kind_and_with_no_other_message() {
        let mut failures: Vec<Failure> =
            (0..1_000).map(|n| failed(FailureKind::Error, &format!("no {n}"))).collect();
        failures.push(failed(FailureKind::Panic, "oh"));
        failures.push(failed(FailureKind::Error, "no 3"));
        let groups = count(&failures);
        let counts: Vec<u64> = groups.iter().map(|group| group.count).collect();
        assert_eq!((counts.len(), counts[3], counts[31]), (34, 2, 1));
        let [.., errors, panics] = &groups[..] else { panic!("{groups:?}") };
        assert_eq!(
            (errors.kind, &*errors.message, errors.count),
            (FailureKind::Error, ErrorGroup::OTHERS, 968)
        );
        assert_eq!(
            (panics.kind, &*panics.message, panics.count),
            (FailureKind::Panic, ErrorGroup::OTHERS, 1)
        );
        assert_eq!(panics.sample, ItemId::new(1, 1_000), "its own item");

        let mut added = count(&failures[500..]);
        count(&failures[..500]).into_iter().for_each(|group| ErrorGroup::add(&mut added, group));
        let of = |groups: &[ErrorGroup], kind| -> u64 {
            groups.iter().filter(|group| group.kind == kind).map(|group| group.count).sum()
        };
        assert_eq!((of(&added, FailureKind::Error), of(&added, FailureKind::Panic)), (1_001, 1));
    }
}
