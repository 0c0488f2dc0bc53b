//! Calling the database: one transaction per operation, within its deadline, tried again where that helps.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jobs_core::{BoxFuture, Marks, Millis, Reply, StoreError, StoreResult, notice};
use sqlx::PgPool;

use crate::{
    connection::{Lent, Lock, Preamble},
    fault::{Done, Fault},
    notifying::Notifier,
    options::{Pooler, Settings},
    schema::{self, Prepared},
    space::{Space, Spaces},
    step::Step,
};

/// What a step does with what it is given.
pub(crate) type Work<A, T> = for<'s> fn(&'s mut Step, &'s A) -> BoxFuture<'s, Done<T>>;

/// How many chunks of what was dropped are deleted in one transaction.
const SWEEP: i64 = 256;

/// What all clones of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: PgPool,
    /// The server and the schema, as they may be shown.
    pub(crate) location: String,
    pub(crate) preamble: Preamble,
    pub(crate) settings: Settings,
    pub(crate) spaces: Arc<Spaces>,
    pub(crate) notifier: Arc<Notifier>,
}

/// What came of a transaction.
struct Committed<T> {
    now: Millis,
    value: T,
    marks: Marks,
    /// Whether something was dropped in one piece, and is still to be deleted.
    dropped: bool,
}

impl Shared {
    /// Does an operation. On a task of its own, so that a caller who does not wait any more leaves nothing half done.
    pub(crate) fn call<A, T>(
        self: &Arc<Self>,
        space: Arc<Space>,
        offset: i64,
        lock: Lock,
        given: A,
        work: Work<A, T>,
    ) -> StoreResult<'static, T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let this = self.clone();
        Box::pin(async move {
            let task = tokio::spawn(async move { this.persist(&space, offset, lock, &given, work).await });
            match task.await {
                Ok(done) => done,
                Err(error) => Err(StoreError::Backend(error.into())),
            }
        })
    }

    /// Tries until it is done, or the deadline has passed.
    async fn persist<A: Sync, T: Send>(
        self: &Arc<Self>,
        space: &Arc<Space>,
        offset: i64,
        mut lock: Lock,
        given: &A,
        work: Work<A, T>,
    ) -> Result<Reply<T>, StoreError> {
        let began = Instant::now();
        let deadline = self.settings.deadline;
        let mut wait = Duration::from_millis(1);
        loop {
            let left = deadline.saturating_sub(began.elapsed());
            let attempt = self.attempt(space, offset, lock, given, work);
            let late = |_| Err(Fault::Late(deadline.as_millis()));
            let fault = match tokio::time::timeout(left, attempt).await.unwrap_or_else(late) {
                Ok(committed) => return Ok(self.tell(space, committed)),
                Err(fault) => fault,
            };
            if matches!(fault, Fault::Alone) {
                lock = Lock::Alone;
                continue;
            }
            if fault.is_missing() && self.is_made_anew().await {
                self.spaces.forget_ids();
                continue;
            }
            if fault.is_disconnected() || matches!(fault, Fault::Unsure) {
                self.spaces.forget_ids();
            }
            let again = fault.is_conflict() || fault.is_disconnected();
            if !again || began.elapsed() + wait >= deadline {
                return Err(fault.told(&self.location));
            }
            // Those who were in each other's way must not meet again.
            tokio::time::sleep(wait.mul_f64(fastrand::f64())).await;
            wait = (wait * 2).min(Duration::from_millis(100));
        }
    }

    /// Makes the schema anew, if somebody has dropped it under this process, or has put an older one in its place. Returns
    /// whether the operation may be tried again.
    async fn is_made_anew(&self) -> bool {
        let connect = self.pool.connect_options();
        match schema::prepare_at(&connect, &self.settings, &self.location).await {
            Ok(Prepared::Made) => {
                let lost =
                    "was dropped while it was in use, and is made anew: everything that was in it is lost";
                notice::warn("schema", format!("{}: the schema {lost}", self.location));
                true
            }
            Ok(Prepared::Migrated) => true,
            Ok(Prepared::There) | Err(_) => false,
        }
    }

    /// One transaction.
    async fn attempt<A: Sync, T: Send>(
        &self,
        space: &Space,
        offset: i64,
        lock: Lock,
        given: &A,
        work: Work<A, T>,
    ) -> Done<Committed<T>> {
        let ns = match space.id() {
            Some(ns) => ns,
            None => self.look_up(space).await?,
        };
        let mut step = self.begin(lock, ns, offset).await?;
        let done = match work(&mut step, given).await {
            Ok(value) => step.restore_tallies().await.map(|()| value),
            fault => fault,
        };
        let Step { conn, now, marks, dropped, .. } = step;
        match done {
            Ok(value) => {
                conn.commit().await.map_err(Fault::of_commit)?;
                Ok(Committed { now, value, marks, dropped })
            }
            // The connection is as good as it was.
            Err(fault) if !fault.is_disconnected() => {
                // If that fails too, the connection is closed.
                let _closed = conn.roll_back().await;
                Err(fault)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn begin(&self, lock: Lock, ns: i32, offset: i64) -> Done<Step> {
        let mut conn = Lent::from(&self.pool).await?;
        let Millis(clock) = conn.begin(self.preamble.text(lock, ns)).await?;
        let prepared = self.settings.pooler == Pooler::Session;
        Ok(Step::new(conn, lock, ns, Millis(clock.saturating_add(offset)), prepared))
    }

    /// Finds the number of a namespace; one that nobody has used yet gets one.
    async fn look_up(&self, space: &Space) -> Done<i32> {
        let mut step = self.begin(Lock::Shared, 0, 0).await?;
        let id = step.namespace_id(&space.name).await?;
        step.conn.commit().await?;
        space.set_id(id);
        Ok(id)
    }

    /// Tells those who wait, and cleans up behind the caller's back.
    fn tell<T>(self: &Arc<Self>, space: &Arc<Space>, committed: Committed<T>) -> Reply<T> {
        let Committed { now, value, marks, dropped } = committed;
        space.raise(marks);
        self.notifier.tell(&space.name, marks);
        if dropped {
            tokio::spawn(self.clone().sweep(space.clone()));
        }
        Reply { now, value }
    }

    /// Deletes what was dropped. What is left when this fails is deleted when somebody prunes.
    async fn sweep(self: Arc<Self>, space: Arc<Space>) {
        let sweep: Work<i64, bool> = |step, limit| Box::pin(step.sweep(*limit));
        while let Ok(Committed { value: true, .. }) =
            self.attempt(&space, 0, Lock::Shared, &SWEEP, sweep).await
        {}
    }
}
