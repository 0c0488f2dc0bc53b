//! What happens in a runner, for whoever watches: `Events`, and `tracing` with the same fields.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use jiff::Timestamp;
use jobs_core::{Failure, ItemId, RunId, RunReport, SkipReason, Trigger, notice};
use tokio::sync::broadcast;
use tracing::Level;

use crate::lock::lock;

/// Something that happened in this process.
///
/// In item and attempt events `run` is `None` for an item that was enqueued one by one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A tick made a run, this long after it could have.
    TickFired {
        /// The job.
        job: String,
        /// The scheduled instant.
        tick: Timestamp,
        /// The run.
        run: RunId,
        /// How long after it could have.
        late_by: Duration,
    },
    /// A tick was passed over on purpose.
    TickSkipped {
        /// The job.
        job: String,
        /// The scheduled instant.
        tick: Timestamp,
        /// Why.
        reason: SkipReason,
    },
    /// Ticks that nobody fired, and that `catch_up` dropped.
    TicksMissed {
        /// The job.
        job: String,
        /// The first of them.
        first: Timestamp,
        /// The last of them.
        last: Timestamp,
        /// How many.
        count: u64,
    },
    /// A run was made here.
    RunStarted {
        /// The job.
        job: String,
        /// The run.
        run: RunId,
        /// What made it.
        trigger: Trigger,
    },
    /// The query of a run has found all its items.
    RunFilled {
        /// The job.
        job: String,
        /// The run.
        run: RunId,
        /// How many there are.
        total: u64,
    },
    /// A run is over.
    RunFinished(RunReport),
    /// A handler is called.
    AttemptStarted {
        /// The job.
        job: String,
        /// The run.
        run: Option<RunId>,
        /// The item.
        item: ItemId,
        /// Which attempt, counted from 1.
        attempt: u32,
    },
    /// An attempt failed.
    AttemptFailed {
        /// The job.
        job: String,
        /// The run.
        run: Option<RunId>,
        /// The item.
        item: ItemId,
        /// What went wrong.
        failure: Failure,
    },
    /// An item is done.
    ItemDone {
        /// The job.
        job: String,
        /// The run.
        run: Option<RunId>,
        /// The item.
        item: ItemId,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// How long the attempt took.
        duration: Duration,
    },
    /// An item will not be tried again.
    ItemDead {
        /// The job.
        job: String,
        /// The run.
        run: Option<RunId>,
        /// The item.
        item: ItemId,
        /// What went wrong.
        failure: Failure,
    },
    /// An attempt was broken off, or its outcome refused: the item belongs to another runner.
    LeaseLost {
        /// The job.
        job: String,
        /// The run.
        run: Option<RunId>,
        /// The item.
        item: ItemId,
    },
    /// A named lock was lost.
    LockLost {
        /// Its name.
        name: String,
    },
    /// This runner leads.
    LeaderGained,
    /// This runner no longer leads.
    LeaderLost,
    /// Another runner has died; its items were taken over here.
    NodeLost {
        /// Its name.
        node: String,
    },
    /// The store does not answer.
    StoreLost {
        /// What came of asking.
        message: String,
    },
    /// The store answers again.
    StoreBack {
        /// How long it was away.
        after: Duration,
    },
    /// Something that is stored was ahead of the store's clock: the clock was in the future when it was written.
    ClockAhead {
        /// What, and what becomes of it.
        what: String,
        /// By how much.
        by: Duration,
    },
    /// Jobs were paused.
    Paused {
        /// Which.
        pattern: String,
        /// Why.
        note: String,
    },
    /// Jobs were resumed.
    Resumed {
        /// Which.
        pattern: String,
    },
    /// So many events were dropped, because this reader was slow.
    Lagged(u64),
}

/// A reader of events, from when it was made. Bounded: a slow reader loses the oldest, and is told how many.
///
/// It is a [`Stream`] too. It ends when the runner has ended.
#[derive(Debug)]
pub struct Events {
    reader: Reader,
    listeners: Arc<AtomicUsize>,
}

impl Drop for Events {
    fn drop(&mut self) {
        self.listeners.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What comes next, and the channel: an event, or the end of the runner.
type Next = (Option<Event>, broadcast::Receiver<Option<Event>>);

enum Reader {
    Idle(Option<broadcast::Receiver<Option<Event>>>),
    Waiting(Pin<Box<dyn Future<Output = Next> + Send>>),
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idle(_) => "Idle",
            Self::Waiting(_) => "Waiting",
        })
    }
}

impl Events {
    /// The next event; `None` when the runner has ended.
    pub async fn recv(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            match &mut self.reader {
                Reader::Idle(receiver) => {
                    let Some(receiver) = receiver.take() else { return Poll::Ready(None) };
                    self.reader = Reader::Waiting(Box::pin(next(receiver)));
                }
                Reader::Waiting(waiting) => {
                    let (event, receiver) = std::task::ready!(waiting.as_mut().poll(cx));
                    self.reader = Reader::Idle(event.is_some().then_some(receiver));
                    return Poll::Ready(event);
                }
            }
        }
    }
}

async fn next(mut receiver: broadcast::Receiver<Option<Event>>) -> Next {
    let event = match receiver.recv().await {
        Ok(event) => event,
        Err(broadcast::error::RecvError::Lagged(n)) => Some(Event::Lagged(n)),
        Err(broadcast::error::RecvError::Closed) => None,
    };
    (event, receiver)
}

/// Where the loops say what happens. Costs a look at two flags when nobody listens.
#[derive(Clone, Debug)]
pub(crate) struct Bus {
    sender: broadcast::Sender<Option<Event>>,
    ended: Arc<AtomicBool>,
    /// How many readers there are; the channel would have to lock to say.
    listeners: Arc<AtomicUsize>,
    /// All events, for the harness.
    record: Option<Arc<Mutex<Vec<Event>>>>,
}

/// So many events a slow reader may be behind.
const CAPACITY: usize = 4_096;

impl Bus {
    pub(crate) fn new(record: Option<Arc<Mutex<Vec<Event>>>>) -> Self {
        Self {
            sender: broadcast::Sender::new(CAPACITY),
            ended: Arc::default(),
            listeners: Arc::default(),
            record,
        }
    }

    pub(crate) fn events(&self) -> Events {
        self.listeners.fetch_add(1, Ordering::AcqRel);
        let receiver = self.sender.subscribe();
        let receiver = (!self.ended.load(Ordering::Acquire)).then_some(receiver);
        Events { reader: Reader::Idle(receiver), listeners: self.listeners.clone() }
    }

    /// Nothing happens any more: readers come to an end.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let _ = self.sender.send(None);
    }

    /// Whether anybody would see an event of this level.
    fn heard(&self, level: Level) -> bool {
        self.record.is_some()
            || (level <= Level::WARN && notice::is_unheard())
            || self.listeners.load(Ordering::Relaxed) > 0
            || (level <= tracing::level_filters::LevelFilter::current()
                && level <= tracing::level_filters::STATIC_MAX_LEVEL)
    }

    /// Says what happens once in a while.
    pub(crate) fn say(&self, event: Event) {
        self.tell(event);
    }

    /// Says what happens for each item: the event is only made when somebody listens.
    pub(crate) fn say_often(&self, level: Level, event: impl FnOnce() -> Event) {
        if self.heard(level) {
            self.tell(event());
        }
    }

    fn tell(&self, event: Event) {
        trace(&event);
        if self.record.is_none()
            && notice::is_unheard()
            && let Some((kind, text)) = warning(&event)
        {
            notice::show(kind, text);
        }
        if let Some(record) = &self.record {
            lock(record).push(event.clone());
        }
        // Nobody listens: that is no error.
        let _ = self.sender.send(Some(event));
    }
}

/// What a person should know of, and its kind.
fn warning(event: &Event) -> Option<(&'static str, String)> {
    Some(match event {
        Event::TicksMissed { job, first, last, count } => {
            ("missed", format!("{job}: {count} ticks were missed, {first} to {last}"))
        }
        Event::AttemptFailed { job, item, failure, .. } if failure.retry_at.is_some() => (
            "failed",
            format!("{job}: attempt {} of item {item} failed: {}", failure.attempt, failure.message),
        ),
        Event::ItemDead { job, item, failure, .. } => (
            "dead",
            format!("{job}: item {item} is dead after attempt {}: {}", failure.attempt, failure.message),
        ),
        Event::LeaseLost { job, item, .. } => ("lost", format!("{job}: the lease of item {item} was lost")),
        Event::NodeLost { node } => {
            ("node", format!("the runner {node} has died; its items were taken back"))
        }
        Event::StoreLost { message } => ("store", message.clone()),
        Event::ClockAhead { what, .. } => ("clock", format!("the store's clock was in the future: {what}")),
        _ => return None,
    })
}

/// The same to `tracing`, with the same field names.
fn trace(event: &Event) {
    macro_rules! at {
        ($level:ident, $message:literal $(, $($fields:tt)*)?) => {
            tracing::event!(target: "jobs", tracing::Level::$level, { $($($fields)*)? }, $message)
        };
    }
    /// An item's run, as a number or nothing.
    fn number(run: Option<RunId>) -> Option<u64> {
        run.map(RunId::number)
    }
    match event {
        Event::TickFired { job, tick, run, late_by } => {
            at!(INFO, "tick fired", job = job, tick = %tick, run = run.number(), late_by_ms = late_by.as_millis());
        }
        Event::TickSkipped { job, tick, reason } => {
            at!(INFO, "tick skipped", job = job, tick = %tick, reason = ?reason);
        }
        Event::TicksMissed { job, first, last, count } => {
            at!(WARN, "ticks missed", job = job, first = %first, last = %last, count = count);
        }
        Event::RunStarted { job, run, trigger } => {
            at!(INFO, "run started", job = job, run = run.number(), trigger = ?trigger);
        }
        Event::RunFilled { job, run, total } => {
            at!(INFO, "run filled", job = job, run = run.number(), total = total);
        }
        Event::RunFinished(report) => {
            let counts = report.counts;
            at!(INFO, "run finished", job = report.job, run = report.id.number(), state = ?report.state,
                total = counts.total, ok = counts.ok, dead = counts.dead, retries = counts.retries);
        }
        Event::AttemptStarted { job, run, item, attempt } => {
            at!(DEBUG, "attempt started", job = job, run = number(*run), item = %item, attempt = attempt);
        }
        Event::AttemptFailed { job, run, item, failure } => {
            at!(WARN, "attempt failed", job = job, run = number(*run), item = %item, attempt = failure.attempt,
                kind = ?failure.kind, error = failure.message, retry_at = failure.retry_at.map(tracing::field::display));
        }
        Event::ItemDone { job, run, item, attempt, duration } => {
            at!(DEBUG, "item done", job = job, run = number(*run), item = %item, attempt = attempt,
                duration_us = duration.as_micros());
        }
        Event::ItemDead { job, run, item, failure } => {
            at!(ERROR, "item dead", job = job, run = number(*run), item = %item, kind = ?failure.kind,
                error = failure.message);
        }
        Event::LeaseLost { job, run, item } => {
            at!(WARN, "lease lost", job = job, run = number(*run), item = %item);
        }
        Event::LockLost { name } => at!(WARN, "lock lost", name = name),
        Event::LeaderGained => at!(INFO, "leader gained"),
        Event::LeaderLost => at!(INFO, "leader lost"),
        Event::NodeLost { node } => at!(WARN, "node lost", node = node),
        Event::StoreLost { message } => at!(ERROR, "store lost", error = message),
        Event::ClockAhead { what, by } => at!(WARN, "clock ahead", what, by = ?by),
        Event::StoreBack { after } => at!(INFO, "store back", after_ms = after.as_millis()),
        Event::Paused { pattern, note } => at!(INFO, "paused", pattern = pattern, note = note),
        Event::Resumed { pattern } => at!(INFO, "resumed", pattern = pattern),
        Event::Lagged(_) => {}
    }
}
