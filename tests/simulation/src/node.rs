//! One node: whatever becomes of its process, it is started again.

use std::{
    any::{TypeId, type_name},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use jobs_core::{JobOptions, RunId, SessionId, Store};
use jobs_runner::{Client, Runner, RunnerBuilder, testing::simulated::Simulated};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    time::sleep,
};

use crate::{
    faulty::Faulty,
    jobs::{Ear, Numbers, Outside, SCHEDULES, Sim, Texts, mix},
    log::{Build, Change, Log, name},
};

/// What is done to a node.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Kills it; only that start of it, if one is named.
    Crash {
        life: Option<u64>,
        gone: bool,
        down: Duration,
    },
    /// Stops it for a while, as SIGSTOP and SIGCONT do.
    Freeze(Duration),
    /// Ends it in order, and starts it again, perhaps as another build.
    Restart {
        grace: Duration,
        down: Duration,
        build: Option<Build>,
    },
    Run(&'static str),
    Pause(&'static str),
    Resume(&'static str),
    Cancel(RunId),
    /// No more ticks from here, whoever starts again.
    Stop,
}

/// What all nodes of a world have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) jobs: Vec<&'static str>,
    pub(crate) lease: Duration,
    pub(crate) poll: Duration,
    pub(crate) max_concurrency: usize,
}

/// What keeps a node going.
pub(crate) struct Supervisor {
    pub(crate) node: usize,
    pub(crate) log: Arc<Log>,
    pub(crate) settings: Settings,
    pub(crate) store: Faulty,
    pub(crate) outside: Arc<Outside>,
    pub(crate) commands: UnboundedSender<Command>,
    pub(crate) build: Build,
    pub(crate) life: u64,
    /// Sessions of this node that are known to be dead.
    pub(crate) gone: Vec<SessionId>,
    pub(crate) stopped: bool,
}

impl Supervisor {
    /// Runs the node for as long as the world lasts.
    pub(crate) async fn supervise(mut self, mut commands: UnboundedReceiver<Command>) {
        loop {
            let running = self.start().await;
            let Some(down) = self.live(&running, &mut commands).await else { return };
            drop(running);
            sleep(down).await;
        }
    }

    async fn start(&mut self) -> Simulated {
        loop {
            self.life += 1;
            let seed = mix(&[self.settings.seed, self.node as u64, self.life]);
            let gone = std::mem::take(&mut self.gone);
            match Simulated::start(self.builder(), seed, gone.clone(), Arc::<Mutex<_>>::default()).await {
                Ok(running) => {
                    if self.stopped {
                        running.runner().stop_all();
                    }
                    let change = Change::Up { session: running.session(), build: self.build };
                    self.log.node(self.node, change);
                    return running;
                }
                Err(error) => {
                    self.gone = gone;
                    self.log.note(format!("{} does not start: {error}", name(self.node)));
                    sleep(Duration::from_millis(300)).await;
                }
            }
        }
    }

    fn builder(&self) -> RunnerBuilder {
        let Settings { jobs, lease, poll, max_concurrency, seed } = &self.settings;
        let (log, outside, commands) = (self.log.clone(), self.outside.clone(), self.commands.clone());
        let (seed, node, life) = (*seed, self.node, self.life);
        let ear = Arc::new(Ear { log, seed, node, life, commands, outside });
        let keep = JobOptions::new().keep_runs(1_000_000).keep_ticks(1_000_000);
        let mut builder = Runner::builder()
            .store(Arc::new(self.store.clone()) as Arc<dyn Store>)
            .node(&name(node))
            .lease(*lease)
            .poll_interval(*poll)
            .max_concurrency(*max_concurrency)
            .only(jobs.iter().copied())
            .configure("*", keep)
            .provide(Sim(ear.clone()));
        if jobs.contains(&"sim.flip") {
            let schedule = JobOptions::new().schedule(SCHEDULES[self.build.schedule]);
            builder = builder.configure("sim.flip", schedule);
        }
        let codec = if self.build.codec {
            builder = builder.provide(Texts(ear));
            of_type::<Texts>()
        } else {
            builder = builder.provide(Numbers(ear));
            of_type::<Numbers>()
        };
        Simulated::only_groups(builder, &[of_type::<Sim>(), codec])
    }

    /// Obeys until the process ends, and says for how long it stays down.
    async fn live(
        &mut self,
        running: &Simulated,
        commands: &mut UnboundedReceiver<Command>,
    ) -> Option<Duration> {
        let (node, session) = (self.node, running.session());
        while let Some(command) = commands.recv().await {
            // What was still to be done to it when all trouble ended is not done any more.
            let calm = self.outside.harmless_from.load(Ordering::Relaxed) > 0;
            if calm && !matches!(command, Command::Stop | Command::Crash { life: Some(_), .. }) {
                continue;
            }
            match command {
                Command::Crash { life, gone, down } => {
                    if life.is_some_and(|life| life != self.life) {
                        continue;
                    }
                    self.log.node(node, Change::Crashed { session, gone });
                    running.crash().await;
                    if gone {
                        self.gone.push(session);
                    }
                    return Some(down);
                }
                Command::Freeze(time) => {
                    self.log.node(node, Change::Frozen);
                    running.freeze();
                    sleep(time).await;
                    running.thaw();
                    self.log.node(node, Change::Thawed);
                }
                Command::Restart { grace, down, build } => {
                    self.log.node(node, Change::ShuttingDown);
                    let ended = running.runner().shutdown(grace).await;
                    self.log.note(format!("{} ended: {ended:?}", name(node)));
                    self.log.node(node, Change::Down { session });
                    self.build = build.unwrap_or(self.build);
                    return Some(down);
                }
                Command::Stop => {
                    self.stopped = true;
                    running.runner().stop_all();
                }
                other => self.ask(running.runner().client().clone(), other),
            }
        }
        None
    }

    /// What goes through a client may take its time.
    fn ask(&self, client: Client, command: Command) {
        let (log, by) = (self.log.clone(), name(self.node));
        tokio::spawn(async move {
            let answer = match &command {
                Command::Run(job) => client.run(*job).await.map(|handle| handle.id().to_string()),
                Command::Pause(pattern) => {
                    client.pause(pattern, "by the world").await.map(|()| String::new())
                }
                Command::Resume(pattern) => client.resume(pattern).await.map(|()| String::new()),
                Command::Cancel(run) => client.cancel(*run).await.map(|()| String::new()),
                _ => return,
            };
            let answer = answer.unwrap_or_else(|error| error.to_string());
            log.note(format!("{by} {command:?} {answer}"));
        });
    }
}

fn of_type<G: 'static>() -> (TypeId, &'static str) {
    (TypeId::of::<G>(), type_name::<G>())
}
