//! A store that does not answer for a while (DESIGN §8, row 3; §7, trust).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use behaviour::{Gate, HOUR, Log, MINUTE, SECOND};
use jobs_conformance::{
    Handle, Wrapper,
    call::{Call, Outcome, perform},
};
use jobs_core::{BoxFuture, Store, StoreError, Wakeups};
use jobs_runner::{
    Event, MemoryStore, RunState, RunnerBuilder, Verdict,
    prelude::*,
    testing::{Harness, Running},
};

/// A store behind a cable that can be pulled.
#[derive(Clone)]
struct Cable {
    inner: MemoryStore,
    pulled: Arc<AtomicBool>,
}

impl Cable {
    /// At the harness's clock, which begins with the year.
    fn new() -> Self {
        let began = tokio::time::Instant::now();
        let year: Timestamp = behaviour::at("2026-01-01T00:00:00Z");
        let clock = move || (year + began.elapsed()).into();
        Self { inner: MemoryStore::with_clock(clock), pulled: Arc::default() }
    }

    fn pull(&self) {
        self.pulled.store(true, Ordering::SeqCst);
    }

    fn plug(&self) {
        self.pulled.store(false, Ordering::SeqCst);
    }
}

impl Handle for Cable {
    fn handle(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            if self.pulled.load(Ordering::SeqCst) {
                return Err(StoreError::Unreachable { message: "the cable is pulled".to_owned() });
            }
            perform(&self.inner, call).await
        })
    }

    fn wakeups(&self) -> Wakeups {
        self.inner.wakeups()
    }

    fn namespace(&self, _name: &str) -> Option<Arc<dyn Store>> {
        None
    }
}

/// Items that wait at a gate.
#[derive(Clone, Default)]
struct Work {
    log: Log<String>,
    gate: Gate,
}

#[cron_group("work")]
impl Work {
    #[query("each")]
    async fn items(&self) -> Vec<u32> {
        vec![7]
    }
    #[job("each")]
    async fn each(&self, n: u32, cx: &JobContext) {
        let _gone = self.log.on_drop(format!("gone {n}"));
        self.log.note(format!("begin {n}, attempt {}, redelivered {}", cx.attempt(), cx.redelivered()));
        self.gate.pass().await;
        self.log.note(format!("done {n}"));
    }

    #[job("minute", "* * * * *", catch_up = "all")]
    async fn minute(&self) {}
}

const LEASE: Duration = Duration::from_secs(10);

async fn start() -> (Running, Work, Cable) {
    tokio::time::pause();
    let (work, cable) = (Work::default(), Cable::new());
    let store = cable.clone();
    let with = move |builder: RunnerBuilder| builder.store(Wrapper(store.clone())).lease(LEASE);
    let t = Harness::new().provide(work.clone()).with(with).start().await.unwrap();
    (t, work, cable)
}

fn count(t: &Running, of: impl Fn(&Event) -> bool) -> usize {
    t.events().iter().filter(|event| of(event)).count()
}

#[tokio::test]
async fn an_outage_is_said_once_and_so_is_its_end() -> Result<()> {
    let (t, _, cable) = start().await;
    cable.pull();
    t.advance(MINUTE * 3).await;
    let lost = |event: &Event| matches!(event, Event::StoreLost { message } if message.contains("cable"));
    assert_eq!(
        (count(&t, lost), t.fired("work.minute").len()),
        (1, 0),
        "nothing fires while nothing answers"
    );
    cable.plug();
    t.advance(SECOND * 5).await;
    let back: Vec<_> =
        t.events().into_iter().filter(|event| matches!(event, Event::StoreBack { .. })).collect();
    let [Event::StoreBack { after }] = back[..] else { panic!("{back:?}") };
    assert!(after > MINUTE * 2 && after <= MINUTE * 3 + SECOND, "{after:?}");
    let ticks = t.client().ticks("work.minute", 9).await?;
    let verdicts: Vec<_> = ticks.iter().map(|info| info.verdict).collect();
    assert_eq!(verdicts.len(), 3, "what was due meanwhile is caught up: {verdicts:?}");
    assert!(verdicts.contains(&Verdict::Late), "{verdicts:?}");
    Ok(())
}

#[tokio::test]
async fn an_outage_shorter_than_the_trust_interrupts_nobody() -> Result<()> {
    let (t, work, cable) = start().await;
    let run = t.client().run(Work::EACH).await?;
    t.advance(SECOND).await;
    cable.pull();
    // The last good beat is at most 2 s old, and is trusted for 8 s.
    t.advance(SECOND * 5).await;
    cable.plug();
    work.gate.open();
    t.advance(SECOND * 5).await;
    assert_eq!(run.wait().await?.state, RunState::Succeeded);
    assert_eq!(work.log.all(), ["begin 7, attempt 1, redelivered 0", "done 7", "gone 7"]);
    assert_eq!(count(&t, |event| matches!(event, Event::LeaseLost { .. })), 0);
    Ok(())
}

#[tokio::test]
async fn an_outage_longer_than_the_trust_breaks_off_what_runs_uncharged() -> Result<()> {
    let (t, work, cable) = start().await;
    let run = t.client().run(Work::EACH).await?;
    t.advance(SECOND).await;
    cable.pull();
    t.advance(LEASE).await;
    assert_eq!(work.log.take(), ["begin 7, attempt 1, redelivered 0", "gone 7"], "the future is dropped");
    let lost = |event: &Event| matches!(event, Event::LeaseLost { job, run: of, .. } if job == "work.each" && *of == Some(run.id()));
    assert_eq!(count(&t, lost), 1, "{:?}", t.events());
    cable.plug();
    work.gate.open();
    t.advance(MINUTE).await;
    let report = run.wait().await?;
    assert_eq!((report.state, report.counts.retries, report.errors.len()), (RunState::Succeeded, 0, 0));
    let again = work.log.take();
    assert!(again[0].starts_with("begin 7, attempt 1"), "no attempt was counted: {again:?}");
    assert_eq!(again[1..], ["done 7", "gone 7"]);
    Ok(())
}

#[tokio::test]
async fn a_result_in_hand_survives_the_outage() -> Result<()> {
    let (t, work, cable) = start().await;
    let run = t.client().run(Work::EACH).await?;
    t.advance(SECOND).await;
    cable.pull();
    work.gate.open();
    t.advance(HOUR).await;
    cable.plug();
    t.advance(MINUTE).await;
    // Nobody else was there to take the item over, and the session is renewed: the result is sent, and counts.
    assert_eq!(run.wait().await?.counts.ok, 1);
    assert_eq!(work.log.all(), ["begin 7, attempt 1, redelivered 0", "done 7", "gone 7"]);
    Ok(())
}
