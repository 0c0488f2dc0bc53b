//! A harness that runs.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use jobs_core::{AsJob, DeadFilter, DeadItem, Process, RunReport, SessionId};

use super::time::Time;
use crate::{
    builder::{Hooks, RunnerBuilder},
    client::Client,
    env::Env,
    error::{ClientError, ShutdownError, StartError},
    event::Event,
    lock::lock,
    runner::Runner,
};

type Build = Box<dyn Fn(&str) -> RunnerBuilder + Send + Sync>;

/// Runners on virtual time. Time stands still until it is advanced.
pub struct Running {
    nodes: BTreeMap<String, Life>,
    client: Client,
    record: Arc<Mutex<Vec<Event>>>,
    build: Build,
    starts: AtomicU64,
    time: Time,
}

/// The runners that a node has been, one after the other.
struct Life {
    runner: Runner,
    next: OnceLock<Box<Life>>,
}

impl Life {
    fn new(runner: Runner) -> Self {
        Self { runner, next: OnceLock::new() }
    }

    fn latest(&self) -> &Self {
        let mut life = self;
        while let Some(next) = life.next.get() {
            life = next;
        }
        life
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running")
            .field("now", &self.now())
            .field("nodes", &self.nodes.keys())
            .finish_non_exhaustive()
    }
}

impl Running {
    pub(super) async fn start(
        time: Time,
        names: Vec<String>,
        build: Build,
        record: Arc<Mutex<Vec<Event>>>,
    ) -> Result<Self, StartError> {
        let starts = AtomicU64::new(0);
        let mut nodes = BTreeMap::new();
        for name in names {
            let runner = start(&name, &build, &record, &starts, Vec::new()).await?;
            nodes.insert(name, Life::new(runner));
        }
        let client = nodes.values().next().map(|life| life.runner.client().clone());
        let Some(client) = client else { return Err(StartError::new(Vec::new())) };
        let running = Self { nodes, client, record, build, starts, time };
        running.time.settle().await;
        Ok(running)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.time.now().timestamp()
    }

    /// Reads and steers the jobs, as in production.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The runner of a node, the latest if it was restarted.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn runner(&self, node: &str) -> &Runner {
        &self.life(node).runner
    }

    #[allow(clippy::panic)]
    fn life(&self, node: &str) -> &Life {
        match self.nodes.get(node) {
            Some(life) => life.latest(),
            None => {
                panic!("no node is named `{node}`; there are {:?}", self.nodes.keys().collect::<Vec<_>>())
            }
        }
    }

    /// Lets this much time pass: all that is due happens, in order, up to and including what is due at the end. A
    /// handler that waits for something else than time holds nothing up.
    pub async fn advance(&self, time: Duration) {
        self.time.advance_to(self.time.now() + time).await;
    }

    /// Lets time pass until this instant; at once if it is past.
    pub async fn advance_to(&self, target: Timestamp) {
        self.time.advance_to(target.into()).await;
    }

    /// Lets time pass until the next tick of a job, and gives that instant.
    ///
    /// # Panics
    /// If there is no such job, or no next tick.
    #[allow(clippy::panic)]
    pub async fn advance_to_next(&self, job: impl AsJob) -> Timestamp {
        let job = job.as_job();
        match self.client.next_ticks(job, 1).await {
            Ok(next) if !next.is_empty() => {
                self.advance_to(next[0]).await;
                next[0]
            }
            Ok(_) => panic!("`{job}` has no next tick"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs a job by hand, to its end, retries included: through JSON and the store, as in production. Time passes
    /// as far as it needs, and what else is due meanwhile happens.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub async fn run(&self, job: impl AsJob) -> Result<RunReport, ClientError> {
        let handle = self.client.run(job).await?;
        self.time.run_until(handle.wait()).await
    }

    /// The ticks of a job that fired, oldest first.
    #[must_use]
    pub fn fired(&self, job: impl AsJob) -> Vec<Timestamp> {
        let job = job.as_job();
        let fired = |event: &Event| match event {
            Event::TickFired { job: of, tick, .. } if of == job => Some(*tick),
            _ => None,
        };
        lock(&self.record).iter().filter_map(fired).collect()
    }

    /// All that has happened, on all nodes, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        lock(&self.record).clone()
    }

    /// The dead items of a job, newest first.
    ///
    /// # Panics
    /// If there is no such job.
    #[allow(clippy::panic)]
    pub async fn dead(&self, job: impl AsJob) -> Vec<DeadItem> {
        match self.client.dead(DeadFilter::new().job(job).limit(usize::MAX)).await {
            Ok(dead) => dead,
            Err(error) => panic!("{error}"),
        }
    }

    /// Shuts a node down, as a deploy does; time passes as far as it needs.
    ///
    /// # Errors
    /// As [`Runner::shutdown`].
    ///
    /// # Panics
    /// If there is no such node.
    pub async fn shutdown(&self, node: &str, grace: Duration) -> Result<(), ShutdownError> {
        self.time.run_until(self.life(node).runner.shutdown(grace)).await
    }

    /// Kills a node: its futures are dropped at once, and it tells the store nothing.
    ///
    /// # Panics
    /// If there is no such node.
    pub async fn crash(&self, node: &str) {
        self.life(node).runner.crash().await;
        self.time.settle().await;
    }

    /// Starts a node again, with the same name and instances; one that runs is killed first. What it held is taken
    /// back at once, as for any process that is known to be gone.
    ///
    /// # Panics
    /// If there is no such node, or if it does not start.
    #[allow(clippy::panic)]
    pub async fn restart(&self, node: &str) {
        let life = self.life(node);
        life.runner.crash().await;
        let gone = vec![life.runner.session()];
        match start(node, &self.build, &self.record, &self.starts, gone).await {
            Ok(runner) => {
                let _ = life.next.set(Box::new(Life::new(runner)));
            }
            Err(error) => panic!("{error}"),
        }
        self.time.settle().await;
    }
}

async fn start(
    name: &str,
    build: &Build,
    record: &Arc<Mutex<Vec<Event>>>,
    starts: &AtomicU64,
    gone: Vec<SessionId>,
) -> Result<Runner, StartError> {
    let start = starts.fetch_add(1, Ordering::Relaxed);
    let hooks = Hooks {
        env: Some(Env::simulated(start)),
        record: Some(record.clone()),
        process: Some(Process { started: start, ..Process::default() }),
        gone,
        quiet: true,
        ..Hooks::default()
    };
    build(name).start_with(hooks).await
}
