//! What an attempt knows about itself.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{ItemId, RunId, Trigger};

/// What an attempt knows about itself: its job, run, item and attempt, and whether it should stop.
///
/// A handler or query takes it by reference, `&JobContext`, as its first or second parameter. It is cheap to
/// clone and needs no store: a unit test makes one with [`JobContext::test`].
#[derive(Clone, Debug)]
pub struct JobContext {
    delivery: Arc<Delivery>,
    attempt: Arc<Attempt>,
}

/// What the attempts of one lease have in common.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Delivery {
    pub job: Arc<str>,
    pub run: Option<RunId>,
    pub trigger: Trigger,
    pub tick: Option<Timestamp>,
    pub attempt: u32,
    pub max_attempts: u32,
    pub redelivered: u32,
    pub enqueued_at: Timestamp,
    pub token: u64,
    pub node: Arc<str>,
    pub shutting_down: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Attempt {
    item: ItemId,
    started_at: Timestamp,
    deadline: Option<Timestamp>,
    cancelled: AtomicBool,
    cancel: Notify,
}

impl JobContext {
    /// The job's id, `group.name`.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.delivery.job
    }

    /// The group's name.
    #[must_use]
    pub fn group(&self) -> &str {
        self.job().split('.').next().unwrap_or_default()
    }

    /// The run this attempt belongs to; `None` for an item that was enqueued one by one.
    #[must_use]
    pub fn run_id(&self) -> Option<RunId> {
        self.delivery.run
    }

    /// The item. It is the same at every attempt, so it serves as an idempotency key.
    #[must_use]
    pub fn item_id(&self) -> ItemId {
        self.attempt.item
    }

    /// What made the run.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.delivery.trigger
    }

    /// The scheduled instant; `None` when run by hand or enqueued.
    #[must_use]
    pub fn tick(&self) -> Option<Timestamp> {
        self.delivery.tick
    }

    /// Which attempt this is, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.delivery.attempt
    }

    /// How many attempts there can be: `retries` + 1.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.delivery.max_attempts
    }

    /// How often the item was held by a node that died or lost its lease, charged or not.
    #[must_use]
    pub fn redelivered(&self) -> u32 {
        self.delivery.redelivered
    }

    /// When the item was stored.
    #[must_use]
    pub fn enqueued_at(&self) -> Timestamp {
        self.delivery.enqueued_at
    }

    /// When this attempt began, by the store's clock.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.attempt.started_at
    }

    /// When this attempt is dropped; `None` if nothing bounds it.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.attempt.deadline
    }

    /// The lease's fencing number: it grows with every delivery in the namespace, over restarts and failovers.
    /// A resource that remembers the largest it has seen can refuse a handler whose lease is lost.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.delivery.token
    }

    /// The node on which the attempt runs.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.delivery.node
    }

    /// Whether the attempt was cancelled: by [`cancel`](Self::cancelled), a timeout, a lost lease or the end of
    /// the grace at shutdown. An async handler is dropped at its next await; a blocking one has to look here.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.attempt.cancelled.load(Ordering::Acquire)
    }

    /// Waits until the attempt is cancelled.
    pub async fn cancelled(&self) {
        // The waiter is made before the flag is read: a cancel in between finds it.
        let cancel = self.attempt.cancel.notified();
        if !self.is_cancelled() {
            cancel.await;
        }
    }

    /// Whether the runner is shutting down: a long handler may come to an end early, within the grace.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.delivery.shutting_down.load(Ordering::Acquire)
    }

    /// A context for a unit test: job `test.job`, first attempt, not cancelled.
    ///
    /// ```
    /// # use jobs_core::JobContext;
    /// let cx = JobContext::test().with_attempt(3);
    /// assert_eq!((cx.job(), cx.attempt()), ("test.job", 3));
    /// ```
    #[must_use]
    pub fn test() -> Self {
        let delivery = Delivery {
            job: "test.job".into(),
            run: Some(RunId::new(1)),
            trigger: Trigger::Manual,
            tick: None,
            attempt: 1,
            max_attempts: 1,
            redelivered: 0,
            enqueued_at: Timestamp::UNIX_EPOCH,
            token: 1,
            node: "test".into(),
            shutting_down: Arc::default(),
        };
        Self::new(Arc::new(delivery), ItemId::new(1, 0), Timestamp::UNIX_EPOCH, None)
    }

    /// The same at another attempt, counted from 1.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        let delivery = Arc::make_mut(&mut self.delivery);
        delivery.attempt = attempt;
        delivery.max_attempts = delivery.max_attempts.max(attempt);
        self
    }

    /// The same for a scheduled instant.
    #[must_use]
    pub fn with_tick(mut self, tick: Timestamp) -> Self {
        let delivery = Arc::make_mut(&mut self.delivery);
        (delivery.tick, delivery.trigger) = (Some(tick), Trigger::Schedule);
        self
    }

    /// The same, already cancelled.
    #[must_use]
    pub fn with_cancelled(self) -> Self {
        self.cancel();
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub fn new(
        delivery: Arc<Delivery>,
        item: ItemId,
        started_at: Timestamp,
        deadline: Option<Timestamp>,
    ) -> Self {
        let (cancelled, cancel) = (AtomicBool::new(false), Notify::const_new());
        Self { delivery, attempt: Arc::new(Attempt { item, started_at, deadline, cancelled, cancel }) }
    }

    #[doc(hidden)]
    pub fn cancel(&self) {
        self.attempt.cancelled.store(true, Ordering::Release);
        self.attempt.cancel.notify_waiters();
    }
}
