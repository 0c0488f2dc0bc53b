//! A running runner.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jobs_core::{AsJob, Attached, notice};

use crate::{
    aside,
    builder::RunnerBuilder,
    client::{Client, RunRequest},
    dispatcher, ending,
    env::Tasks,
    error::{ClientError, ShutdownError, StartError},
    event::Events,
    heartbeat,
    lease::Revoked,
    node::{Node, Phase},
    registry::suggest,
    scheduler, signals, upkeep,
};

/// A running runner: it fires ticks, finds items, works on them and settles them, until it is shut down.
///
/// Dropping it is like a crash, but for its leases: they go back at once if the store answers.
#[derive(Debug)]
#[must_use = "a runner that is dropped stops"]
pub struct Runner {
    node: Arc<Node>,
    client: Client,
    grace: Duration,
    /// The scheduler, the heartbeat and the like, apart from the workers.
    loops: Tasks,
    /// Whether it ended as a crash does, for the harness.
    crashed: AtomicBool,
}

impl Runner {
    /// Puts a runner together.
    pub fn builder() -> RunnerBuilder {
        RunnerBuilder::default()
    }

    /// Starts a runner of all jobs that are linked, with the store of `JOBS_STORE` or in memory.
    ///
    /// # Errors
    /// Everything that stands in the way, at once.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    pub(crate) fn started(node: Arc<Node>, client: Client, attached: Attached, grace: Duration) -> Self {
        let loops = node.tasks.beside();
        loops.spawn(heartbeat::run(node.clone()));
        loops.spawn(heartbeat::watch_trust(node.clone()));
        loops.spawn(dispatcher::run(node.clone()));
        loops.spawn(ending::run(node.clone()));
        loops.spawn(aside::run(node.clone()));
        loops.spawn(scheduler::run(node.clone(), attached));
        loops.spawn(upkeep::run(node.clone()));
        Self { node, client, grace, loops, crashed: AtomicBool::new(false) }
    }

    /// Reads and steers the jobs of this runner's store.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What happens in this process, from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        self.node.bus.events()
    }

    /// The name of this process, as people see it.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node.name
    }

    /// Runs a job now, and does not move its schedule: the same as [`Client::run`].
    pub fn run(&self, job: impl AsJob) -> RunRequest {
        self.client.run(job)
    }

    /// This runner fires no more ticks of this job, for as long as it lives; work goes on.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`] if this runner does not run it.
    pub fn stop(&self, job: impl AsJob) -> Result<(), ClientError> {
        let job = job.as_job();
        match self.node.desks.get_key_value(job) {
            Some((id, _)) => {
                self.node.stop_ticks([id.clone()]);
                Ok(())
            }
            None => {
                let suggestion = suggest(job, self.node.desks.keys().map(|id| &**id));
                Err(ClientError::UnknownJob { job: job.to_owned(), suggestion })
            }
        }
    }

    /// This runner fires no more ticks, for as long as it lives; work goes on.
    pub fn stop_all(&self) {
        self.node.stop_ticks(self.node.desks.keys().cloned());
    }

    /// Waits until the process is told to end (SIGINT or SIGTERM, which are handled only here) or the runner is shut
    /// down, and ends it within its grace. A second signal ends it at once.
    ///
    /// If attempts remain one second after the grace, or the store no longer answers, the process exits with code 1:
    /// nothing else can end a handler that blocks.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown), and [`ShutdownError::Forced`] after a second signal: drop the runner then, which
    /// drops what still runs.
    pub async fn wait(&self) -> Result<(), ShutdownError> {
        let mut signals = signals::Signals::new();
        tokio::select! {
            biased;
            () = signals.next() => {}
            () = self.node.reached(Phase::Closed) => return Ok(()),
        }
        tracing::info!(target: "jobs", grace_ms = self.grace.as_millis(), "told to end; running attempts may finish");
        tokio::select! {
            biased;
            () = signals.next() => {
                if self.node.attempts.is_blocked() {
                    // The runtime would wait for them without end.
                    exit("blocking handlers remain");
                }
                Err(ShutdownError::Forced)
            }
            ended = self.shut_down_or_exit() => ended,
        }
    }

    async fn shut_down_or_exit(&self) -> Result<(), ShutdownError> {
        let (node, ended) = (&self.node, self.shutdown(self.grace).await);
        idle_within(node, Duration::from_secs(1), || false).await;
        match (node.attempts.is_blocked(), node.is_busy()) {
            (true, _) => exit("blocking handlers remain"),
            (false, true) => exit("attempts remain that do not end"),
            (false, false) if while_answered(node, node.reached(Phase::Closed)).await => ended,
            (false, false) => exit("the store does not answer"),
        }
    }

    /// Ends the runner: no ticks and no new leases from now on; running attempts have this long, and are dropped
    /// then. What is not done goes back at once, uncharged.
    ///
    /// A blocking handler cannot be dropped. Its item stays with this process until it ends, and is settled then.
    ///
    /// # Errors
    /// [`ShutdownError::GraceExceeded`] if attempts had to be dropped, or are still blocking.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        // On a task of its own: it goes on when nobody waits for it any more.
        let (done, ended) = tokio::sync::oneshot::channel();
        let end = end(self.node.clone(), self.loops.clone(), grace);
        self.node.tasks.spawn(async move {
            // Whoever asked may have gone.
            let _unheard = done.send(end.await);
        });
        ended.await.unwrap_or(Err(ShutdownError::Forced))
    }

    /// Stops at once, as a crash would.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) async fn crash(&self) {
        self.crashed.store(true, Ordering::Release);
        self.loops.stop();
        self.node.tasks.stop();
        self.loops.ended().await;
        self.node.tasks.ended().await;
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn session(&self) -> jobs_core::SessionId {
        self.node.session
    }
}

/// Ends the process, and says why.
fn exit(why: &str) -> ! {
    notice::warn("exit", format_args!("{why}; the process is ended"));
    std::process::exit(1);
}

/// Ends a runner: see [`Runner::shutdown`].
async fn end(node: Arc<Node>, loops: Tasks, grace: Duration) -> Result<(), ShutdownError> {
    node.shutting_down.store(true, Ordering::Release);
    node.enter(Phase::Draining);
    node.return_unstarted();
    idle_within(&node, grace, || false).await;
    let cancelled = node.slots.taken() as u64;
    if cancelled > 0 {
        node.revoke(|_| true, Revoked::Shutdown);
        idle_within(&node, DROPPED_WITHIN, || node.attempts.only_blocking()).await;
    }
    node.enter(Phase::Ended);
    let (last, all) = (node.clone(), loops.clone());
    let detach = async move {
        all.ended().await;
        // A session with results that are not settled has not ended in order: it ends with its lease.
        if last.aside.is_empty() {
            last.detach().await;
        }
        last.close();
    };
    if node.is_busy() {
        node.tasks.spawn(detach);
    } else if !while_answered(&node, detach).await {
        notice::warn("unsettled", "the store does not answer; what is not settled is done again");
        loops.stop();
        node.close();
    }
    if cancelled > 0 { Err(ShutdownError::GraceExceeded { cancelled }) } else { Ok(()) }
}

/// Waits until no attempt runs, for so long at the most, or until `enough`.
async fn idle_within(node: &Node, time: Duration, enough: impl Fn() -> bool) {
    let until = node.env.uptime().saturating_add(time);
    loop {
        // The waiter is made before the look, so that no end is missed in between.
        let freed = node.slots.freed();
        let left = until.saturating_sub(node.env.uptime());
        if !node.is_busy() || enough() || left.is_zero() {
            return;
        }
        tokio::select! {
            biased;
            () = freed => {}
            () = node.env.sleep(left) => {}
        }
    }
}

/// Waits for what the store has to answer, for as long as it answers anything, and not for ever. Returns whether it was done.
async fn while_answered(node: &Node, done: impl Future<Output = ()>) -> bool {
    let (mut done, began) = (pin!(done), node.env.uptime());
    loop {
        let until = (node.answered_at().max(began) + SETTLED_WITHIN).min(began + SETTLED_AT_LAST);
        let left = until.saturating_sub(node.env.uptime());
        if left.is_zero() {
            return false;
        }
        tokio::select! {
            biased;
            () = &mut done => return true,
            () = node.env.sleep(left) => {}
        }
    }
}

/// An attempt that is told to end is dropped within this, unless it blocks.
const DROPPED_WITHIN: Duration = Duration::from_millis(500);
/// A store that has answered nothing for so long settles the last results no more.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
/// Also one that answers has no longer than this.
const SETTLED_AT_LAST: Duration = Duration::from_secs(60);

impl Drop for Runner {
    fn drop(&mut self) {
        // After a shutdown the loops end by themselves, when the last blocking handler does.
        if self.node.phase() >= Phase::Ended {
            return;
        }
        self.node.enter(Phase::Ended);
        self.loops.stop();
        self.node.tasks.stop();
        if self.crashed.load(Ordering::Acquire) {
            return;
        }
        let (node, loops) = (self.node.clone(), self.loops.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                loops.ended().await;
                node.tasks.ended().await;
                // A blocking handler goes on; nobody else may have its item before it ends.
                node.env.unblocked().await;
                node.detach().await;
                node.close();
            });
        }
    }
}
