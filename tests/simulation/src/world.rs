//! A world: nodes, a store, and a seeded stretch of trouble, after which all has to come to rest.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use jobs_core::{DeadFilter, DeadItem, JobRecord, RunFilter, RunReport, SessionRecord, Store, TickInfo};
use jobs_runner::MemoryStore;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::sleep,
};

use crate::{
    clock::Clock,
    faulty::{Faulty, at_once},
    hints::Hints,
    jobs::{JOBS, Outside, mix},
    log::{Entry, Log, Step, What},
    nemesis::{self, Deed},
    node::{Command, Settings, Supervisor},
    wire::{Cut, Weather, Wire},
};

/// What a world was, and what it left behind.
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) entries: Vec<Entry>,
    pub(crate) store: Left,
}

/// What the store holds in the end.
#[derive(Debug, Default)]
pub(crate) struct Left {
    pub(crate) jobs: Vec<JobRecord>,
    pub(crate) runs: Vec<RunReport>,
    /// Per schedule, oldest first.
    pub(crate) ticks: Vec<(Arc<str>, Vec<TickInfo>)>,
    pub(crate) dead: Vec<DeadItem>,
    /// Sessions that hold items, and how many.
    pub(crate) held: Vec<SessionRecord>,
}

/// After the trouble ticks go on for this long.
const CALM: Duration = Duration::from_secs(45);
/// Then all has to come to rest within this.
const REST: Duration = Duration::from_secs(180);
/// An item that nobody can decode may wait for a deploy.
const REST_UNDECODABLE: Duration = Duration::from_secs(20 * 60);

/// Lets the world of a seed happen.
pub(crate) fn run(seed: u64) -> World {
    // What nodes have to say of a bad network is in the log already; without a subscriber it would be on stderr.
    let _ = tracing::subscriber::set_global_default(tracing::subscriber::NoSubscriber::new());
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // Without I/O and threads there is nothing that a seed does not decide.
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime can be built");
    runtime.block_on(happen(seed))
}

struct Cast {
    log: Arc<Log>,
    store: MemoryStore,
    wires: Vec<Arc<Wire>>,
    nodes: Vec<UnboundedSender<Command>>,
    outside: Arc<Outside>,
}

async fn happen(seed: u64) -> World {
    let mut random = fastrand::Rng::with_seed(mix(&[seed, 1]));
    let settings = settings(seed, &mut random);
    let log = Arc::new(Log::new(Clock::start()));
    log.note(format!("{settings:?}"));
    let cast = begin(&settings, log, &mut random);

    tokio::select! {
        biased;
        () = cast.log.gives_up.notified() => {}
        () = cast.play(&settings, &mut random) => {}
    }
    let (store, entries) = (cast.left(), cast.log.take());
    World { settings, entries, store }
}

fn settings(seed: u64, random: &mut fastrand::Rng) -> Settings {
    let mut jobs = JOBS.to_vec();
    random.shuffle(&mut jobs);
    jobs.truncate(random.usize(2..6));
    jobs.sort_unstable();
    let lease = Duration::from_millis(random.u64(2_000..15_000));
    let poll = Duration::from_millis(random.u64(200..2_000));
    Settings { seed, jobs, lease, poll, max_concurrency: random.usize(2..12) }
}

fn begin(settings: &Settings, log: Arc<Log>, random: &mut fastrand::Rng) -> Cast {
    let clock = log.clone();
    let store = MemoryStore::with_clock(move || clock.clock.now());
    let (outside, weather) = (Arc::new(Outside::default()), Weather::of(random));
    let deaf = random.u32(..4) == 0;
    let (mut wires, mut nodes, hints) = (Vec::new(), Vec::new(), Hints::default());
    for node in 0..random.usize(2..5) {
        let random = fastrand::Rng::with_seed(mix(&[settings.seed, 2, node as u64]));
        let wire = Arc::new(Wire::new(log.clone(), node, weather, deaf, random));
        let (commands, received) = unbounded_channel();
        let supervisor = Supervisor {
            node,
            log: log.clone(),
            settings: settings.clone(),
            store: Faulty::new(store.clone(), wire.clone(), hints.clone()),
            outside: outside.clone(),
            commands: commands.clone(),
            build: Default::default(),
            life: 0,
            gone: Vec::new(),
            stopped: false,
        };
        tokio::spawn(supervisor.supervise(received));
        wires.push(wire);
        nodes.push(commands);
    }
    Cast { log, store, wires, nodes, outside }
}

impl Cast {
    /// All that happens, until everything has come to rest.
    async fn play(&self, settings: &Settings, random: &mut fastrand::Rng) {
        let length = Duration::from_secs(random.u64(30..120));
        for (at, deed) in nemesis::plan(settings, self.nodes.len(), length, random) {
            self.until(at).await;
            self.perform(deed);
        }
        self.until(length).await;
        self.come_to_rest(settings).await;
    }

    async fn until(&self, at: Duration) {
        sleep(at.saturating_sub(Duration::from_millis(self.log.clock.at()))).await;
    }

    fn perform(&self, deed: Deed) {
        match deed {
            Deed::Tell(node, command) => self.tell(node, command),
            Deed::Cut(cut, nodes, time) => {
                for node in nodes {
                    let wire = self.wires[node].clone();
                    wire.cut(cut);
                    tokio::spawn(async move {
                        sleep(time).await;
                        wire.cut(Cut::Neither);
                    });
                }
            }
            Deed::Step(by) => {
                self.log.clock.step(by);
                self.log.add(What::ClockStep(by));
            }
            Deed::CancelSome(node, which) => {
                let runs = at_once(self.store.runs(RunFilter::new())).map(|reply| reply.value);
                let open: Vec<_> =
                    runs.unwrap_or_default().into_iter().filter(|run| !run.state.is_final()).collect();
                if !open.is_empty() {
                    self.tell(node, Command::Cancel(open[which % open.len()].id));
                }
            }
        }
    }

    fn tell(&self, node: usize, command: Command) {
        // The supervisor lives as long as the world.
        let _ = self.nodes[node].send(command);
    }

    /// Ends all trouble, lets ticks go on for a while, and then waits until nothing is left to do.
    async fn come_to_rest(&self, settings: &Settings) {
        self.wires.iter().for_each(|wire| wire.calm());
        self.log.add(What::Calm);
        let number = u64::try_from(self.log.clock.now().0).unwrap_or(0) << 10;
        self.outside.harmless_from.store(number, Ordering::Relaxed);
        self.resume(settings);
        sleep(CALM + settings.lease * 3).await;
        self.log.add(What::Stopped);
        (0..self.nodes.len()).for_each(|node| self.tell(node, Command::Stop));
        let most = if settings.jobs.contains(&"codec.swap") { REST_UNDECODABLE } else { REST };
        let most = most + self.log.clock.back();
        let until = self.log.clock.at() + u64::try_from(most.as_millis()).unwrap_or(0);
        while self.log.clock.at() < until && !self.is_at_rest() {
            sleep(Duration::from_secs(2)).await;
            // A pause may have been on its way.
            self.resume(settings);
        }
    }

    /// Lifts all pauses.
    fn resume(&self, settings: &Settings) {
        for pattern in nemesis::PATTERNS.iter().chain(&settings.jobs) {
            let cell = jobs_core::pause_cell(pattern);
            if let Ok(Some(there)) = at_once(self.store.get(&cell)).map(|reply| reply.value) {
                let step = Box::new(Step::Pause((*pattern).to_owned(), false));
                self.log.add(What::Step { node: self.nodes.len(), step });
                let _ = at_once(self.store.put_if(&cell, there.version, Default::default()));
            }
        }
    }

    fn is_at_rest(&self) -> bool {
        let waiting = |record: &JobRecord| record.ready + record.delayed > 0;
        let jobs = at_once(self.store.jobs()).map(|reply| reply.value).unwrap_or_default();
        let runs = at_once(self.store.runs(RunFilter::new().limit(usize::MAX))).map(|reply| reply.value);
        !jobs.iter().any(waiting) && runs.unwrap_or_default().iter().all(|run| run.state.is_final())
    }

    fn left(&self) -> Left {
        let all = RunFilter::new().limit(usize::MAX);
        let dead = at_once(self.store.dead(DeadFilter::new().limit(usize::MAX)));
        let jobs = at_once(self.store.jobs()).map(|reply| reply.value).unwrap_or_default();
        let ticks = |record: &JobRecord| {
            let id = record.link.job.clone();
            let mut ticks =
                at_once(self.store.ticks(&id, usize::MAX)).map(|reply| reply.value).unwrap_or_default();
            ticks.reverse();
            (id, ticks)
        };
        let ticks = jobs.iter().filter(|record| record.schedule.is_some()).map(ticks).collect();
        let sessions = at_once(self.store.sessions()).map(|reply| reply.value).unwrap_or_default();
        Left {
            jobs,
            runs: at_once(self.store.runs(all)).map(|reply| reply.value).unwrap_or_default(),
            ticks,
            dead: dead.map(|reply| reply.value).unwrap_or_default(),
            held: sessions.into_iter().filter(|other| other.holds > 0).collect(),
        }
    }
}
