//! A store that lies, and what it remembers for that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jobs_core::{
    Appended, Attach, BoxFuture, Cancellation, Chunk, End, Fire, Firing, Lease, Marks, Millis, Reply, RunId,
    ScheduleState, SessionId, Settle, Settlement, Stage, Store, Token, Waker, Wakeups, Want,
};

use crate::call::{Answer, Call, Handle, Outcome, perform};

/// One rule broken, and nothing else as far as that can be.
#[derive(Clone, Copy, Debug)]
pub struct Lie {
    /// The rule that it breaks.
    pub rule: &'static str,
    /// What the wrong store does, after "a store that".
    pub how: &'static str,
    pub(super) kind: Kind,
}

/// Where a lie is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Another operation is done than was asked for.
    Asks(fn(&mut Call, &mut Notes)),
    /// Another answer is given than is true.
    Answers(fn(&Call, &mut Answer, &mut Notes)),
    /// Something else is done altogether.
    Acts(for<'a> fn(&'a Liar, Call) -> BoxFuture<'a, Outcome>),
    /// What is planted is changed.
    Plants(fn(&mut Chunk)),
    /// All namespaces are one.
    Shares,
    /// Each cell that is written is news for those who obey.
    Wakes,
}

impl Lie {
    pub(super) const fn asks(rule: &'static str, how: &'static str, lie: fn(&mut Call, &mut Notes)) -> Self {
        Self { rule, how, kind: Kind::Asks(lie) }
    }

    pub(super) const fn answers(
        rule: &'static str,
        how: &'static str,
        lie: fn(&Call, &mut Answer, &mut Notes),
    ) -> Self {
        Self { rule, how, kind: Kind::Answers(lie) }
    }

    pub(super) const fn acts(
        rule: &'static str,
        how: &'static str,
        lie: for<'a> fn(&'a Liar, Call) -> BoxFuture<'a, Outcome>,
    ) -> Self {
        Self { rule, how, kind: Kind::Acts(lie) }
    }
}

/// What was asked and answered so far.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// A number that grows.
    pub(super) count: u64,
    pub(super) calls: Vec<Call>,
    pub(super) attached: BTreeMap<SessionId, Attach>,
    /// When a session came, and when it was last heard of.
    pub(super) heard: BTreeMap<SessionId, (Millis, Millis)>,
    pub(super) states: BTreeMap<Arc<str>, ScheduleState>,
    pub(super) leases: BTreeMap<Token, (SessionId, Lease)>,
    /// The number of the next append under each lease, and whether pages were.
    pub(super) appends: BTreeMap<Token, (u64, bool)>,
    pub(super) cancelled: BTreeSet<RunId>,
    /// What a lie keeps for itself.
    pub(super) kept: BTreeMap<u64, Vec<jobs_core::Body>>,
    pub(super) marks: BTreeMap<String, u64>,
    pub(super) now: Millis,
    /// What wakes those who wait, of a store that has its own idea of news.
    waker: Waker,
}

impl Notes {
    /// Whether the same was asked before.
    pub(super) fn repeats(&self, call: &Call) -> bool {
        self.calls.contains(call)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// The run of a lease.
    pub(super) fn run(&self, token: Token) -> Option<RunId> {
        self.leases.get(&token).and_then(|(_, lease)| lease.chunk.header.run())
    }

    pub(super) fn is_fill(&self, token: Token) -> bool {
        self.leases.get(&token).is_some_and(|(_, lease)| lease.chunk.header.stage == Stage::Fill)
    }

    fn note(&mut self, call: &Call, reply: &Reply<Answer>) {
        self.now = reply.now;
        match (call, &reply.value) {
            (Call::Attach(attach), Answer::Attach(attached)) => {
                self.attached.insert(attach.session, attach.clone());
                self.heard.entry(attach.session).or_insert((reply.now, reply.now)).1 = reply.now;
                self.states.extend(attached.schedules.clone());
            }
            (Call::Detach(session), _) => {
                self.attached.remove(session);
                self.heard.remove(session);
            }
            (Call::Beat(beat), Answer::Beat(pulse)) if pulse.alive => {
                if let Some((_, heard)) = self.heard.get_mut(&beat.session) {
                    *heard = reply.now;
                }
            }
            (Call::Fire(Some(session), ..), Answer::Fire(fired)) => {
                for firing in fired {
                    if let Firing::Fired { lease: Some(lease), .. } = firing {
                        self.leases.insert(lease.token, (*session, lease.clone()));
                    }
                }
            }
            (Call::Settle(settle), Answer::Settle(settled)) => {
                let leases =
                    settled.leases.iter().map(|lease| (lease.token, (settle.session, lease.clone())));
                self.leases.extend(leases);
            }
            (Call::Append(append), Answer::Append(Appended::Stored { .. })) => {
                let (next, paged) = self.appends.entry(append.token).or_default();
                *next = (*next).max(append.seq + 1);
                *paged |= append.page.is_some();
            }
            (Call::Cancel(run), Answer::Cancel(Cancellation::Cancelled { .. })) => {
                self.cancelled.insert(*run);
            }
            _ => {}
        }
    }
}

/// A store that lies.
pub(super) struct Liar {
    inner: Arc<dyn Store>,
    lie: &'static Lie,
    notes: Arc<Mutex<Notes>>,
}

impl Liar {
    pub(super) fn new(inner: Arc<dyn Store>, lie: &'static Lie, notes: Arc<Mutex<Notes>>) -> Self {
        Self { inner, lie, notes }
    }

    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does an operation as it should be done.
    pub(super) async fn truly(&self, call: Call) -> Outcome {
        let reply = perform(&*self.inner, call.clone()).await?;
        self.notes().note(&call, &reply);
        Ok(reply)
    }

    /// The same, and remembers nothing of it.
    pub(super) async fn quietly(&self, call: Call) -> Outcome {
        perform(&*self.inner, call).await
    }

    /// The store's time.
    pub(super) async fn now(&self) -> Result<Millis, jobs_core::StoreError> {
        Ok(self.inner.get("nothing").await?.now)
    }

    /// Says all that the store has said, and some news more.
    fn wake(&self, news: u64) {
        let marks = self.inner.wakeups().marks();
        let mut notes = self.notes();
        notes.count += news;
        notes.waker.raise(Marks { control: marks.control + notes.count, ..marks });
    }

    /// Settles on behalf of whoever holds a lease.
    pub(super) async fn settle_for(&self, token: Token, from: u32, to: u32, end: End) -> Outcome {
        let (n, session) = {
            let mut notes = self.notes();
            (notes.next(), notes.leases.get(&token).map_or(SessionId(0), |(session, _)| *session))
        };
        let settlements = vec![Settlement { token, from, to, end }];
        let want = Want::default();
        self.truly(Call::Settle(Settle { session, lane: 990, n, settlements, effects: Vec::new(), want }))
            .await
    }

    /// Reaps through a session that does not wait.
    pub(super) async fn reap_at_once(&self) -> Outcome {
        let session = SessionId(0xbad);
        let attach = Attach { lease: std::time::Duration::ZERO, ..crate::bench::attach(session, &[]) };
        perform(&*self.inner, Call::Attach(attach)).await?;
        let reply = perform(&*self.inner, Call::Reap(session)).await?;
        perform(&*self.inner, Call::Detach(session)).await?;
        Ok(reply)
    }
}

impl Handle for Liar {
    fn handle(&self, mut call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let asked = call.clone();
            let reply = match self.lie.kind {
                Kind::Asks(lie) => {
                    lie(&mut call, &mut self.notes());
                    self.truly(call).await
                }
                Kind::Answers(lie) => {
                    let mut reply = self.truly(call.clone()).await?;
                    lie(&call, &mut reply.value, &mut self.notes());
                    Ok(reply)
                }
                Kind::Acts(lie) => lie(self, call).await,
                Kind::Plants(_) | Kind::Shares => self.truly(call).await,
                Kind::Wakes => {
                    let news = u64::from(matches!(call, Call::PutIf(..)));
                    let reply = self.truly(call).await;
                    self.wake(news);
                    reply
                }
            };
            self.notes().calls.push(asked);
            reply
        })
    }

    fn wakeups(&self) -> Wakeups {
        match self.lie.kind {
            Kind::Wakes => self.notes().waker.wakeups(),
            _ => self.inner.wakeups(),
        }
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        match self.lie.kind {
            Kind::Shares => Some(self.inner.clone()),
            _ => self.inner.namespace(name),
        }
    }
}

/// The fires in a call.
pub(super) fn fires(call: &mut Call) -> &mut [Fire] {
    match call {
        Call::Fire(_, fires, _) => fires,
        _ => &mut [],
    }
}

/// The ends in a call, each with its lease.
pub(super) fn ends(call: &mut Call) -> impl Iterator<Item = (Token, &mut End)> {
    let settlements = match call {
        Call::Settle(settle) => settle.settlements.as_mut_slice(),
        _ => &mut [],
    };
    settlements.iter_mut().map(|settlement| (settlement.token, &mut settlement.end))
}

/// The firings in an answer.
pub(super) fn firings(answer: &mut Answer) -> &mut [Firing] {
    match answer {
        Answer::Fire(firings) => firings,
        _ => &mut [],
    }
}

/// The leases in an answer.
pub(super) fn leases(answer: &mut Answer) -> Vec<&mut Lease> {
    match answer {
        Answer::Settle(settled) => settled.leases.iter_mut().collect(),
        Answer::Fire(fired) => fired
            .iter_mut()
            .filter_map(|firing| match firing {
                Firing::Fired { lease, .. } => lease.as_mut(),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What a job is linked with in a call.
pub(super) fn links(call: &mut Call) -> &mut [jobs_core::Link] {
    match call {
        Call::Attach(attach) => &mut attach.links,
        _ => &mut [],
    }
}

/// The reports in an answer to one of the questions for one run.
pub(super) fn report(answer: &mut Answer) -> Option<&mut jobs_core::RunReport> {
    match answer {
        Answer::Run(report) => report.as_mut(),
        _ => None,
    }
}
