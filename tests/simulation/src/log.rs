//! What happened in a world, in order: what was done to it, each step of the store, each attempt of a handler.
//!
//! The oracle judges nothing else, and the same seed writes the same log, byte for byte.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jobs_core::{
    Appended, Beat, Cancellation, Complete, Completion, Fire, Firing, ItemId, Lease, Link, Millis, Pass,
    Passing, Pulse, Reaped, RunId, ScheduleState, SessionId, Settle, Settled, Stage, Token,
};

use crate::clock::Clock;

/// The log of a world.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) clock: Clock,
    entries: Mutex<Vec<Entry>>,
    /// How many calls there were in this millisecond.
    calls: Mutex<(u64, u32)>,
    /// Tells the world that it is not worth going on.
    pub(crate) gives_up: tokio::sync::Notify,
}

/// So many calls in one millisecond are a loop in which no time passes.
const LOOPS: u32 = 5_000;

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Milliseconds since the world began.
    pub(crate) at: u64,
    /// The store's time.
    pub(crate) now: Millis,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// Something that the oracle has no use for.
    Note(String),
    Node {
        node: usize,
        change: Change,
    },
    /// The store's clock stepped by so many milliseconds.
    ClockStep(i64),
    /// All faults have ended.
    Calm,
    /// No more ticks are fired.
    Stopped,
    /// Thousands of calls were made and no time passed.
    Loops,
    /// A call was given a fate; until then its node may notice.
    Fault {
        node: usize,
        op: &'static str,
        fault: Fault,
        until: u64,
    },
    Step {
        node: usize,
        step: Box<Step>,
    },
    Attempt(Attempt),
}

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Up { session: SessionId, build: Build },
    Crashed { session: SessionId, gone: bool },
    ShuttingDown,
    Down { session: SessionId },
    Frozen,
    Thawed,
    Cut,
    Joined,
}

/// Which program a node runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Build {
    /// Which schedule it declares for the job that has several.
    pub(crate) schedule: usize,
    /// Whether it knows the new type of an item.
    pub(crate) codec: bool,
}

/// What went wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Nothing reached the store.
    Refused,
    /// The step was done and the answer was lost.
    ReplyLost,
    /// The answer came late.
    LateReply,
    /// The caller gave up, and the step was done later.
    Delayed,
    /// The node was cut off.
    CutOff,
    /// The node was cut off from answers: the step was done.
    Unanswered,
}

/// A step of the store, with its answer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Attach {
        session: SessionId,
        node: String,
        lease: std::time::Duration,
        links: Vec<Link>,
        gone: Vec<SessionId>,
        before: Vec<(Arc<str>, ScheduleState)>,
        after: Vec<(Arc<str>, ScheduleState)>,
    },
    Detach(SessionId),
    Beat(Beat, Pulse),
    Fire(Option<SessionId>, Vec<Fire>, Vec<Firing>),
    Pass(Vec<Pass>, Vec<Passing>),
    Append {
        token: Token,
        seq: u64,
        count: u64,
        paged: bool,
        last: bool,
        appended: Appended,
    },
    Settle(Settle, Settled),
    Complete(Vec<Complete>, Vec<Completion>),
    Cancel(RunId, Cancellation),
    Reap(SessionId, Reaped),
    /// A pattern is paused, or resumed.
    Pause(String, bool),
}

/// A handler's own record, kept outside of the store.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) node: usize,
    pub(crate) job: String,
    pub(crate) stage: Stage,
    pub(crate) item: ItemId,
    pub(crate) token: Token,
    pub(crate) attempt: u32,
    pub(crate) phase: Phase,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// With the run and the number that the query put into the item.
    Begin(Option<(u64, u64)>),
    Done,
    Failed,
    Discarded,
    Snoozed,
    /// A query returned so many items.
    Found(u64),
    /// The node dies of it.
    Kills,
    Dropped,
}

impl Log {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            entries: Mutex::default(),
            calls: Mutex::default(),
            gives_up: tokio::sync::Notify::new(),
        }
    }

    pub(crate) fn add(&self, what: What) {
        let entry = Entry { at: self.clock.at(), now: self.clock.now(), what };
        lock(&self.entries).push(entry);
    }

    /// Counts a call, and says whether time has to be helped on.
    pub(crate) fn loops(&self) -> bool {
        let mut calls = lock(&self.calls);
        let at = self.clock.at();
        *calls = if calls.0 == at { (at, calls.1 + 1) } else { (at, 1) };
        let loops = calls.1.is_multiple_of(LOOPS);
        drop(calls);
        if loops {
            self.add(What::Loops);
            self.gives_up.notify_one();
        }
        loops
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.add(What::Note(text.into()));
    }

    pub(crate) fn node(&self, node: usize, change: Change) {
        self.add(What::Node { node, change });
    }

    pub(crate) fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut *lock(&self.entries))
    }
}

impl Entry {
    /// A poll that found nothing: not worth a line.
    pub(crate) fn is_idle(&self) -> bool {
        let What::Step { step, .. } = &self.what else { return false };
        matches!(&**step, Step::Settle(settle, settled)
            if settle.settlements.is_empty() && settled.leases.is_empty())
    }
}

/// A lock that a panic elsewhere does not close.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a node; the number of the client that belongs to none is the last.
pub(crate) fn name(node: usize) -> String {
    char::from(b'a' + u8::try_from(node).unwrap_or(25)).to_string()
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9} {:<13} ", Seconds(self.at), &self.now.timestamp().to_string()[11..])?;
        match &self.what {
            What::Note(text) => write!(f, "- {text}"),
            What::Node { node, change } => write!(f, "{} ** {change:?}", name(*node)),
            What::ClockStep(by) => write!(f, "* the store's clock steps by {by} ms"),
            What::Calm => write!(f, "* all faults end"),
            What::Loops => write!(f, "* no time passes"),
            What::Stopped => write!(f, "* no more ticks"),
            What::Fault { node, op, fault, until } => {
                write!(f, "{} !! {op}: {fault:?} until {}", name(*node), Seconds(*until))
            }
            What::Step { node, step } => write!(f, "{} {step}", name(*node)),
            What::Attempt(a) => {
                let Attempt { node, job, stage, item, token, attempt, phase } = a;
                write!(f, "{} >> {job} {stage:?} {item} #{attempt} ({}) {phase:?}", name(*node), token.0)
            }
        }
    }
}

/// Milliseconds printed as seconds.
struct Seconds(u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.0 / 1_000, self.0 % 1_000))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attach { session, gone, before, after, .. } => {
                write!(f, "attach {session} gone {gone:?}")?;
                for (job, state) in after.iter().filter(|new| !before.contains(new)) {
                    write!(f, " {job}: {} from {}", state.fingerprint, state.cursor.timestamp())?;
                }
                Ok(())
            }
            Self::Detach(session) => write!(f, "detach {session}"),
            Self::Beat(beat, pulse) => {
                let held = beat.held.as_ref().map(|held| held.iter().map(|t| t.0).collect::<Vec<_>>());
                let (alive, lost, cancelled) = (pulse.alive, &pulse.lost, &pulse.cancelled);
                write!(f, "beat {} alive {alive}", beat.session)?;
                if beat.reconnected {
                    write!(f, " reconnected")?;
                }
                if let Some(held) = held {
                    write!(f, " held {held:?} lost {lost:?}")?;
                }
                if !cancelled.is_empty() {
                    write!(f, " cancelled {cancelled:?}")?;
                }
                Ok(())
            }
            Self::Fire(_, fires, firings) => {
                write!(f, "fire")?;
                for (fire, firing) in fires.iter().zip(firings) {
                    write!(f, " {} {}", fire.job, Cause(&fire.cause))?;
                    match firing {
                        Firing::Fired { run, lease } => {
                            write!(f, " = fired {run}")?;
                            lease.iter().try_for_each(|lease| write!(f, " {}", Granted(lease)))?;
                        }
                        Firing::Busy { run } => write!(f, " = busy {run}")?,
                        other => write!(f, " = {other:?}")?,
                    }
                }
                Ok(())
            }
            Self::Pass(passes, passings) => {
                write!(f, "pass")?;
                for (pass, passing) in passes.iter().zip(passings) {
                    write!(f, " {} from {}:", pass.schedule, pass.cursor.timestamp())?;
                    for tick in &pass.passed {
                        write!(f, " {}..={} {:?}", tick.tick, tick.last, tick.verdict)?;
                    }
                    write!(f, " = {passing:?}")?;
                }
                Ok(())
            }
            Self::Append { token, seq, count, last, appended, .. } => {
                write!(f, "append ({}) {seq} n {count} last {last} = {appended:?}", token.0)
            }
            Self::Settle(settle, settled) => {
                write!(f, "settle {} n {} want {}", settle.session, settle.n, settle.want.slots)?;
                for s in &settle.settlements {
                    write!(f, " ({})[{}..{}] {}", s.token.0, s.from, s.to, End(&s.end))?;
                }
                for lost in &settled.lost {
                    write!(f, " lost ({})", lost.0)?;
                }
                settled.leases.iter().try_for_each(|lease| write!(f, " {}", Granted(lease)))
            }
            Self::Complete(runs, completions) => {
                write!(f, "complete")?;
                runs.iter().zip(completions).try_for_each(|(Complete { run, .. }, completion)| {
                    match completion {
                        Completion::Completed(report) => write!(f, " {run}: {:?}", report.state),
                        Completion::Already(_) => write!(f, " {run}: already"),
                        other => write!(f, " {run}: {other:?}"),
                    }
                })
            }
            Self::Cancel(run, answer) => write!(f, "cancel {run} = {answer:?}"),
            Self::Reap(session, reaped) => {
                write!(f, "reap {session}: {:?} items {}", reaped.nodes, reaped.items)?;
                for (job, _, item, failure) in &reaped.dead {
                    write!(f, " dead {job} {item} {:?}", failure.kind)?;
                }
                Ok(())
            }
            Self::Pause(pattern, there) => write!(f, "{} {pattern}", if *there { "pause" } else { "resume" }),
        }
    }
}

struct Granted<'a>(&'a Lease);

impl fmt::Display for Granted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (header, count) = (&self.0.chunk.header, self.0.chunk.count());
        write!(f, "+({}) {} {:?} {}x{count}", self.0.token.0, header.job, header.stage, header.item(0))?;
        write!(f, " #{}", header.attempt + 1)?;
        if header.suspect { write!(f, " suspect {}", header.crashes) } else { Ok(()) }
    }
}

struct End<'a>(&'a jobs_core::End);

impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            jobs_core::End::Retry { at, failure, .. } => {
                write!(f, "Retry {} {:?}", at.timestamp(), failure.kind)
            }
            jobs_core::End::Dead(failure) => write!(f, "Dead {:?}", failure.kind),
            other => write!(f, "{other:?}"),
        }
    }
}

struct Cause<'a>(&'a jobs_core::Cause);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            jobs_core::Cause::Tick { tick, cursor, verdict, passed, .. } => {
                write!(f, "{} {verdict:?} from {}", tick.timestamp(), cursor.timestamp())?;
                passed.iter().try_for_each(|p| write!(f, " {}..={} {:?}", p.tick, p.last, p.verdict))
            }
            jobs_core::Cause::Manual { request, .. } => write!(f, "by hand {request}"),
        }
    }
}
