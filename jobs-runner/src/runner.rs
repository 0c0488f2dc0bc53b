//! A running runner.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jobs_core::{AsJob, Attached, notice};

use crate::{
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

    /// No more ticks of this job are fired by this runner, until it is started again; work goes on.
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

    /// No more ticks are fired by this runner, until it is started again; work goes on.
    pub fn stop_all(&self) {
        self.node.stop_ticks(self.node.desks.keys().cloned());
    }

    /// Waits until the process is told to end (SIGINT or SIGTERM, which are handled only here) or the runner is shut
    /// down, and ends it within its grace. A second signal ends it at once.
    ///
    /// If blocking handlers remain one second after the grace, the process is ended: nothing else can end them.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown), and [`ShutdownError::Forced`] after a second signal.
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
                    notice::warn("blocking", "blocking handlers remain; the process is ended");
                    std::process::exit(1);
                }
                Err(ShutdownError::Forced)
            }
            ended = self.shutdown(self.grace) => {
                self.idle_within(Duration::from_secs(1), || false).await;
                let closed = self.node.reached(Phase::Closed);
                if self.node.is_busy() || tokio::time::timeout(SETTLED_WITHIN, closed).await.is_err() {
                    notice::warn("blocking", "blocking handlers remain; the process is ended");
                    std::process::exit(1);
                }
                ended
            }
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
        let node = &self.node;
        node.shutting_down.store(true, Ordering::Release);
        node.enter(Phase::Draining);
        node.return_unstarted();
        self.idle_within(grace, || false).await;
        let cancelled = node.slots.taken() as u64;
        if cancelled > 0 {
            node.revoke(|_| true, Revoked::Shutdown);
            self.idle_within(DROPPED_WITHIN, || node.attempts.only_blocking()).await;
        }
        node.enter(Phase::Ended);
        let (loops, last) = (self.loops.clone(), node.clone());
        let detach = async move {
            loops.ended().await;
            last.detach().await;
            last.close();
        };
        if node.is_busy() {
            tokio::spawn(detach);
        } else if tokio::time::timeout(SETTLED_WITHIN, detach).await.is_err() {
            notice::warn("unsettled", "the store does not answer; what is not settled is done again");
            self.loops.stop();
            node.close();
        }
        if cancelled > 0 { Err(ShutdownError::GraceExceeded { cancelled }) } else { Ok(()) }
    }

    /// Waits until no attempt runs, for so long at the most, or until `enough`.
    async fn idle_within(&self, time: Duration, enough: impl Fn() -> bool) {
        let node = &self.node;
        let until = node.env.uptime().saturating_add(time);
        loop {
            // The waiter is made before it is looked: an end in between finds it.
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

/// An attempt that is told to end is dropped within this, unless it blocks.
const DROPPED_WITHIN: Duration = Duration::from_millis(500);
/// The last results are settled within this, or not at all.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

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
