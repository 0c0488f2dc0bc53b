//! A store that answers, but for one kind of call: that it refuses, or does not answer, or does and says that it has not.
//! Nothing else waits for it, and nothing is lost.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use behaviour::{Gate, Inside, Log, MINUTE, SECOND};
use jobs_conformance::{
    Handle, Wrapper,
    call::{Answer, Call, Outcome as Reply, perform},
};
use jobs_core::{BoxFuture, Cause, End, Firing, Passing, Store, StoreError, Wakeups};
use jobs_runner::{
    Event, MemoryStore, RunState, Runner, RunnerBuilder, ShutdownError,
    prelude::*,
    testing::{Harness, Running},
};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, Default)]
enum Fate {
    #[default]
    Answered,
    Refused,
    /// It fails, and nothing is done.
    Failed,
    /// It fails after so long, as at a store's deadline, and nothing is done.
    FailsAfter(Duration),
    /// It fails, but all is done.
    Unheard,
    /// It is answered late.
    Slow(Duration),
    /// It is never answered.
    Hangs,
    /// The answer says that it is too early, or that another declaration is in force.
    NotYet,
    Stale,
}

type Decides = Arc<dyn Fn(&Call) -> Fate + Send + Sync>;

/// A store that is particular about some calls. It counts all that are not simply answered, and the beats.
#[derive(Clone)]
struct Choosy {
    inner: MemoryStore,
    decides: Arc<Mutex<Decides>>,
    counts: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    most_held: Arc<Mutex<u64>>,
}

/// More calls than these of one kind are an endless loop.
const ENDLESS: usize = 5_000;

impl Choosy {
    /// At the harness's clock, which begins with the year.
    fn new() -> Self {
        let began = tokio::time::Instant::now();
        let year: Timestamp = behaviour::at("2026-01-01T00:00:00Z");
        let inner = MemoryStore::with_clock(move || (year + began.elapsed()).into());
        let decides: Decides = Arc::new(|_| Fate::Answered);
        let decides = Arc::new(Mutex::new(decides));
        Self { inner, decides, counts: Arc::default(), most_held: Arc::default() }
    }

    /// From now on.
    fn decides(&self, decides: impl Fn(&Call) -> Fate + Send + Sync + 'static) {
        *self.decides.lock().unwrap() = Arc::new(decides);
    }

    fn count(&self, what: &str) -> usize {
        self.counts.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    fn counted(&self, what: &'static str) {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(what).or_default();
        *count += 1;
        assert!(*count < ENDLESS, "{what} without end");
    }

    async fn treat(&self, call: Call) -> Reply {
        let decides = self.decides.lock().unwrap().clone();
        let (fate, what) = (decides(&call), call.operation());
        if what == "beat" {
            self.counted("beat");
        }
        if !matches!(fate, Fate::Answered) {
            self.counted(if what == "beat" { "beat, not answered" } else { what });
        }
        let failed = || StoreError::Unreachable { message: format!("no answer to {what}") };
        match fate {
            Fate::Answered => perform(&self.inner, call).await,
            Fate::Refused => Err(StoreError::Refused { message: format!("no {what}, for this reason") }),
            Fate::Failed => Err(failed()),
            Fate::FailsAfter(wait) => {
                tokio::time::sleep(wait).await;
                Err(failed())
            }
            Fate::Unheard => perform(&self.inner, call).await.and_then(|_| Err(failed())),
            Fate::Slow(wait) => {
                tokio::time::sleep(wait).await;
                perform(&self.inner, call).await
            }
            Fate::Hangs => std::future::pending().await,
            Fate::NotYet => {
                let mut reply = perform(&self.inner, Call::Sessions).await?;
                reply.value = match call {
                    Call::Pass(passes) => Answer::Pass(passes.iter().map(|_| Passing::NotYet).collect()),
                    Call::Fire(_, fires, _) => {
                        let not_yet = |_| Firing::NotYet { wait: 30 * SECOND };
                        Answer::Fire(fires.iter().map(not_yet).collect())
                    }
                    _ => panic!("{what} is never too early"),
                };
                Ok(reply)
            }
            Fate::Stale => {
                let mut reply = perform(&self.inner, Call::Sessions).await?;
                let Call::Fire(_, fires, _) = call else { panic!("{what} is of no declaration") };
                reply.value = Answer::Fire(fires.iter().map(|_| Firing::Stale).collect());
                Ok(reply)
            }
        }
    }
}

impl Handle for Choosy {
    fn handle(&self, call: Call) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            let reply = self.treat(call).await;
            if let Ok(sessions) = self.inner.sessions().await {
                let held: u64 = sessions.value.iter().map(|session| session.holds).sum();
                let mut most = self.most_held.lock().unwrap();
                *most = held.max(*most);
            }
            reply
        })
    }

    fn wakeups(&self) -> Wakeups {
        self.inner.wakeups()
    }

    fn namespace(&self, _name: &str) -> Option<Arc<dyn Store>> {
        None
    }
}

const ITEMS: u32 = 50;
/// So many items fill two hundred bodies.
const WIDE: u32 = 200_000;
/// The harness's only node.
const NODE: &str = "a";
/// The item whose end some stores of these tests do not take.
const ODD: u32 = 13;

#[derive(Clone, Default)]
struct Work {
    log: Log<u32>,
    quick: Log<u32>,
    gate: Gate,
    inside: Inside,
}

#[cron_group("work")]
impl Work {
    #[query("many")]
    async fn numbers(&self) -> Vec<u32> {
        (0..ITEMS).collect()
    }
    #[job("many")]
    async fn many(&self, n: u32) -> Outcome {
        self.log.note(n);
        if n == ODD { Outcome::Discard("odd".to_owned()) } else { Outcome::Done }
    }

    #[query("held")]
    async fn waiting(&self) -> Vec<u32> {
        (0..ITEMS).collect()
    }
    #[job("held")]
    async fn held(&self, n: u32) {
        let _inside = self.inside.enter();
        self.gate.pass().await;
        self.log.note(n);
    }

    #[query("wide")]
    async fn all(&self) -> impl Iterator<Item = u32> {
        0..WIDE
    }
    #[job("wide", max_compute_time = "10s")]
    async fn wide(&self, n: u32) {
        self.log.note(n);
    }

    #[job("minute", "* * * * *", catch_up = "skip")]
    async fn minute(&self) {}

    #[job("other", "* * * * *")]
    async fn other(&self) {}

    #[job("quick")]
    async fn quick(&self) {
        self.quick.note(1);
    }
}

impl Work {
    /// Each of the items `0..n` has been done, and none twice.
    fn has_done_each_once(&self, n: u32) {
        let mut all = self.log.all();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..n), "each is done once");
    }
}

async fn start() -> (Running, Work, Choosy) {
    tokio::time::pause();
    let (work, choosy) = (Work::default(), Choosy::new());
    let store = choosy.clone();
    let with = move |builder: RunnerBuilder| {
        builder.store(Wrapper(store.clone())).lease(15 * SECOND).max_concurrency(8)
    };
    let t = Harness::new().provide(work.clone()).with(with).start().await.unwrap();
    (t, work, choosy)
}

fn count(t: &Running, of: impl Fn(&Event) -> bool) -> usize {
    t.events().iter().filter(|event| of(event)).count()
}

fn is_outage(event: &Event) -> bool {
    matches!(event, Event::StoreLost { .. })
}

fn is_lost(event: &Event) -> bool {
    matches!(event, Event::LeaseLost { .. })
}

/// Whether a call settles the odd item.
fn is_odd(call: &Call) -> bool {
    let odd = |end: &End| matches!(end, End::Discarded(_));
    matches!(call, Call::Settle(settle) if settle.settlements.iter().any(|s| odd(&s.end)))
}

fn fires(call: &Call, job: &str) -> bool {
    let of = |cause: &Cause| matches!(cause, Cause::Tick { schedule, .. } if **schedule == *job);
    matches!(call, Call::Fire(_, fires, _) if fires.iter().any(|fire| of(&fire.cause)))
}

/// Decides so of the first `n` calls of these.
fn first(
    n: usize,
    of: impl Fn(&Call) -> bool + Send + Sync,
    fate: Fate,
) -> impl Fn(&Call) -> Fate + Send + Sync {
    let left = Mutex::new(n);
    move |call| {
        let mut left = left.lock().unwrap();
        if *left == 0 || !of(call) {
            return Fate::Answered;
        }
        *left -= 1;
        fate
    }
}

#[tokio::test]
async fn a_refusal_to_lease_costs_no_result() -> Result<()> {
    let (t, work, choosy) = start().await;
    let wants = |call: &Call| matches!(call, Call::Settle(settle) if settle.want.slots > 0 && !settle.settlements.is_empty());
    choosy.decides(first(10, wants, Fate::Refused));
    let report = t.run("work.many").await?;
    assert!(choosy.count("settle") >= 5, "{}", choosy.count("settle"));
    assert_eq!((report.counts.ok, report.counts.discarded, report.counts.dead), (49, 1, 0));
    work.has_done_each_once(ITEMS);
    Ok(())
}

#[tokio::test]
async fn a_result_that_is_not_answered_holds_up_no_other() -> Result<()> {
    let (t, work, choosy) = start().await;
    choosy.decides(|call| if is_odd(call) { Fate::Failed } else { Fate::Answered });
    let run = t.client().run("work.many").await?;
    t.advance(5 * MINUTE).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.discarded), (RunState::Working, 49, 0));
    assert_eq!(t.fired("work.other").len(), 5);
    assert!(choosy.count("settle") < 100, "ever more rarely: {}", choosy.count("settle"));
    assert!(count(&t, is_outage) < 10, "the store is there: {}", count(&t, is_outage));
    choosy.decides(|_| Fate::Answered);
    t.advance(MINUTE).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.discarded), (RunState::Succeeded, 49, 1));
    work.has_done_each_once(ITEMS);
    Ok(())
}

#[tokio::test]
async fn a_call_that_was_done_and_not_answered_leases_once() -> Result<()> {
    let (t, work, choosy) = start().await;
    let run = t.client().run("work.held").await?;
    t.advance(SECOND).await;
    let both = |call: &Call| matches!(call, Call::Settle(settle) if settle.want.slots > 0 && !settle.settlements.is_empty());
    choosy.decides(move |call| if both(call) { Fate::Unheard } else { Fate::Answered });
    work.gate.let_through(4);
    t.advance(SECOND).await;
    assert!(choosy.count("settle") >= 3, "{}", choosy.count("settle"));
    assert_eq!(*choosy.most_held.lock().unwrap(), 8, "as many as there are slots");
    choosy.decides(|_| Fate::Answered);
    work.gate.open();
    t.advance(SECOND).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.counts.ok, count(&t, is_lost)), (u64::from(ITEMS), 0));
    work.has_done_each_once(ITEMS);
    Ok(())
}

#[tokio::test]
async fn a_pass_that_is_refused_is_tried_again_with_the_next_tick() -> Result<()> {
    let (t, _, choosy) = start().await;
    choosy.decides(|call| match call {
        Call::Pass(passes) if passes.iter().any(|pass| &*pass.schedule == "work.minute") => Fate::Refused,
        _ => Fate::Answered,
    });
    t.client().pause("work.minute", "for a while").await?;
    t.advance(5 * MINUTE).await;
    assert!((1..=15).contains(&choosy.count("pass")), "{}", choosy.count("pass"));
    assert_eq!(t.fired("work.other").len(), 5);
    choosy.decides(|_| Fate::Answered);
    t.advance(MINUTE).await;
    let skipped = count(&t, |event| matches!(event, Event::TickSkipped { job, .. } if job == "work.minute"));
    assert!(skipped >= 1, "what was refused is on record after all");
    assert_eq!(count(&t, is_outage), 0);
    Ok(())
}

#[tokio::test]
async fn a_tick_that_is_refused_once_is_on_record_with_the_next() -> Result<()> {
    let (t, _, choosy) = start().await;
    // The second call shows which of the two it is.
    choosy.decides(first(2, |call| fires(call, "work.minute"), Fate::Refused));
    t.advance(3 * MINUTE).await;
    assert_eq!(t.fired("work.minute").len(), 2, "the first was refused");
    assert_eq!(t.fired("work.other").len(), 3);
    let missed =
        |event: &Event| matches!(event, Event::TicksMissed { job, count: 1, .. } if job == "work.minute");
    assert_eq!(count(&t, missed), 1, "and said to be missed");
    Ok(())
}

#[tokio::test]
async fn what_is_too_early_waits_as_long_as_the_store_says() -> Result<()> {
    let (t, _, choosy) = start().await;
    choosy.decides(first(2, |call| fires(call, "work.other"), Fate::NotYet));
    t.advance(MINUTE + 55 * SECOND).await;
    assert_eq!(choosy.count("fire"), 2, "a minute after the start, and half a minute later");
    assert!(t.fired("work.other").is_empty());
    t.advance(10 * SECOND).await;
    assert_eq!(t.fired("work.other").len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_attach_that_is_refused_stops_no_heartbeat() -> Result<()> {
    let (t, work, choosy) = start().await;
    let run = t.client().run("work.held").await?;
    t.advance(SECOND).await;
    choosy.decides(|call| match call {
        Call::Attach(_) => Fate::Refused,
        call if fires(call, "work.minute") => Fate::Stale,
        _ => Fate::Answered,
    });
    t.advance(5 * MINUTE).await;
    assert!(choosy.count("attach") >= 1, "the schedule is declared otherwise");
    assert!(choosy.count("beat") > 50, "{}", choosy.count("beat"));
    assert_eq!(count(&t, is_lost), 0);
    work.gate.open();
    t.advance(SECOND).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.ok), (RunState::Succeeded, u64::from(ITEMS)));
    Ok(())
}

#[tokio::test]
async fn a_heartbeat_that_is_refused_is_no_outage() -> Result<()> {
    let (t, _, choosy) = start().await;
    choosy.decides(|call| if matches!(call, Call::Beat(_)) { Fate::Refused } else { Fate::Answered });
    t.advance(5 * SECOND).await;
    assert!(choosy.count("beat, not answered") >= 1);
    assert_eq!(count(&t, is_outage), 0);
    Ok(())
}

#[tokio::test]
async fn a_query_whose_last_page_is_not_answered_ends_with_the_runner() -> Result<()> {
    let (t, _, choosy) = start().await;
    choosy.decides(|call| if matches!(call, Call::Append(_)) { Fate::Hangs } else { Fate::Answered });
    let _run = t.client().run("work.many").await?;
    t.advance(SECOND).await;
    assert_eq!(choosy.count("append"), 1);
    let began = t.now();
    assert!(matches!(t.shutdown(NODE, SECOND).await, Err(ShutdownError::GraceExceeded { cancelled: 1 })));
    assert!(t.now() < began + 3 * SECOND);
    let sessions = choosy.inner.sessions().await.unwrap().value;
    assert!(sessions.iter().all(|session| session.holds == 0), "its item went back: {sessions:?}");
    Ok(())
}

#[tokio::test]
async fn a_query_finds_on_while_the_store_takes_what_it_found() -> Result<()> {
    let (t, work, choosy) = start().await;
    let slow = Fate::Slow(8 * SECOND);
    choosy.decides(move |call| if matches!(call, Call::Append(_)) { slow } else { Fate::Answered });
    let report = t.run("work.wide").await?;
    assert_eq!(
        (report.state, report.counts.ok),
        (RunState::Succeeded, u64::from(WIDE)),
        "waiting is no computing"
    );
    assert!(
        choosy.count("append") <= 5,
        "each takes what has been found meanwhile: {}",
        choosy.count("append")
    );
    work.has_done_each_once(WIDE);
    Ok(())
}

/// How long a run of `work.quick` takes from now on.
async fn wait_of_quick(t: &Running, work: &Work) -> Result<Duration> {
    let (began, before) = (t.now(), work.quick.all().len());
    let _run = t.client().run("work.quick").await?;
    while work.quick.all().len() == before && t.now() < began + 30 * MINUTE {
        t.advance(Duration::from_millis(100)).await;
    }
    Ok(t.now().duration_since(began).unsigned_abs())
}

#[tokio::test]
async fn a_tick_that_is_not_answered_takes_nobodys_slots() -> Result<()> {
    let (t, work, choosy) = start().await;
    let fails = Fate::FailsAfter(5 * SECOND);
    choosy.decides(move |call| if fires(call, "work.minute") { fails } else { Fate::Answered });
    t.advance(MINUTE + 2 * SECOND).await;
    assert!(wait_of_quick(&t, &work).await? < SECOND);
    t.advance(30 * MINUTE).await;
    assert!(choosy.count("fire") < 100, "ever more rarely: {}", choosy.count("fire"));
    assert_eq!(t.fired("work.other").len(), 31);
    Ok(())
}

#[tokio::test]
async fn a_result_that_takes_its_time_to_fail_holds_up_nobody_for_long() -> Result<()> {
    let (t, work, choosy) = start().await;
    let _run = t.client().run("work.many").await?;
    let fails = Fate::FailsAfter(5 * SECOND);
    choosy.decides(move |call| if is_odd(call) { fails } else { Fate::Answered });
    t.advance(SECOND).await;
    let wait = wait_of_quick(&t, &work).await?;
    assert!(wait < 25 * SECOND, "three tries and one more: {wait:?}");
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_refused_after_it_was_done_settles_what_follows() -> Result<()> {
    let (t, work, choosy) = start().await;
    let run = t.client().run("work.held").await?;
    t.advance(SECOND).await;
    let fates = Mutex::new(vec![Fate::Refused, Fate::Unheard]);
    let wants = |call: &Call| matches!(call, Call::Settle(s) if s.settlements.is_empty() && s.want.slots > 0);
    choosy.decides(move |call| match wants(call) {
        true => fates.lock().unwrap().pop().unwrap_or_default(),
        false => Fate::Answered,
    });
    work.gate.let_through(3);
    t.advance(3 * SECOND).await;
    work.gate.open();
    t.advance(3 * MINUTE).await;
    assert_eq!(t.client().report(run.id()).await?.counts.ok, u64::from(ITEMS));
    work.has_done_each_once(ITEMS);
    Ok(())
}

#[tokio::test]
async fn a_shutdown_loses_no_result_because_of_another() -> Result<()> {
    let (t, work, choosy) = start().await;
    let run = t.client().run("work.many").await?;
    choosy.decides(|call| if is_odd(call) { Fate::Failed } else { Fate::Answered });
    t.advance(Duration::from_millis(100)).await;
    t.shutdown(NODE, 10 * SECOND).await?;
    let settled = choosy.inner.run(run.id()).await.unwrap().value.unwrap().counts;
    let done = work.log.all().len() as u64;
    assert_eq!(settled.ok + 1, done, "all but the odd one");
    let sessions = choosy.inner.sessions().await.unwrap().value;
    let held: u64 = sessions.iter().map(|session| session.holds).sum();
    assert!(held <= u64::from(ITEMS) - done + 1, "what is not settled ends with the lease: {sessions:?}");
    Ok(())
}

#[tokio::test]
async fn what_was_set_aside_is_tried_once_more_at_the_end() -> Result<()> {
    let (t, _, choosy) = start().await;
    choosy.decides(|call| if is_odd(call) { Fate::Failed } else { Fate::Answered });
    let run = t.client().run("work.many").await?;
    t.advance(2 * MINUTE).await;
    choosy.decides(|_| Fate::Answered);
    t.shutdown(NODE, 10 * SECOND).await?;
    let settled = choosy.inner.run(run.id()).await.unwrap().value.unwrap().counts;
    assert_eq!((settled.ok, settled.discarded), (49, 1));
    Ok(())
}

#[tokio::test]
async fn while_nothing_is_settled_no_more_is_begun() -> Result<()> {
    let (t, work, choosy) = start().await;
    choosy.decides(|call| match call {
        Call::Settle(settle) if !settle.settlements.is_empty() => Fate::Failed,
        _ => Fate::Answered,
    });
    let _run = t.client().run("work.wide").await?;
    t.advance(2 * MINUTE).await;
    assert!(work.log.all().len() < 20_000, "{}", work.log.all().len());
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_run_is_said_though_it_was_not_heard() -> Result<()> {
    let (t, _, choosy) = start().await;
    choosy.decides(first(10, |call| matches!(call, Call::Complete(_)), Fate::Unheard));
    let _run = t.client().run("work.quick").await?;
    t.advance(5 * MINUTE).await;
    assert_eq!(
        count(&t, |event| matches!(event, Event::RunFinished(report) if report.job == "work.quick")),
        1
    );
    Ok(())
}

/// A store that does not manage more than a few bodies in one call; it stores them all the same, or it does not.
async fn a_query_too_wide(fate: Fate) -> Result<()> {
    let (t, work, choosy) = start().await;
    let is_wide = |call: &Call| matches!(call, Call::Append(append) if append.bodies.len() > 8);
    choosy.decides(move |call| if is_wide(call) { fate } else { Fate::Answered });
    let report = tokio::time::timeout(60 * MINUTE, t.run("work.wide")).await.expect("it ends")?;
    assert_eq!((report.state, report.counts.ok), (RunState::Succeeded, u64::from(WIDE)));
    work.has_done_each_once(WIDE);
    Ok(())
}

#[tokio::test]
async fn what_a_query_found_goes_in_parts_if_it_is_too_much() -> Result<()> {
    a_query_too_wide(Fate::Failed).await
}

#[tokio::test]
async fn what_a_query_found_and_was_stored_unheard_is_stored_once() -> Result<()> {
    a_query_too_wide(Fate::Unheard).await
}

#[tokio::test]
async fn the_last_results_are_settled_as_long_as_the_store_answers() -> Result<()> {
    let (t, work, choosy) = start().await;
    let run = t.client().run("work.held").await?;
    t.advance(SECOND).await;
    choosy.decides(|call| match call {
        Call::Settle(_) | Call::Detach(_) => Fate::Slow(4 * SECOND),
        _ => Fate::Answered,
    });
    work.gate.let_through(1);
    t.advance(SECOND).await;
    work.gate.open();
    let began = t.now();
    t.shutdown(NODE, SECOND).await?;
    assert!(
        t.now() > began + 6 * SECOND,
        "one call was under way, another followed, and then the end of the session"
    );
    let report = choosy.inner.run(run.id()).await.unwrap().value.unwrap();
    assert_eq!(report.counts.ok as usize, work.log.all().len(), "what was done is settled");
    assert!(work.log.all().len() >= 8);
    Ok(())
}

#[tokio::test]
async fn a_shutdown_that_nobody_waits_for_goes_on() {
    let work = Work::default();
    let runner = Runner::builder().provide(work.clone()).store(MemoryStore::new()).start().await.unwrap();
    let _run = runner.run("work.held").await.unwrap();
    while work.inside.now() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let given_up = tokio::time::timeout(Duration::from_millis(50), runner.shutdown(20 * SECOND)).await;
    assert!(given_up.is_err(), "its handlers still wait");
    work.gate.open();
    tokio::time::timeout(10 * SECOND, runner.wait()).await.expect("it ends").unwrap();
}
