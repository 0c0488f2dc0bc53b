//! The store as its callers see it.

use std::sync::Arc;

use jobs_core::{
    Append, Appended, Attach, Attached, Beat, Cancellation, Cell, Complete, Completion, DeadFilter, DeadItem,
    Fire, Firing, ItemId, ItemInfo, JobRecord, Pass, Passing, Pruned, Pulse, PutCell, Reaped, Requeue,
    Requeued, RunFilter, RunId, RunReport, SessionId, SessionRecord, Settle, Settled, Store, StoreError,
    StoreResult, TickInfo, Wakeups, Want,
};
use sqlx::{ConnectOptions, PgPool, postgres::PgPoolOptions};

use crate::{
    calling::{Shared, Work},
    connection::{self, Lock, Preamble, key},
    notifying::Notifier,
    options::{NAMESPACE, Pooler, PostgresOptions, Settings, location},
    schema,
    space::{Space, Spaces},
};

/// A store in a schema of a Postgres database.
///
/// Any number of processes on any number of machines may use it at once. Clones share the connections. Connections that
/// are lost are made anew by themselves; a call that finds no server within its deadline is
/// [`StoreError::Unreachable`]. A future that is dropped does not take its operation back.
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) space: Arc<Space>,
    pub(crate) offset: i64,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore")
            .field("location", &self.shared.location)
            .field("namespace", &self.space.name)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Opens a database, and makes the schema if it is not there. Of many nodes that do so at once, one makes it.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] if an option is wrong, or the user, the password or the database;
    /// [`StoreError::Unreachable`] if no server answers, [`StoreError::ReadOnly`] if it cannot be written,
    /// [`StoreError::Foreign`] if the schema is another program's, [`StoreError::NewerSchema`] if a newer version wrote
    /// it.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        options.check()?;
        let PostgresOptions { connect, settings } = options;
        // Prepared statements are kept by each connection: all there are. They are no news.
        let mut connect = connect.statement_cache_capacity(256).disable_statement_logging();
        let preamble = match settings.pooler {
            Pooler::Session => {
                connect = connect.options(connection::settings(&settings.schema, settings.deadline));
                Preamble::of_own_sessions()
            }
            Pooler::Transaction => {
                // A pooler knows only the parameters that it hands on.
                connect = connect.extra_float_digits(None);
                shared_sessions(&settings)
            }
        };
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections)
            .acquire_timeout(settings.deadline)
            // A connection that was lost shows when it is used.
            .test_before_acquire(false)
            .connect_lazy_with(connect);
        Self::on(pool, settings, preamble).await
    }

    /// Opens the database that a URL names: see [`PostgresOptions::from_url`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::open(PostgresOptions::from_url(url)?).await
    }

    /// Opens the database of a pool of the program's own. Its connections are used for as long as a call takes, and
    /// nothing is left behind in their sessions. What `options` say of the database and of connections is passed over.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn from_pool(pool: PgPool, options: PostgresOptions) -> Result<Self, StoreError> {
        options.settings.check(&location(&pool.connect_options()))?;
        let preamble = shared_sessions(&options.settings);
        Self::on(pool, options.settings, preamble).await
    }

    async fn on(pool: PgPool, settings: Settings, preamble: Preamble) -> Result<Self, StoreError> {
        let connect = pool.connect_options();
        let location = format!("{} (schema {})", location(&connect), settings.schema);
        schema::prepare_at(&connect, &settings, &location).await.map_err(|fault| fault.told(&location))?;
        let spaces = Arc::<Spaces>::default();
        let space = spaces.of(settings.namespace.as_deref().unwrap_or(NAMESPACE));
        let offset = settings.offset;
        let notifier = Arc::new(Notifier::new(pool.clone(), &settings.schema));
        let shared = Shared { pool, location, preamble, settings, spaces, notifier };
        Ok(Self { shared: Arc::new(shared), space, offset })
    }

    /// The server, the database and the schema, as they may be shown.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.shared.location
    }

    /// The schema's name.
    pub(crate) fn schema(&self) -> &str {
        &self.shared.settings.schema
    }

    /// The same store, seen through a clock that is shifted by so many milliseconds: a test hook.
    #[doc(hidden)]
    #[must_use]
    pub fn shifted(&self, millis: i64) -> Self {
        Self { offset: self.offset + millis, ..self.clone() }
    }

    /// Stores a ready chunk as it is: the door of the conformance suite for a chunk of a newer format.
    #[doc(hidden)]
    pub fn plant(&self, chunk: jobs_core::Chunk) -> StoreResult<'static, ()> {
        self.call(Lock::Shared, chunk, |step, chunk| Box::pin(async move { step.plant(chunk).await }))
    }

    fn call<A, T>(&self, lock: Lock, given: A, work: Work<A, T>) -> StoreResult<'static, T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.shared.call(self.space.clone(), self.offset, lock, given, work)
    }
}

fn shared_sessions(settings: &Settings) -> Preamble {
    Preamble::of_shared_sessions(&connection::settings(&settings.schema, settings.deadline))
}

/// Calls a method of a step.
macro_rules! call {
    ($self:ident, $lock:expr, $given:expr, |$step:ident, $args:pat_param| $work:expr) => {
        $self.call($lock, $given, |$step, $args| Box::pin($work))
    };
}

impl Store for PostgresStore {
    fn attach(&self, attach: Attach) -> StoreResult<'_, Attached> {
        call!(self, Lock::Shared, attach, |step, attach| step.attach(attach))
    }

    fn detach(&self, session: SessionId) -> StoreResult<'_, bool> {
        call!(self, Lock::Shared, session, |step, session| step.detach(*session))
    }

    fn beat(&self, beat: Beat) -> StoreResult<'_, Pulse> {
        call!(self, Lock::Shared, beat, |step, beat| step.beat(beat))
    }

    fn fire(&self, session: Option<SessionId>, fires: Vec<Fire>, want: Want) -> StoreResult<'_, Vec<Firing>> {
        call!(self, Lock::Shared, (session, fires, want), |step, (session, fires, want)| step
            .fire(*session, fires, want))
    }

    fn pass(&self, passes: Vec<Pass>) -> StoreResult<'_, Vec<Passing>> {
        call!(self, Lock::Shared, passes, |step, passes| step.pass_all(passes))
    }

    fn append(&self, append: Append) -> StoreResult<'_, Appended> {
        // What is staged is nobody's before the last append: lost with the server, its query begins anew, uncharged.
        let staged = append.page.is_none() && !append.last;
        let lock = if staged { Lock::Staging } else { Lock::Shared };
        call!(self, lock, append, |step, append| step.append(append))
    }

    fn settle(&self, settle: Settle) -> StoreResult<'_, Settled> {
        let lane = key(&[&settle.session.0.to_le_bytes(), &settle.lane.to_le_bytes()]);
        call!(self, Lock::Keyed(lane), settle, |step, settle| step.settle(settle))
    }

    fn complete(&self, runs: Vec<Complete>) -> StoreResult<'_, Vec<Completion>> {
        call!(self, Lock::Shared, runs, |step, runs| step.complete(runs))
    }

    fn cancel(&self, run: RunId) -> StoreResult<'_, Cancellation> {
        call!(self, Lock::Shared, run, |step, run| step.cancel(*run))
    }

    fn requeue(&self, requeue: Requeue) -> StoreResult<'_, Option<Requeued>> {
        let answer = key(&[b"requeue", self.space.name.as_bytes(), &requeue.request.to_le_bytes()]);
        call!(self, Lock::Keyed(answer), requeue, |step, requeue| step.requeue(requeue))
    }

    fn discard(&self, request: u64, items: Vec<ItemId>) -> StoreResult<'_, u64> {
        let answer = key(&[b"discard", self.space.name.as_bytes(), &request.to_le_bytes()]);
        let given = (request, items);
        call!(self, Lock::Keyed(answer), given, |step, (request, items)| step.discard(*request, items))
    }

    fn reap(&self, session: SessionId) -> StoreResult<'_, Reaped> {
        call!(self, Lock::Shared, session, |step, session| step.reap(*session))
    }

    fn prune(&self, limit: usize) -> StoreResult<'_, Pruned> {
        call!(self, Lock::Shared, limit, |step, limit| step.prune(*limit))
    }

    fn completable(&self, limit: usize) -> StoreResult<'_, Vec<RunId>> {
        call!(self, Lock::Shared, limit, |step, limit| step.completable(*limit))
    }

    fn get(&self, name: &str) -> StoreResult<'_, Option<Cell>> {
        call!(self, Lock::Read, name.to_owned(), |step, name| step.get(name))
    }

    fn list(&self, prefix: &str) -> StoreResult<'_, Vec<(String, Cell)>> {
        call!(self, Lock::Read, prefix.to_owned(), |step, prefix| step.list(prefix))
    }

    fn put_if(&self, name: &str, expected: u64, put: PutCell) -> StoreResult<'_, Result<u64, Option<Cell>>> {
        let given = (name.to_owned(), expected, put);
        call!(self, Lock::Shared, given, |step, (name, expected, put)| step.put_if(name, *expected, put))
    }

    fn jobs(&self) -> StoreResult<'_, Vec<JobRecord>> {
        call!(self, Lock::Read, (), |step, ()| step.job_records(None))
    }

    fn job(&self, job: &str) -> StoreResult<'_, Option<JobRecord>> {
        call!(self, Lock::Read, job.to_owned(), |step, job| async move {
            Ok(step.job_records(Some(job)).await?.pop())
        })
    }

    fn run(&self, run: RunId) -> StoreResult<'_, Option<RunReport>> {
        call!(self, Lock::Read, run, |step, run| step.run_report(*run))
    }

    fn runs(&self, filter: RunFilter) -> StoreResult<'_, Vec<RunReport>> {
        call!(self, Lock::Read, filter, |step, filter| step.run_reports(filter))
    }

    fn items(&self, run: RunId, limit: usize) -> StoreResult<'_, Vec<ItemInfo>> {
        call!(self, Lock::Read, (run, limit), |step, (run, limit)| step.items(*run, *limit))
    }

    fn sessions(&self) -> StoreResult<'_, Vec<SessionRecord>> {
        call!(self, Lock::Read, (), |step, ()| step.sessions())
    }

    fn ticks(&self, schedule: &str, limit: usize) -> StoreResult<'_, Vec<TickInfo>> {
        call!(self, Lock::Read, (schedule.to_owned(), limit), |step, (schedule, limit)| step
            .ticks(schedule, *limit))
    }

    fn dead(&self, filter: DeadFilter) -> StoreResult<'_, Vec<DeadItem>> {
        call!(self, Lock::Read, filter, |step, filter| step.dead(filter))
    }

    fn wakeups(&self) -> Wakeups {
        // A pooler gives its connections to others: nobody would listen.
        if self.shared.settings.pooler == Pooler::Session {
            self.shared.notifier.listen(&self.shared.spaces);
        }
        self.space.waker.wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        let space = self.shared.spaces.of(name);
        Some(Arc::new(Self { space, ..self.clone() }))
    }
}
