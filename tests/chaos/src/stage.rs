//! Where a scenario plays: a store, the directory of the logs, the processes, and what was asked of them.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use jobs_runner::{Client, RunHandle, prelude::*};
use tempfile::TempDir;

use crate::{
    oracle::{self, Expected, Fault, Verdict},
    process::{Process, until},
    record::{self, Record},
    worker::Orders,
};

/// How long anything may take before it counts as stuck.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Where a scenario plays.
#[derive(Debug)]
pub struct Stage {
    program: PathBuf,
    /// Removed when it is dropped.
    _directory: TempDir,
    orders: Orders,
    client: Client,
    runs: Vec<(RunHandle, u64)>,
    faults: Vec<Fault>,
}

impl Stage {
    /// An empty store of this kind, and no process yet. `program` is what plays a process under test.
    ///
    /// # Errors
    /// If the store cannot be made.
    pub async fn new(program: &Path, store: &str, orders: Orders) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let store = match store {
            "sqlite" => format!("sqlite://{}", directory.path().join("jobs.db").display()),
            url => url.to_owned(),
        };
        let logs = directory.path().join("logs");
        std::fs::create_dir(&logs)?;
        let client = Client::connect(&*store).await?;
        let orders = Orders { store, logs, ..orders };
        Ok(Self {
            program: program.to_owned(),
            _directory: directory,
            orders,
            client,
            runs: Vec::new(),
            faults: Vec::new(),
        })
    }

    /// Starts a process, and waits until it has joined the others.
    ///
    /// # Errors
    /// If it does not.
    pub async fn start(&self) -> Result<Process> {
        let process = Process::start(&self.program, &self.orders)?;
        let deadline = std::time::Instant::now() + PATIENCE;
        while !self.client.nodes().await?.iter().any(|node| node.pid == process.pid()) {
            if std::time::Instant::now() > deadline {
                return Err(format!("a process does not join: {}", process.said()?).into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(process)
    }

    /// Asks for a run of a job whose query finds the items that the processes were told of.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn run(&mut self, job: &str) -> Result<()> {
        let run = self.client.run(job).await?;
        self.runs.push((run, self.orders.items));
        Ok(())
    }

    /// Whether all runs are over that were asked for.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn is_over(&self) -> Result<bool> {
        for (run, _) in self.runs.iter().rev() {
            if !self.client.report(run.id()).await?.state.is_final() {
                return Ok(false);
            }
        }
        Ok(true)
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
            if self.is_over().await? {
                self.run(job).await?;
            }
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
        let deadline = std::time::Instant::now() + PATIENCE;
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
        Ok((oracle::judge(&logs, &expected, &self.faults), logs))
    }
}
