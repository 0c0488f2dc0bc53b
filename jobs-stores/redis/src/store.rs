//! The store as its callers see it.

use std::sync::{Arc, OnceLock};

use jobs_core::{
    Append, Appended, Attach, Attached, Beat, BoxError, Cancellation, Cell, Chunk, Complete, Completion,
    DeadFilter, DeadItem, Fire, Firing, ItemId, ItemInfo, JobRecord, Pass, Passing, Pruned, Pulse, PutCell,
    Reaped, Reply, Requeue, Requeued, RunFilter, RunId, RunReport, SessionId, SessionRecord, Settle, Settled,
    Store, StoreError, StoreResult, TickInfo, Wakeups, Want, notice,
};
use redis::{Client, aio::ConnectionManager};
use serde::Serialize;
use serde_json::json;

use crate::{
    answers, bodies, checks, declaring, firing,
    headers::Sent,
    listening::Listener,
    options::{RedisOptions, is_namespace},
    reply::{List, Read, UNREAD},
    reports, request,
    script::{self, Script},
    server::{self, Server},
    space::{Space, Spaces},
    waiting::UnderWay,
    wire::{Call, Wire},
};

/// A store on a server of Redis.
///
/// Any number of processes may use the server at once. Clones share one connection, which is renewed when it is lost,
/// and another one for news of what others do, once somebody waits for them. An operation that is not answered within
/// the deadline fails as unreachable. A future that is dropped does not take its operation back.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
    space: Arc<Space>,
    offset: i64,
}

/// What all clones share.
struct Shared {
    wire: Wire,
    /// What connects for news; none for a connection that is lent without a server being named.
    client: Option<Client>,
    spaces: Arc<Spaces>,
    listener: OnceLock<Option<Listener>>,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("server", &self.shared.wire.place)
            .field("namespace", &self.space.name)
            .finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects to a server, and makes the namespace if it is not there.
    ///
    /// # Errors
    /// [`StoreError::BadUrl`] if the options name no server, or the server refuses the user; [`StoreError::Unreachable`]
    /// if nothing answers; [`StoreError::ReadOnly`] if it is a replica; [`StoreError::Foreign`] if something else has
    /// the keys of the namespace; [`StoreError::NewerSchema`] if a newer version wrote them; [`StoreError::Full`] if its
    /// memory is full.
    pub async fn open(options: RedisOptions) -> Result<Self, StoreError> {
        let client = server::client(&options)?;
        Self::begin(Server::own(client.clone()), Some(client), &options).await
    }

    /// Connects to the server that a URL names: see [`RedisOptions::from_url`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::open(RedisOptions::from_url(url)?).await
    }

    /// Uses a connection of the program's own, with [`RedisOptions::lent`]. It is renewed as it was set up to be; of its
    /// timeouts, one that is shorter than the deadline comes first. If the options name its server all the same, news of
    /// other processes come by a connection to it; else they come with the poll alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn over(manager: ConnectionManager, options: RedisOptions) -> Result<Self, StoreError> {
        let client = options.url.is_some().then(|| server::client(&options)).transpose()?;
        Self::begin(Server::Lent(manager), client, &options).await
    }

    async fn begin(
        server: Server,
        client: Option<Client>,
        options: &RedisOptions,
    ) -> Result<Self, StoreError> {
        let limits = OnceLock::new();
        let wire = Wire { server, place: options.shown_url(), deadline: options.deadline, limits };
        let spaces = Arc::<Spaces>::default();
        let space = spaces.of(options.checked_namespace()?);
        let shared = Arc::new(Shared { wire, client, spaces, listener: OnceLock::new() });
        let store = Self { shared, space, offset: options.offset };
        store.ask(&script::OPEN, json!({}), nothing).await?;
        let wire = &store.shared.wire;
        let limits = checks::look(wire).await?;
        wire.limits.get_or_init(|| limits);
        Ok(store)
    }

    /// The same store, seen through a clock that is shifted by so many milliseconds: a test hook.
    #[doc(hidden)]
    #[must_use]
    pub fn shifted(&self, millis: i64) -> Self {
        Self { offset: self.offset + millis, ..self.clone() }
    }

    /// Stores a ready chunk as it is: the door of the conformance suite for a chunk of a newer format.
    #[doc(hidden)]
    pub fn plant(&self, chunk: &Chunk) -> StoreResult<'static, ()> {
        let sent = Sent::new(&chunk.header, chunk.count()).map(|sent| json!({ "chunk": sent }));
        self.send(&script::PLANT, sent.map_err(Into::into), vec![bodies::stored(&chunk.body)], true, nothing)
    }

    /// Does an operation that may be done again without harm.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        script: &'static Script,
        request: impl Serialize,
        read: impl FnOnce(List) -> Read<T> + Send + 'static,
    ) -> StoreResult<'static, T> {
        self.send(script, Ok(request), Vec::new(), true, read)
    }

    /// Sends a request to its script, and tells those who wait what it did if they do not hear it otherwise.
    pub(crate) fn send<T: Send + 'static>(
        &self,
        script: &'static Script,
        request: Result<impl Serialize, BoxError>,
        blobs: Vec<Vec<u8>>,
        repeatable: bool,
        read: impl FnOnce(List) -> Read<T> + Send + 'static,
    ) -> StoreResult<'static, T> {
        let request = request.and_then(|request| Ok(serde_json::to_string(&request)?));
        let (shared, space, offset) = (self.shared.clone(), self.space.clone(), self.offset);
        let under_way = UnderWay::begin();
        Box::pin(async move {
            let request = request.map_err(StoreError::Backend)?;
            let call = Call { script, key: space.key(), offset, request, blobs, repeatable };
            let answered = shared.wire.run(call, under_way, read).await?;
            if answered.marks.contains('u') {
                let place = &shared.wire.place;
                let text = "holds items that this version cannot read; they are left as they are";
                notice::warn(UNREAD, format_args!("the namespace `{}` of {place} {text}", space.name));
            }
            let is_heard = shared.listener.get().is_some_and(|l| l.as_ref().is_some_and(Listener::hears));
            if !answered.marks.is_empty() && !is_heard {
                space.raise(&answered.marks);
            }
            Ok(answered.reply)
        })
    }

    /// Moves dead items into a new run, unless one of them is gone when it comes to that: then nothing is done.
    async fn requeue_once(&self, requeue: &Requeue) -> Result<Option<Reply<Option<Requeued>>>, StoreError> {
        let items: Vec<String> = requeue.items.iter().map(ToString::to_string).collect();
        let asked = json!({ "request": requeue.request.to_string(), "job": requeue.job, "items": items });
        let graves = self.ask(&script::GRAVES, asked, |mut graves| graves.each_list(answers::grave)).await?;
        let (request, blobs) = request::requeue(requeue, &graves.value).map_err(StoreError::Backend)?;
        let reply = self.send(&script::REQUEUE, Ok(request), blobs, true, answers::requeued).await?;
        let now = reply.now;
        Ok(reply.value.map(|value| Reply { now, value }))
    }
}

/// As many as a script is asked for at once: more than a server holds.
pub(crate) fn bounded(limit: usize) -> usize {
    limit.min(1 << 30)
}

fn nothing(_: List) -> Read<()> {
    Ok(())
}

impl Store for RedisStore {
    fn attach(&self, attach: Attach) -> StoreResult<'_, Attached> {
        self.send(&script::ATTACH, declaring::attach(&attach), Vec::new(), true, answers::attached)
    }

    fn detach(&self, session: SessionId) -> StoreResult<'_, bool> {
        self.ask(&script::DETACH, json!({ "session": request::session(session) }), |mut of| of.flag())
    }

    fn beat(&self, beat: Beat) -> StoreResult<'_, Pulse> {
        self.ask(&script::BEAT, declaring::beat(&beat), answers::pulse)
    }

    fn fire(&self, session: Option<SessionId>, fires: Vec<Fire>, want: Want) -> StoreResult<'_, Vec<Firing>> {
        let request = firing::fires(session, &fires, &want);
        self.send(&script::FIRE, request, Vec::new(), true, |mut of| of.each_list(answers::firing))
    }

    fn pass(&self, passes: Vec<Pass>) -> StoreResult<'_, Vec<Passing>> {
        let request = firing::passes(&passes);
        self.send(&script::PASS, request, Vec::new(), true, |mut of| of.each_list(answers::passing))
    }

    fn append(&self, append: Append) -> StoreResult<'_, Appended> {
        let cursor = append.page.clone().flatten().unwrap_or_default();
        let found = append.bodies.iter().filter(|body| body.count() > 0).map(bodies::stored);
        let blobs = std::iter::once(cursor).chain(found).collect();
        self.send(&script::APPEND, Ok(request::append(&append)), blobs, true, answers::appended)
    }

    fn settle(&self, settle: Settle) -> StoreResult<'_, Settled> {
        self.send(&script::SETTLE, request::settle(&settle), Vec::new(), true, answers::settled)
    }

    fn complete(&self, runs: Vec<Complete>) -> StoreResult<'_, Vec<Completion>> {
        Box::pin(self.clone().complete_all(runs))
    }

    fn cancel(&self, run: RunId) -> StoreResult<'_, Cancellation> {
        self.ask(&script::CANCEL, json!({ "run": run.to_string() }), answers::cancelled)
    }

    fn requeue(&self, requeue: Requeue) -> StoreResult<'_, Option<Requeued>> {
        let this = self.clone();
        Box::pin(async move {
            loop {
                if let Some(reply) = this.requeue_once(&requeue).await? {
                    return Ok(reply);
                }
            }
        })
    }

    fn discard(&self, request: u64, items: Vec<ItemId>) -> StoreResult<'_, u64> {
        Box::pin(self.clone().discard_all(request, items))
    }

    fn reap(&self, session: SessionId) -> StoreResult<'_, Reaped> {
        self.ask(&script::REAP, json!({ "session": request::session(session) }), reports::reaped)
    }

    fn prune(&self, limit: usize) -> StoreResult<'_, Pruned> {
        self.ask(&script::PRUNE, json!({ "limit": bounded(limit) }), answers::pruned)
    }

    fn completable(&self, limit: usize) -> StoreResult<'_, Vec<RunId>> {
        self.ask(&script::COMPLETABLE, json!({ "limit": bounded(limit) }), |mut of| of.all(List::run_id))
    }

    fn get(&self, name: &str) -> StoreResult<'_, Option<Cell>> {
        let one = |mut of: List| Ok(of.readable(answers::named_cell)?.pop().map(|(_, cell)| cell));
        self.ask(&script::CELLS_OF, json!({ "name": name }), one)
    }

    fn list(&self, prefix: &str) -> StoreResult<'_, Vec<(String, Cell)>> {
        let all = |mut of: List| of.readable(answers::named_cell);
        self.ask(&script::CELLS_OF, json!({ "prefix": prefix }), all)
    }

    fn put_if(&self, name: &str, expected: u64, put: PutCell) -> StoreResult<'_, Result<u64, Option<Cell>>> {
        let request = request::put(name, Some(expected), &put);
        // Done again, it would find its own version, and say that somebody else was first.
        self.send(&script::PUT, request, Vec::new(), false, answers::put)
    }

    fn jobs(&self) -> StoreResult<'_, Vec<JobRecord>> {
        Box::pin(self.clone().all_jobs())
    }

    fn job(&self, job: &str) -> StoreResult<'_, Option<JobRecord>> {
        let one = |mut of: List| {
            let _end = of.text()?;
            Ok(of.list()?.readable(reports::job)?.pop())
        };
        self.ask(&script::JOBS_OF, json!({ "name": job }), one)
    }

    fn run(&self, run: RunId) -> StoreResult<'_, Option<RunReport>> {
        let one = |mut of: List| {
            let _end = of.text()?;
            Ok(of.list()?.readable(reports::report)?.pop())
        };
        self.ask(&script::RUNS_OF, json!({ "run": run.to_string() }), one)
    }

    fn runs(&self, filter: RunFilter) -> StoreResult<'_, Vec<RunReport>> {
        Box::pin(self.clone().all_runs(filter))
    }

    fn items(&self, run: RunId, limit: usize) -> StoreResult<'_, Vec<ItemInfo>> {
        Box::pin(self.clone().all_items(run, limit))
    }

    fn sessions(&self) -> StoreResult<'_, Vec<SessionRecord>> {
        self.ask(&script::SESSIONS_OF, json!({}), |mut of| {
            let mut records = of.readable(reports::session)?;
            records.sort_by(|a, b| (&a.node.name, a.session).cmp(&(&b.node.name, b.session)));
            Ok(records)
        })
    }

    fn ticks(&self, schedule: &str, limit: usize) -> StoreResult<'_, Vec<TickInfo>> {
        let request = json!({ "schedule": schedule, "limit": bounded(limit) });
        self.ask(&script::TICKS_OF, request, |mut of| of.readable(reports::verdict))
    }

    fn dead(&self, filter: DeadFilter) -> StoreResult<'_, Vec<DeadItem>> {
        Box::pin(self.clone().all_dead(filter))
    }

    fn wakeups(&self) -> Wakeups {
        let Shared { client, spaces, wire, .. } = &*self.shared;
        let start = || Listener::start(client.clone()?, spaces.clone(), wire.deadline);
        self.shared.listener.get_or_init(start);
        self.space.waker.wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        let space = is_namespace(name).then(|| self.shared.spaces.of(name))?;
        Some(Arc::new(Self { space, ..self.clone() }))
    }
}
