//! Putting a harness together.

use std::{
    any::{TypeId, type_name},
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use jobs_core::descriptor::AnyGroup;

use super::{running::Running, time::Time};
use crate::{builder::RunnerBuilder, error::StartError, memory::MemoryStore, registry::Wanted};

type With = Arc<dyn Fn(RunnerBuilder) -> RunnerBuilder + Send + Sync>;

/// Puts runners on virtual time together: exactly the groups it is given, a memory store, and nodes that share the
/// instances.
///
/// Starts at 2026-01-01T00:00:00Z, with one node, `a`. A single node has a lease of two hours and hardly polls:
/// nobody else could take over, and a year passes faster. What goes by the lease is slow with it: history is pruned, and
/// an item that no build can decode is dead, only after hours. Set `lease` to what it is in production where that is the
/// point. A job without a query is bounded by `max_compute_time`, an hour by default, in virtual time too.
#[must_use = "a harness does nothing before it is started"]
pub struct Harness {
    at: Timestamp,
    nodes: usize,
    wanted: Wanted,
    groups: Vec<(TypeId, &'static str)>,
    all_linked: bool,
    with: Vec<With>,
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("at", &self.at).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// One node, and no groups yet.
    pub fn new() -> Self {
        let at = Timestamp::constant(1_767_225_600, 0);
        Self {
            at,
            nodes: 1,
            wanted: Wanted::default(),
            groups: Vec::new(),
            all_linked: false,
            with: Vec::new(),
        }
    }

    /// When it begins.
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// How many nodes there are: `a`, `b` and so on, at most 26.
    pub fn nodes(mut self, n: usize) -> Self {
        self.nodes = n.clamp(1, 26);
        self
    }

    /// A group to run, with this instance (or `Arc` of one).
    pub fn provide<G: Send + Sync + 'static>(mut self, group: G) -> Self {
        self.wanted.provide(group);
        self
    }

    /// A group to run, with the instance that its `Default` makes.
    pub fn group<G: Default + Send + Sync + 'static>(mut self) -> Self {
        self.groups.push((TypeId::of::<G>(), type_name::<G>()));
        self
    }

    /// Runs every group that the test binary links, besides those given.
    pub fn all_linked(mut self) -> Self {
        self.all_linked = true;
        self
    }

    /// Sets anything else of each node's builder.
    pub fn with(mut self, with: impl Fn(RunnerBuilder) -> RunnerBuilder + Send + Sync + 'static) -> Self {
        self.with.push(Arc::new(with));
        self
    }

    /// Stops tokio's clock and starts the nodes.
    ///
    /// # Errors
    /// As [`RunnerBuilder::start`].
    pub async fn start(self) -> Result<Running, StartError> {
        let time = Time::stop(self.at).await;
        let store = MemoryStore::with_clock(time.clock());
        let names = (b'a'..=b'z').map(|letter| char::from(letter).to_string());
        let names: Vec<String> = names.take(self.nodes).collect();
        let provided: Vec<(TypeId, &'static str, AnyGroup)> = self.wanted.provided;
        let types: Vec<_> = provided.iter().map(|(id, name, _)| (*id, *name)).chain(self.groups).collect();
        let (all_linked, with, single) = (self.all_linked, self.with, self.nodes == 1);
        let build = move |name: &str| {
            let mut builder = RunnerBuilder::default().store(store.clone()).node(name);
            if single {
                builder = builder.lease(Duration::from_secs(2 * 3_600));
            }
            // A memory store always tells of work.
            builder = builder.poll_interval(Duration::from_secs(3_600));
            for group in &provided {
                builder = builder.provide_any(group.clone());
            }
            if !all_linked {
                builder = builder.only_types(types.clone());
            }
            with.iter().fold(builder, |builder, with| with(builder))
        };
        Running::start(time, names, Box::new(build), Arc::<Mutex<_>>::default()).await
    }
}
