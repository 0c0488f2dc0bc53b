//! A running runner.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jobs_core::{AsJob, Attached};

use crate::{
    builder::RunnerBuilder,
    client::{Client, RunRequest},
    dispatcher,
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
        let loops = Tasks::default();
        loops.spawn(heartbeat::run(node.clone()));
        loops.spawn(heartbeat::watch_trust(node.clone()));
        loops.spawn(dispatcher::run(node.clone()));
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
            () = self.node.reached(Phase::Ended) => return Ok(()),
        }
        tracing::info!(target: "jobs", grace_ms = self.grace.as_millis(), "told to end; running attempts may finish");
        tokio::select! {
            biased;
            () = signals.next() => Err(ShutdownError::Forced),
            ended = self.shutdown(self.grace) => {
                if self.node.attempts.count() > 0 {
                    self.node.env.sleep(Duration::from_secs(1)).await;
                    if self.node.attempts.count() > 0 {
                        tracing::error!(target: "jobs", "blocking handlers remain; the process is ended");
                        std::process::exit(1);
                    }
                }
                ended
            }
        }
    }

    /// Ends the runner: no ticks and no new leases from now on; running attempts have this long, and are dropped
    /// then. What is not done goes back at once, uncharged.
    ///
    /// # Errors
    /// [`ShutdownError::GraceExceeded`] if attempts had to be dropped.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        let node = &self.node;
        node.shutting_down.store(true, Ordering::Release);
        node.enter(Phase::Draining);
        node.return_unstarted();
        let until = node.env.uptime() + grace;
        let busy = || node.running.load(Ordering::Acquire) > 0;
        while busy() && node.env.uptime() < until {
            let left = until.saturating_sub(node.env.uptime());
            tokio::select! {
                biased;
                () = node.idle.notified() => {}
                () = node.env.sleep(left) => {}
            }
        }
        let cancelled = node.attempts.count() as u64;
        if cancelled > 0 {
            node.revoke(|_| true, Revoked::Shutdown);
            // Async handlers are dropped at once; blocking ones are left to themselves.
            let dropped = node.env.uptime() + Duration::from_millis(500);
            while busy() && node.env.uptime() < dropped && !node.only_blocking() {
                tokio::select! {
                    biased;
                    () = node.idle.notified() => {}
                    () = node.env.sleep(Duration::from_millis(20)) => {}
                }
            }
        }
        node.enter(Phase::Ended);
        self.loops.ended().await;
        if !busy() && node.store.detach(node.session).await.is_err() {
            tracing::warn!(target: "jobs", "the store does not answer; the session ends with its lease");
        }
        if cancelled > 0 { Err(ShutdownError::GraceExceeded { cancelled }) } else { Ok(()) }
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

impl Drop for Runner {
    fn drop(&mut self) {
        self.loops.stop();
        self.node.tasks.stop();
        if self.crashed.load(Ordering::Acquire) || self.node.phase() == Phase::Ended {
            return;
        }
        self.node.enter(Phase::Ended);
        let (store, session) = (self.node.store.0.clone(), self.node.session);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { store.detach(session).await.map(|_| ()) });
        }
    }
}
