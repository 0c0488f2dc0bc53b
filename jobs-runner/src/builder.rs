//! Putting a runner together, and starting it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use jobs_core::{Attached, Beat, JobOptions, SessionId, Store, StoreError, StoreSource};

use crate::{
    banner::Banner,
    client::Client,
    control,
    desk::Desk,
    env::{Env, Tasks},
    error::{StartError, StartProblem},
    event::{Bus, Event},
    host,
    node::{Node, Parts},
    registry::{self, Wanted},
    runner::Runner,
    source,
};

/// Puts a runner together. Made by [`Runner::builder`]; nothing is checked before [`start`](Self::start), which
/// says everything that is wrong at once.
#[derive(Debug)]
#[must_use = "a runner does nothing before it is started"]
pub struct RunnerBuilder {
    store: Option<StoreSource>,
    wanted: Wanted,
    max_concurrency: usize,
    namespace: Option<String>,
    node: Option<String>,
    pub(crate) grace: Duration,
    lease: Duration,
    poll: Duration,
}

/// What the harness sets.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) env: Option<Env>,
    pub(crate) record: Option<Arc<Mutex<Vec<Event>>>>,
    pub(crate) process: Option<jobs_core::Process>,
    pub(crate) gone: Vec<SessionId>,
    pub(crate) quiet: bool,
    pub(crate) tasks: Tasks,
}

impl Default for RunnerBuilder {
    fn default() -> Self {
        Self {
            store: None,
            wanted: Wanted::default(),
            max_concurrency: 256,
            namespace: None,
            node: None,
            grace: Duration::from_secs(25),
            lease: Duration::from_secs(15),
            poll: Duration::from_secs(1),
        }
    }
}

impl RunnerBuilder {
    /// Where schedules, runs and items are kept: a URL, or a store that is open. Default: `JOBS_STORE`, or else
    /// memory.
    pub fn store(mut self, store: impl Into<StoreSource>) -> Self {
        self.store = Some(store.into());
        self
    }

    /// The instance of a group, or an `Arc` of it. A type with `Default` needs none.
    pub fn provide<G: Send + Sync + 'static>(mut self, group: G) -> Self {
        self.wanted.provide(group);
        self
    }

    /// Options for all jobs, weaker than what the attributes say.
    pub fn defaults(mut self, options: JobOptions) -> Self {
        self.wanted.defaults = options;
        self
    }

    /// Options for the jobs of a pattern (`"group.job"`, `"group.*"` or `"*"`), stronger than what the attributes
    /// say; of two the later is stronger. A pattern that names nothing is an error at start.
    pub fn configure(mut self, pattern: &str, options: JobOptions) -> Self {
        self.wanted.configured.push((pattern.to_owned(), options));
        self
    }

    /// Runs only the jobs of these patterns: all others are not built, need no instance, and are not known to the
    /// store from here.
    pub fn only(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.wanted.only.get_or_insert_default().extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Attempts at once in this process. Default 256.
    pub fn max_concurrency(mut self, attempts: usize) -> Self {
        self.max_concurrency = attempts;
        self
    }

    /// The namespace in the store: nothing is shared between two. Default: `JOBS_NAMESPACE`, or `jobs`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// The name of this process, as people see it. Default: `JOBS_NODE`, or the host's name and a random part.
    pub fn node(mut self, name: &str) -> Self {
        self.node = Some(name.to_owned());
        self
    }

    /// How long running attempts may go on when [`Runner::wait`] is told to end. Default 25 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long the store takes this process for alive without a sign of life. Default 15 s, at least 500 ms.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How often to look for work that the store did not tell of. Default 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// Starts the runner: it fires, finds, works and settles until it is shut down.
    ///
    /// # Errors
    /// Everything that stands in the way, at once, each with its place in the source where it has one.
    pub async fn start(self) -> Result<Runner, StartError> {
        self.start_with(Hooks::default()).await
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn only_types(mut self, types: Vec<(std::any::TypeId, &'static str)>) -> Self {
        self.wanted.types = Some(types);
        self
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn provide_any(
        mut self,
        provided: (std::any::TypeId, &'static str, jobs_core::descriptor::AnyGroup),
    ) -> Self {
        self.wanted.provided.push(provided);
        self
    }

    pub(crate) async fn start_with(self, hooks: Hooks) -> Result<Runner, StartError> {
        let mut problems = self.check();
        let jobs = registry::build(&self.wanted).unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        });
        let store_source = self.store.clone().unwrap_or_else(source::from_environment);
        let opened = match source::open(store_source, self.namespace.as_deref()).await {
            Ok(opened) if problems.is_empty() => opened,
            Ok(_) => return Err(StartError::new(problems)),
            Err(error) => {
                problems.push(error.into());
                return Err(StartError::new(problems));
            }
        };
        let (env, bus) = (hooks.env.unwrap_or_else(Env::real), Bus::new(hooks.record));
        let name = self.node.clone().or_else(|| set("JOBS_NODE")).unwrap_or_else(|| host::node_name(&env));
        let build = host::build(&jobs);
        let process = hooks.process.unwrap_or_else(host::process);
        let info = jobs_core::Node { name, host: host::name(), process, build };
        let desks: BTreeMap<_, _> =
            jobs.into_iter().map(|job| (job.id.clone(), Arc::new(Desk::new(job)))).collect();
        let node = Arc::new(Node::new(Parts {
            session: SessionId(env.random()),
            env,
            store: opened.store.clone(),
            info,
            lease: self.lease,
            poll: self.poll,
            max_concurrency: self.max_concurrency,
            desks,
            bus,
            tasks: hooks.tasks,
        }));
        let mut banner = Banner::new(&node, &opened.title);
        let mut attached =
            attach(&node, hooks.gone).await.map_err(|error| StartError::new(vec![error.into()]))?;
        banner.found(&node, &attached);
        if let Some(jobs) = node.ask("list its jobs", node.store.jobs()).await {
            banner.left(&jobs);
        }
        if !hooks.quiet {
            banner.show();
            node.compare_clocks();
        }
        let store: Arc<dyn Store> = opened.store;
        let client = Client::of_runner(store, node.env.clone(), node.poll);
        node.reaped(std::mem::take(&mut attached.reaped));
        Ok(Runner::started(node, client, attached, self.grace))
    }

    /// What is wrong with the builder itself.
    fn check(&self) -> Vec<StartProblem> {
        let mut problems = Vec::new();
        let mut bad = |key: &str, message: &str| {
            let (job, key, message) = ("the runner".to_owned(), key.to_owned(), message.to_owned());
            problems.push(StartProblem::BadOption { job, key, message });
        };
        if self.lease < Duration::from_millis(500) {
            bad("lease", "a lease is at least 500 ms, or a slow moment would look like a death");
        }
        if self.max_concurrency == 0 {
            bad("max_concurrency", "0 would never run anything; use 1 or more");
        }
        if self.poll.is_zero() {
            bad("poll_interval", "0 would never rest; use 1 ms or more");
        }
        problems
    }
}

/// Opens the session, brings the pauses of the code into force, and learns what is paused.
async fn attach(node: &Arc<Node>, gone: Vec<SessionId>) -> Result<Attached, StoreError> {
    let sessions = node.store.sessions().await?.value;
    let gone = [gone, host::gone(&sessions, &node.info)].concat();
    let mut began = node.env.uptime();
    let mut attached = node.clock.observe(node.store.attach(node.attach(gone.clone())).await?, began);
    // What sessions held that are gone may be more than one step takes back.
    while attached.reaped.more {
        began = node.env.uptime();
        let more = node.clock.observe(node.store.attach(node.attach(gone.clone())).await?, began);
        attached.reaped.add(more.reaped);
    }
    if let Err(error) = learn_pauses(node).await {
        // Nobody would beat for it.
        node.detach().await;
        return Err(error);
    }
    node.trust.renew(began);
    Ok(attached)
}

async fn learn_pauses(node: &Node) -> Result<(), StoreError> {
    let links: Vec<_> = node.desks.values().map(|desk| desk.job.link.clone()).collect();
    control::obey_code(&**node.store, &links).await?;
    let asked = node.env.uptime();
    let beat = Beat { session: node.session, held: None, as_of: node.clock.now(), reconnected: false };
    let pulse = node.clock.observe(node.store.beat(beat).await?, asked);
    node.set_paused(pulse.paused);
    Ok(())
}

fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}
