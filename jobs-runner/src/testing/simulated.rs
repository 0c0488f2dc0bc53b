//! One runner under a simulation of the project's own: on a seeded environment and any store, and stopped, frozen and
//! killed from outside. Users have the harness.

use std::{
    any::TypeId,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};

use jobs_core::{Process, SessionId};

use crate::{
    builder::{Hooks, RunnerBuilder},
    env::{Env, Tasks},
    error::StartError,
    event::Event,
    lock::lock,
    runner::Runner,
};

/// One start of one node. Tokio's clock has to be paused.
#[derive(Debug)]
pub struct Simulated {
    runner: Runner,
    gate: Gate,
}

impl Simulated {
    /// Starts a runner whose randomness comes from the seed. `gone`: the sessions of this node that are dead.
    ///
    /// # Errors
    /// As [`RunnerBuilder::start`].
    pub async fn start(
        builder: RunnerBuilder,
        seed: u64,
        gone: Vec<SessionId>,
        record: Arc<Mutex<Vec<Event>>>,
    ) -> Result<Self, StartError> {
        let gate = Gate::default();
        let hooks = Hooks {
            env: Some(Env::simulated(seed)),
            record: Some(record),
            process: Some(Process { started: seed, ..Process::default() }),
            gone,
            quiet: true,
            tasks: Tasks::behind(gate.clone()),
        };
        Ok(Self { runner: builder.start_with(hooks).await?, gate })
    }

    /// Leaves a builder these groups alone: two builds of one program can then be in one test.
    pub fn only_groups(builder: RunnerBuilder, groups: &[(TypeId, &'static str)]) -> RunnerBuilder {
        builder.only_types(groups.to_vec())
    }

    /// The runner.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Its session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.runner.session()
    }

    /// Kills it: its futures are dropped at once, and it tells the store nothing.
    pub async fn crash(&self) {
        self.gate.thaw();
        self.runner.crash().await;
    }

    /// Stops it as SIGSTOP does: time goes on without it.
    pub fn freeze(&self) {
        self.gate.freeze();
    }

    /// Lets it go on as SIGCONT does.
    pub fn thaw(&self) {
        self.gate.thaw();
    }
}

/// While it is closed, the tasks behind it are not polled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    closed: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    fn freeze(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    fn thaw(&self) {
        self.0.closed.store(false, Ordering::Release);
        std::mem::take(&mut *lock(&self.0.waiting)).into_iter().for_each(Waker::wake);
    }
}

/// A future behind a gate, if there is one.
pub(crate) async fn gated<T>(gate: Option<Gate>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| match &gate {
        Some(gate) if gate.0.closed.load(Ordering::Acquire) => {
            lock(&gate.0.waiting).push(cx.waker().clone());
            Poll::Pending
        }
        _ => future.as_mut().poll(cx),
    })
    .await
}
