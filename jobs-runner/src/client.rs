//! The control plane from anywhere: it reads and writes the same store as the runners.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use jiff::Timestamp;
use jobs_core::{
    AsJob, BoxFuture, Cancellation, Cause, Complete, DeadFilter, DeadItem, Fire, Firing, IfBusy, ItemInfo,
    JobInfo, JobRecord, JobStats, Location, Millis, Node, NodeInfo, Overlap, PAUSES, Requeue, RunFilter,
    RunId, RunReport, SessionRecord, Stats, Store, StoreError, StoreSource, TickInfo, Want, covers,
    pause_cells,
};
use jobs_schedule::Schedule;

use crate::{control, env::Env, error::ClientError, registry::suggest, source, sweep::Sweep};

/// Reads and steers the jobs of a store, from any process: a runner's own, or another.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct Client {
    /// The store; or the namespace that it does not have, and why.
    store: Result<Arc<dyn Store>, (String, String)>,
    env: Env,
    poll: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Opens a store.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub async fn connect(store: impl Into<StoreSource>) -> Result<Self, StoreError> {
        let opened = source::open(store.into(), None).await?;
        Ok(Self::of_runner(opened.store, Env::real(), Duration::from_secs(1)))
    }

    /// The jobs of another namespace of the same store.
    ///
    /// A name that cannot be, or a store that has only one namespace, is an error of the first call.
    #[must_use]
    pub fn with_namespace(self, namespace: &str) -> Self {
        let store = self.store.and_then(|store| {
            let other = source::in_namespace(&store, namespace);
            other.map_err(|error| (namespace.to_owned(), error.to_string()))
        });
        Self { store, ..self }
    }

    fn store(&self) -> Result<&Arc<dyn Store>, StoreError> {
        self.store.as_ref().map_err(|(namespace, message)| StoreError::BadUrl {
            url: format!("namespace={namespace}"),
            message: message.clone(),
        })
    }

    pub(crate) fn of_runner(store: Arc<dyn Store>, env: Env, poll: Duration) -> Self {
        Self { store: Ok(store), env, poll }
    }

    /// Runs a job now, and does not move its schedule. Await it for a handle of the run.
    ///
    /// It obeys the job's `overlap` and its pause, and gives [`ClientError::Busy`] or [`ClientError::Paused`].
    pub fn run(&self, job: impl AsJob) -> RunRequest {
        RunRequest { client: self.clone(), job: job.as_job().to_owned(), note: None }
    }

    /// All jobs that the store knows, in the order of their ids.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn jobs(&self) -> Result<Vec<JobInfo>, ClientError> {
        let records = self.store()?.jobs().await?;
        let pauses = self.pauses().await?;
        Ok(records.value.iter().map(|record| info(record, &pauses, records.now)).collect())
    }

    /// One job.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`] with the name that may have been meant, or if the store does not answer.
    pub async fn job(&self, job: impl AsJob) -> Result<JobInfo, ClientError> {
        let (record, now) = self.record(job.as_job()).await?;
        Ok(info(&record, &self.pauses().await?, now))
    }

    /// The next `n` ticks of a job; none for one that runs on demand.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`], or if the store does not answer.
    pub async fn next_ticks(&self, job: impl AsJob, n: usize) -> Result<Vec<Timestamp>, ClientError> {
        let (record, now) = self.record(job.as_job()).await?;
        let Some((schedule, from)) = upcoming(&record, now) else { return Ok(Vec::new()) };
        let ticks = std::iter::successors(schedule.next_after(from), |tick| schedule.next_after(*tick));
        Ok(ticks.take(n).collect())
    }

    /// What became of the ticks of a job, newest first; neighbours that did not fire are one record.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`], or if the store does not answer.
    pub async fn ticks(&self, job: impl AsJob, limit: usize) -> Result<Vec<TickInfo>, ClientError> {
        let (record, _) = self.record(job.as_job()).await?;
        Ok(self.store()?.ticks(&record.link.job, limit).await?.value)
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`] if the filter names one, or if the store does not answer.
    pub async fn runs(&self, filter: RunFilter) -> Result<Vec<RunReport>, ClientError> {
        if let Some(job) = filter.job_id() {
            self.record(job).await?;
        }
        Ok(self.store()?.runs(filter).await?.value)
    }

    /// What became of a run.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or if the store does not answer.
    pub async fn report(&self, run: RunId) -> Result<RunReport, ClientError> {
        self.store()?.run(run).await?.value.ok_or_else(|| ClientError::no_run(run))
    }

    /// Dead items, newest first, each with its payload and the error of each attempt.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`] if the filter names one, or if the store does not answer.
    pub async fn dead(&self, filter: DeadFilter) -> Result<Vec<DeadItem>, ClientError> {
        if let Some(job) = filter.job_id() {
            self.record(job).await?;
        }
        Ok(self.store()?.dead(filter).await?.value)
    }

    /// Items of a run that have not ended, at most `limit`: those in flight, then those that are ready, then those
    /// that wait for their time.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or if the store does not answer.
    pub async fn items(&self, run: RunId, limit: usize) -> Result<Vec<ItemInfo>, ClientError> {
        self.report(run).await?;
        Ok(self.store()?.items(run, limit).await?.value)
    }

    /// How much there is to do, over all jobs and for each.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        let records = self.store()?.jobs().await?.value;
        let nodes = self.nodes().await?.iter().filter(|node| node.alive).count() as u64;
        let jobs: Vec<JobStats> = records.iter().map(job_stats).collect();
        let sum = |of: fn(&JobStats) -> u64| jobs.iter().map(of).sum();
        let (ready, delayed) = (sum(|job| job.ready), sum(|job| job.delayed));
        let (in_flight, dead) = (sum(|job| job.in_flight), sum(|job| job.dead));
        Ok(Stats { nodes, ready, delayed, in_flight, dead, jobs })
    }

    /// The runners that are connected to the store, and those that were and are not yet known to be gone, in the
    /// order of their names.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, ClientError> {
        let reply = self.store()?.sessions().await?;
        Ok(reply.value.into_iter().map(|session| node_info(session, reply.now)).collect())
    }

    /// Tries dead items again, in a new run of their job; says how many. All that the filter matches, unless it has a
    /// [`limit`](DeadFilter::limit): then the newest. A run has at most 1,000 of them.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`] if the filter names one, or if the store does not answer.
    pub async fn requeue_dead(&self, filter: DeadFilter) -> Result<u64, ClientError> {
        let mut sweep = self.sweep(filter).await?;
        let mut count = 0;
        while let Some((job, items)) = sweep.next().await? {
            let requeue = Requeue { request: self.env.random(), job, items, note: None };
            if let Some(requeued) = self.store()?.requeue(requeue).await?.value {
                sweep.leave_out(requeued.run);
                count += requeued.items;
            }
        }
        Ok(count)
    }

    /// Removes dead items, and says how many. All that the filter matches, unless it has a
    /// [`limit`](DeadFilter::limit): then the newest.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`] if the filter names one, or if the store does not answer.
    pub async fn discard_dead(&self, filter: DeadFilter) -> Result<u64, ClientError> {
        let mut sweep = self.sweep(filter).await?;
        let mut count = 0;
        while let Some((_, items)) = sweep.next().await? {
            count += self.store()?.discard(self.env.random(), items).await?.value;
        }
        Ok(count)
    }

    async fn sweep(&self, filter: DeadFilter) -> Result<Sweep<'_>, ClientError> {
        if let Some(job) = filter.job_id() {
            self.record(job).await?;
        }
        Ok(Sweep::begin(&**self.store()?, filter).await?)
    }

    /// Pauses the jobs of a pattern, `"group.job"`, `"group.*"` or `"*"`, on all runners: no ticks, no new leases;
    /// what runs goes on. It is stored, and holds until [`resume`](Self::resume).
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`] if the pattern names nothing, or if the store does not answer.
    pub async fn pause(&self, pattern: &str, note: &str) -> Result<(), ClientError> {
        self.known(pattern).await?;
        Ok(control::pause(&**self.store()?, pattern, note).await?)
    }

    /// Lifts the pause of a pattern, as it was written.
    ///
    /// # Errors
    /// [`ClientError::UnknownJob`] if the pattern names nothing, or if the store does not answer.
    pub async fn resume(&self, pattern: &str) -> Result<(), ClientError> {
        self.known(pattern).await?;
        Ok(control::resume(&**self.store()?, pattern).await?)
    }

    /// Cancels a run: what waits is cancelled at once, what runs is dropped at its next await. A run that is over
    /// stays as it is.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or if the store does not answer.
    pub async fn cancel(&self, run: RunId) -> Result<(), ClientError> {
        loop {
            match self.store()?.cancel(run).await?.value {
                Cancellation::Cancelled { more: true } => {}
                Cancellation::Cancelled { more: false } => break,
                Cancellation::Over => return Ok(()),
                Cancellation::Unknown => return Err(ClientError::no_run(run)),
            }
        }
        // If nothing of it runs, nobody else will end it.
        self.store()?.complete(vec![Complete { run, finish: false }]).await?;
        Ok(())
    }

    /// A handle of a run.
    ///
    /// # Errors
    /// [`ClientError::NotFound`], or if the store does not answer.
    pub async fn handle(&self, run: RunId) -> Result<RunHandle, ClientError> {
        self.report(run).await?;
        Ok(RunHandle { client: self.clone(), run })
    }

    async fn record(&self, job: &str) -> Result<(JobRecord, Millis), ClientError> {
        let reply = self.store()?.job(job).await?;
        match reply.value {
            Some(record) => Ok((record, reply.now)),
            None => Err(unknown(job, &self.store()?.jobs().await?.value)),
        }
    }

    async fn known(&self, pattern: &str) -> Result<(), ClientError> {
        let records = self.store()?.jobs().await?.value;
        let known = records.iter().any(|record| covers(pattern, &record.link.job));
        if known { Ok(()) } else { Err(unknown(pattern, &records)) }
    }

    async fn pauses(&self) -> Result<Vec<(String, String)>, StoreError> {
        let cells = self.store()?.list(PAUSES).await?.value;
        let note = |cell: &jobs_core::Cell| cell.value["note"].as_str().unwrap_or_default().to_owned();
        Ok(cells.into_iter().map(|(name, cell)| (name, note(&cell))).collect())
    }
}

fn unknown(job: &str, records: &[JobRecord]) -> ClientError {
    let suggestion = suggest(job, records.iter().map(|record| &*record.link.job));
    ClientError::UnknownJob { job: job.to_owned(), suggestion }
}

fn job_stats(record: &JobRecord) -> JobStats {
    let JobRecord { live, ready, delayed, in_flight, dead, .. } = *record;
    JobStats { job: record.link.job.to_string(), live, ready, delayed, in_flight, dead }
}

fn node_info(session: SessionRecord, now: Millis) -> NodeInfo {
    let Node { name, host, process, build } = session.node;
    NodeInfo {
        name,
        host,
        pid: process.pid,
        build: build.to_string(),
        holds: session.holds,
        lease_until: session.until.timestamp(),
        alive: now <= session.until,
    }
}

fn info(record: &JobRecord, pauses: &[(String, String)], now: Millis) -> JobInfo {
    let id = record.link.job.to_string();
    let (group, name) = id.split_once('.').unwrap_or((&id, ""));
    let cells = pause_cells(&id);
    let paused = cells.iter().find_map(|cell| pauses.iter().find(|(name, _)| name == cell));
    JobInfo {
        group: group.to_owned(),
        name: name.to_owned(),
        schedule: record.link.schedule.as_ref().map(|declared| declared.text.to_string()),
        tz: record.link.schedule.as_ref().map_or("UTC", |declared| &declared.tz).to_owned(),
        next: upcoming(record, now).and_then(|(schedule, from)| schedule.next_after(from)),
        paused: paused.map(|(_, note)| note.clone()),
        location: Location { ..record.link.location },
        id,
    }
}

/// The schedule of a job, and the instant after which its next tick comes.
fn upcoming(record: &JobRecord, now: Millis) -> Option<(Schedule, Timestamp)> {
    let declared = record.link.schedule.as_ref()?;
    let schedule = Schedule::parse(&declared.text, &declared.tz).ok()?;
    let cursor = record.schedule.as_ref().map_or(now, |state| state.cursor);
    Some((schedule, cursor.max(now).timestamp()))
}

/// A run that is asked for. Await it.
#[derive(Clone, Debug)]
#[must_use = "a run begins when this is awaited"]
pub struct RunRequest {
    client: Client,
    job: String,
    note: Option<String>,
}

impl RunRequest {
    /// Why, for whoever reads the report.
    pub fn note(mut self, note: &str) -> Self {
        self.note = Some(note.to_owned());
        self
    }

    async fn send(self) -> Result<RunHandle, ClientError> {
        let (record, _) = self.client.record(&self.job).await?;
        let (link, job) = (record.link, self.job);
        if link.item_type.is_some() && !link.query {
            return Err(ClientError::NeedsItem { job });
        }
        let fire = Fire {
            job: link.job.clone(),
            cause: Cause::Manual { request: self.client.env.random(), note: self.note },
            if_busy: if link.overlap == Overlap::Allow { IfBusy::Fire } else { IfBusy::Skip },
            priority: link.priority,
            query: link.query,
            exclusive: link.exclusive(),
            item_type: link.item_type.clone().unwrap_or_default(),
        };
        let mut firings = self.client.store()?.fire(None, vec![fire], Want::default()).await?.value;
        match firings.pop() {
            Some(Firing::Fired { run, .. }) => Ok(RunHandle { client: self.client, run }),
            Some(Firing::Busy { run }) => Err(ClientError::Busy { job, run }),
            Some(Firing::Paused { note }) => Err(ClientError::Paused { job, note }),
            other => {
                Err(StoreError::Backend(format!("the store answered a run with {other:?}").into()).into())
            }
        }
    }
}

impl IntoFuture for RunRequest {
    type Output = Result<RunHandle, ClientError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A run, wherever it runs.
#[derive(Clone, Debug)]
pub struct RunHandle {
    client: Client,
    run: RunId,
}

impl RunHandle {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.run
    }

    /// Waits until the run is over, retries included. It needs a runner that links the job; without one it waits.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it was pruned meanwhile, or if the store does not answer.
    pub async fn wait(&self) -> Result<RunReport, ClientError> {
        let wakeups = self.client.store()?.wakeups();
        loop {
            let seen = wakeups.marks().runs;
            let report = self.client.report(self.run).await?;
            if report.state.is_final() {
                return Ok(report);
            }
            tokio::select! {
                biased;
                _ = wakeups.changed(|marks| marks.runs, seen) => {}
                () = self.client.env.sleep(self.client.poll) => {}
            }
        }
    }

    /// Cancels it.
    ///
    /// # Errors
    /// As [`Client::cancel`].
    pub async fn cancel(&self) -> Result<(), ClientError> {
        self.client.cancel(self.run).await
    }
}
