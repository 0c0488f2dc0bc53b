//! The store as its callers see it.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
};

use jobs_core::{
    Append, Appended, Attach, Attached, Beat, Cancellation, Cell, Complete, Completion, DeadFilter, DeadItem,
    Fire, Firing, ItemId, ItemInfo, JobRecord, Pass, Passing, Pruned, Pulse, PutCell, Reaped, Requeue,
    Requeued, RunFilter, RunId, RunReport, SessionId, SessionRecord, Settle, Settled, Store, StoreError,
    StoreResult, TickInfo, Wakeups, Want,
};
use tokio::sync::oneshot;

use crate::{
    fault::Done,
    hook::Hook,
    namespaces::{Namespace, Namespaces},
    operation::{Reading, Writing},
    options::{NAMESPACE, SqliteOptions},
    place::warn_if_remote,
    reader::{Question, Reader},
    reading::Snapshot,
    sessions,
    step::Step,
    waiting::answered,
    writer::{Operation, Writer},
};

/// A store in a file of SQLite.
///
/// Any number of processes of one machine may use the file at once. Clones share two threads, one that writes and one
/// that reads; nothing of SQLite is done on the caller's thread. Operations that come at once share a commit.
///
/// While another process writes, operations wait their turn. If one is stopped inside a commit, all wait until it goes
/// on or dies; after five seconds a warning says so, and nothing is lost. A future that is dropped does not take
/// its operation back.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    space: Arc<Namespace>,
    offset: i64,
}

/// What all clones share; with the last of them the threads end, and close the file.
struct Shared {
    path: PathBuf,
    writes: mpsc::Sender<Operation>,
    reads: mpsc::Sender<Question>,
    spaces: Arc<Namespaces>,
    hook: Arc<Hook>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, namespace) = (&self.shared.path, &self.space.name);
        f.debug_struct("SqliteStore")
            .field("path", path)
            .field("namespace", namespace)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens a file, and makes it if it is not there. Takes a [`SqliteOptions`]; [`SqliteStore::at`] takes a path.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] if its directory does not exist, [`StoreError::ReadOnly`] if it cannot be written,
    /// [`StoreError::Foreign`] if it is something else than a store, [`StoreError::NewerSchema`] if a newer version
    /// wrote it, [`StoreError::Full`] if the disk is full.
    pub async fn open(options: SqliteOptions) -> Result<Self, StoreError> {
        let (opened, done) = oneshot::channel();
        let spawned =
            thread::Builder::new().name("jobs-sqlite-write".to_owned()).spawn(move || begin(options, opened));
        spawned.map_err(|error| StoreError::Backend(error.into()))?;
        answered(done).await
    }

    /// Opens the file at a path, with every option at its default.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn at(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open(SqliteOptions::new(path)).await
    }

    /// Opens the file that a URL names: see [`SqliteOptions::from_url`].
    ///
    /// # Errors
    /// [`StoreError::BadUrl`], and as [`open`](Self::open).
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::open(SqliteOptions::from_url(url)?).await
    }

    /// The same store, seen through a clock that is shifted by so many milliseconds: a test hook.
    #[doc(hidden)]
    #[must_use]
    pub fn shifted(&self, millis: i64) -> Self {
        Self { offset: self.offset + millis, ..self.clone() }
    }

    /// Does something inside the next commit: after all is written, and before others may see it. A test hook.
    #[doc(hidden)]
    pub fn in_next_commit(&self, act: impl FnOnce() + Send + 'static) {
        self.shared.hook.set(act);
    }

    /// Stores a ready chunk as it is: the door of the conformance suite for a chunk of a newer format.
    #[doc(hidden)]
    pub fn plant(&self, chunk: jobs_core::Chunk) -> StoreResult<'static, ()> {
        self.write(0, move |step| {
            let job = step.job_id(&chunk.header.job)?;
            step.store_new(job, &chunk.header, &chunk.body)
        })
    }

    /// Sends a step to the thread that writes.
    fn write<T: Send + 'static>(
        &self,
        size: usize,
        work: impl FnMut(&mut Step<'_>) -> Done<T> + Send + 'static,
    ) -> StoreResult<'static, T> {
        let (to, answer) = oneshot::channel();
        let operation =
            Writing { work, size, space: self.space.clone(), offset: self.offset, done: None, to };
        // If the thread is gone, so is the answer.
        let _gone = self.shared.writes.send(Box::new(operation));
        Box::pin(answered(answer))
    }

    /// Sends a question to the thread that reads.
    fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot<'_>) -> Done<T> + Send + 'static,
    ) -> StoreResult<'static, T> {
        let (to, answer) = oneshot::channel();
        let question = Reading { work, space: self.space.clone(), offset: self.offset, to };
        let _gone = self.shared.reads.send(Box::new(question));
        Box::pin(answered(answer))
    }
}

/// Opens both connections, and works on the one that writes.
fn begin(options: SqliteOptions, opened: oneshot::Sender<Result<SqliteStore, StoreError>>) {
    let path = options.path.clone();
    let spaces = Arc::<Namespaces>::default();
    let (writes, operations) = mpsc::channel();
    let (reads, questions) = mpsc::channel();
    let hook = Arc::<Hook>::default();
    let open = || {
        let writer = Writer::open(options.clone(), spaces.clone(), hook.clone())?;
        Ok((writer, Reader::open(options.clone())?))
    };
    let (writer, reader) = match open().map_err(|fault: crate::fault::Fault| fault.told(&path)) {
        Ok(both) => both,
        Err(error) => {
            let _gone = opened.send(Err(error));
            return;
        }
    };
    let spawned =
        thread::Builder::new().name("jobs-sqlite-read".to_owned()).spawn(move || reader.work(&questions));
    let store = spawned.map_err(|error| StoreError::Backend(error.into())).map(|_thread| {
        let space = spaces.of(options.namespace.as_deref().unwrap_or(NAMESPACE));
        let shared = Arc::new(Shared { path: path.clone(), writes, reads, spaces, hook });
        SqliteStore { shared, space, offset: options.offset }
    });
    warn_if_remote(&path);
    let _gone = opened.send(store);
    writer.work(&operations);
}

impl Store for SqliteStore {
    fn attach(&self, attach: Attach) -> StoreResult<'_, Attached> {
        self.write(0, move |step| step.attach(&attach))
    }

    fn detach(&self, session: SessionId) -> StoreResult<'_, bool> {
        self.write(0, move |step| step.detach(session))
    }

    fn beat(&self, beat: Beat) -> StoreResult<'_, Pulse> {
        self.write(0, move |step| step.beat(&beat))
    }

    fn fire(&self, session: Option<SessionId>, fires: Vec<Fire>, want: Want) -> StoreResult<'_, Vec<Firing>> {
        self.write(0, move |step| step.fire(session, &fires, &want))
    }

    fn pass(&self, passes: Vec<Pass>) -> StoreResult<'_, Vec<Passing>> {
        self.write(0, move |step| passes.iter().map(|pass| step.pass(pass)).collect())
    }

    fn append(&self, append: Append) -> StoreResult<'_, Appended> {
        let size = append.bodies.iter().map(|body| body.as_bytes().len()).sum();
        self.write(size, move |step| step.append(&append))
    }

    fn settle(&self, settle: Settle) -> StoreResult<'_, Settled> {
        self.write(0, move |step| step.settle(&settle))
    }

    fn complete(&self, runs: Vec<Complete>) -> StoreResult<'_, Vec<Completion>> {
        self.write(0, move |step| step.complete(&runs))
    }

    fn cancel(&self, run: RunId) -> StoreResult<'_, Cancellation> {
        self.write(0, move |step| step.cancel(run))
    }

    fn requeue(&self, requeue: Requeue) -> StoreResult<'_, Option<Requeued>> {
        self.write(0, move |step| step.requeue(&requeue))
    }

    fn discard(&self, request: u64, items: Vec<ItemId>) -> StoreResult<'_, u64> {
        self.write(0, move |step| step.discard(request, &items))
    }

    fn reap(&self, session: SessionId) -> StoreResult<'_, Reaped> {
        self.write(0, move |step| step.reap(session))
    }

    fn prune(&self, limit: usize) -> StoreResult<'_, Pruned> {
        self.write(0, move |step| step.prune(limit))
    }

    fn completable(&self, limit: usize) -> StoreResult<'_, Vec<RunId>> {
        self.read(move |snapshot| snapshot.completable(limit))
    }

    fn get(&self, name: &str) -> StoreResult<'_, Option<Cell>> {
        let name = name.to_owned();
        self.read(move |snapshot| snapshot.get(&name))
    }

    fn list(&self, prefix: &str) -> StoreResult<'_, Vec<(String, Cell)>> {
        let prefix = prefix.to_owned();
        self.read(move |snapshot| snapshot.list(&prefix))
    }

    fn put_if(&self, name: &str, expected: u64, put: PutCell) -> StoreResult<'_, Result<u64, Option<Cell>>> {
        let name = name.to_owned();
        self.write(0, move |step| step.put_if(&name, expected, &put))
    }

    fn jobs(&self) -> StoreResult<'_, Vec<JobRecord>> {
        self.read(|snapshot| snapshot.jobs(None))
    }

    fn job(&self, job: &str) -> StoreResult<'_, Option<JobRecord>> {
        let job = job.to_owned();
        self.read(move |snapshot| Ok(snapshot.jobs(Some(&job))?.pop()))
    }

    fn run(&self, run: RunId) -> StoreResult<'_, Option<RunReport>> {
        self.read(move |snapshot| snapshot.run(run))
    }

    fn runs(&self, filter: RunFilter) -> StoreResult<'_, Vec<RunReport>> {
        self.read(move |snapshot| snapshot.runs(&filter))
    }

    fn items(&self, run: RunId, limit: usize) -> StoreResult<'_, Vec<ItemInfo>> {
        self.read(move |snapshot| snapshot.items(run, limit))
    }

    fn sessions(&self) -> StoreResult<'_, Vec<SessionRecord>> {
        self.read(|snapshot| sessions::all(snapshot.conn, snapshot.ns))
    }

    fn ticks(&self, schedule: &str, limit: usize) -> StoreResult<'_, Vec<TickInfo>> {
        let schedule = schedule.to_owned();
        self.read(move |snapshot| snapshot.ticks(&schedule, limit))
    }

    fn dead(&self, filter: DeadFilter) -> StoreResult<'_, Vec<DeadItem>> {
        self.read(move |snapshot| snapshot.dead(&filter))
    }

    fn wakeups(&self) -> Wakeups {
        self.space.waker.wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        let space = self.shared.spaces.of(name);
        Some(Arc::new(Self { space, ..self.clone() }))
    }
}
