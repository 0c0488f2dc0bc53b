//! Where a scenario plays: a store, the directory of the logs, the processes, and what was asked of them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jobs_core::Link;
use jobs_runner::{Client, ClientError, RunHandle, RunId, prelude::*};
use tempfile::TempDir;

use crate::{
    backend::{Backend, Kind},
    by_hand::ByHand,
    durations::{self, Durations},
    oracle::{self, Expected, Fault, Forgotten, Verdict},
    process::{Process, until},
    record::{self, Record},
    worker::{self, Orders},
};

/// How long anything may take before it counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Where a scenario plays.
#[derive(Debug)]
pub struct Stage {
    program: PathBuf,
    /// Removed when it is dropped.
    _directory: TempDir,
    /// The store, for those who trouble it.
    pub backend: Backend,
    orders: Orders,
    /// How anybody else reaches the store.
    pub client: Client,
    durations: Arc<Durations>,
    patience: Duration,
    runs: Vec<(RunHandle, u64)>,
    faults: Vec<Fault>,
    forgotten: Vec<Forgotten>,
}

impl Stage {
    /// An empty store of this kind, and no process yet. `program` is what plays a process under test.
    ///
    /// # Errors
    /// If the store cannot be made.
    pub async fn new(program: &Path, kind: Kind, orders: Orders) -> Result<Self> {
        Self::on(program, Backend::start(kind)?, orders).await
    }

    /// The same on a store that is there.
    ///
    /// # Errors
    /// If it cannot be connected to.
    pub async fn on(program: &Path, backend: Backend, orders: Orders) -> Result<Self> {
        let (directory, orders) = directory(&backend, orders)?;
        Self::connected(program, backend, directory, orders).await
    }

    /// A store that an earlier version has made, and so many processes of that version: this one comes after them.
    ///
    /// # Errors
    /// If the store cannot be made, or a process does not start.
    pub async fn after(
        program: &Path,
        kind: Kind,
        orders: Orders,
        processes: usize,
    ) -> Result<(Self, Vec<Process>)> {
        let backend = Backend::start(kind)?;
        let (directory, orders) = directory(&backend, orders)?;
        let mut all = Vec::new();
        for _ in 0..processes {
            let process = Process::start(orders.program.as_deref().unwrap_or(program), &orders)?;
            // This version would change the store by looking into it: the banner has to say that it runs.
            until("a process has started", PATIENCE, || Ok(process.said()?.contains("chaos.load")))?;
            all.push(process);
        }
        let orders = Orders { program: None, ..orders };
        Ok((Self::connected(program, backend, directory, orders).await?, all))
    }

    async fn connected(program: &Path, backend: Backend, directory: TempDir, orders: Orders) -> Result<Self> {
        let durations = Arc::new(Durations::create(&orders.logs)?);
        let store = worker::open(&orders.store, 0, durations.clone()).await?;
        let client = Client::connect(store).await?;
        Ok(Self {
            program: program.to_owned(),
            _directory: directory,
            backend,
            orders,
            client,
            durations,
            patience: PATIENCE,
            runs: Vec::new(),
            faults: Vec::new(),
            forgotten: Vec::new(),
        })
    }

    /// Goes to the store by another way, and so do the processes that are started from now on.
    ///
    /// # Errors
    /// If it does not lead there.
    pub async fn connect(&mut self, store: &str) -> Result<()> {
        let connected = worker::open(store, 0, self.durations.clone()).await?;
        self.client = Client::connect(connected).await?;
        store.clone_into(&mut self.orders.store);
        Ok(())
    }

    /// What a process is told if nothing else is said.
    #[must_use]
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Tells processes something else from now on.
    pub fn order(&mut self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders);
    }

    /// Lets everything take so many times as long before it counts as stuck.
    pub fn be_patient(&mut self, times: u32) {
        self.patience = PATIENCE * times;
    }

    /// How long anything may take before it counts as stuck.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Does what a process would, by hand: as one that links this.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn by_hand(&self, links: Vec<Link>) -> Result<ByHand> {
        let store = worker::open(&self.orders.store, 0, self.durations.clone()).await?;
        ByHand::attach(store, links).await
    }

    /// Expects the items of a run that was asked for elsewhere: so many, 0, 1, 2 and so on.
    ///
    /// # Errors
    /// If there is no such run.
    pub async fn expect(&mut self, run: RunId, items: u64) -> Result<()> {
        self.runs.push((self.client.handle(run).await?, items));
        Ok(())
    }

    /// Starts a process, and waits until it has joined the others.
    ///
    /// # Errors
    /// If it does not.
    pub async fn start(&self) -> Result<Process> {
        self.start_with(&self.orders).await
    }

    /// The same with other orders.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(&self, orders: &Orders) -> Result<Process> {
        let process = self.begin(orders)?;
        self.joined(&process).await?;
        Ok(process)
    }

    /// Starts so many.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_all(&self, processes: usize) -> Result<Vec<Process>> {
        let mut all = Vec::new();
        for _ in 0..processes {
            all.push(self.start().await?);
        }
        Ok(all)
    }

    /// Starts a process, and does not wait.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn begin(&self, orders: &Orders) -> io::Result<Process> {
        Process::start(orders.program.as_ref().unwrap_or(&self.program), orders)
    }

    /// Waits until a process has joined the others.
    ///
    /// # Errors
    /// If it does not.
    pub async fn joined(&self, process: &Process) -> Result<()> {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !self.client.nodes().await?.iter().any(|node| node.pid == process.pid()) {
            if std::time::Instant::now() > deadline {
                return Err(format!("a process does not join: {}", process.said()?).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Asks for a run of a job whose query finds the items that the processes were told of.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn run(&mut self, job: &str) -> Result<()> {
        match self.client.run(job).await {
            Ok(run) => self.runs.push((run, self.orders.items)),
            // There is none, or one that nobody waits for.
            Err(ClientError::Store(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether all runs are over that were asked for, as far as the store says.
    ///
    /// # Errors
    /// If one of them is not there.
    pub async fn is_over(&self) -> Result<bool> {
        for (run, _) in self.runs.iter().rev() {
            match self.client.report(run.id()).await {
                Ok(report) if report.state.is_final() => {}
                Ok(_) | Err(ClientError::Store(_)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Keeps the processes at work for some time: another run of the job whenever all are over.
    ///
    /// # Errors
    /// If a run is refused.
    pub async fn busy_for(&mut self, job: &str, time: Duration) -> Result<()> {
        let until = std::time::Instant::now() + time;
        while std::time::Instant::now() < until {
            self.keep_busy(job).await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Asks for another run of the job if all are over.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn keep_busy(&mut self, job: &str) -> Result<()> {
        if self.is_over().await? { self.run(job).await } else { Ok(()) }
    }

    /// Waits until a process has noted so many facts more than it had.
    ///
    /// # Errors
    /// If it does not.
    pub fn until_it_works(&self, process: &Process, facts: u64) -> io::Result<()> {
        let logs = &self.orders.logs;
        let before = process.facts(logs)?;
        until("a process works", PATIENCE, || Ok(process.facts(logs)? >= before + facts))
    }

    /// The same, with another run of the job whenever all are over: there is always something to do.
    ///
    /// # Errors
    /// If it does not, or a run is refused.
    pub async fn busy_until_it_works(&mut self, job: &str, process: &Process, facts: u64) -> Result<()> {
        let before = process.facts(&self.orders.logs)?;
        let deadline = std::time::Instant::now() + PATIENCE;
        while process.facts(&self.orders.logs)? < before + facts {
            if std::time::Instant::now() > deadline {
                return Err(format!("a process does not work: {}", process.said()?).into());
            }
            self.keep_busy(job).await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// How many facts all processes have noted.
    ///
    /// # Errors
    /// If their logs cannot be read.
    pub fn facts(&self, processes: &[Process]) -> io::Result<u64> {
        processes.iter().map(|process| process.facts(&self.orders.logs)).sum()
    }

    /// Keeps a fault for the verdict.
    pub fn suffered(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Keeps a stretch that the store has forgotten, and forgets the runs that were asked for within it.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn forgot(&mut self, stretch: Forgotten) -> Result<()> {
        self.forgotten.push(stretch);
        let mut known = Vec::new();
        for (run, items) in self.runs.drain(..) {
            match self.client.report(run.id()).await {
                Ok(_) => known.push((run, items)),
                Err(ClientError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.runs = known;
        Ok(())
    }

    /// What all processes have noted.
    ///
    /// # Errors
    /// If their logs cannot be read.
    pub fn logs(&self) -> io::Result<Vec<Vec<Record>>> {
        record::read(&self.orders.logs)
    }

    /// The faults that hit something in flight so far.
    ///
    /// # Errors
    /// If the logs cannot be read.
    pub fn hits(&self) -> io::Result<u64> {
        Ok(oracle::judge(&self.logs()?, &[], &self.faults).kills)
    }

    /// Whether everything that was in flight at a fault has begun again.
    ///
    /// # Errors
    /// If the logs cannot be read.
    pub fn has_recovered(&self, fault: &Fault) -> io::Result<bool> {
        Ok(oracle::has_recovered(&self.logs()?, fault))
    }

    /// Waits for all runs, ends the processes, and judges; gives what it judged by, too.
    ///
    /// # Errors
    /// If a process ends badly, or the logs cannot be read.
    pub async fn conclude(self, processes: Vec<Process>) -> Result<(Verdict, Vec<Vec<Record>>)> {
        let deadline = std::time::Instant::now() + self.patience;
        let mut expected = Vec::new();
        for (run, items) in &self.runs {
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            let over = tokio::time::timeout(left, run.wait()).await;
            let over = over.is_ok_and(|report| report.is_ok());
            expected.push(Expected { run: run.id().number(), items: *items, over });
        }
        for process in processes {
            process.end()?;
        }
        let logs = self.logs()?;
        let verdict = oracle::judge_but(&logs, &expected, &self.faults, &self.forgotten);
        let longest_ms = durations::read(&self.orders.logs)?;
        // A server that was killed keeps nothing of what was before.
        let script_ms = self.backend.longest_script()?;
        Ok((Verdict { longest_ms, script_ms, ..verdict }, logs))
    }
}

/// A directory for the logs, and orders that name it and the store.
fn directory(backend: &Backend, orders: Orders) -> Result<(TempDir, Orders)> {
    let directory = tempfile::tempdir()?;
    let logs = directory.path().join("logs");
    std::fs::create_dir(&logs)?;
    Ok((directory, Orders { store: backend.url(), logs, ..orders }))
}
