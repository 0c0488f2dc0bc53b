//! A store that answers, and refuses: what it refuses fails once, with the reason, and nothing else waits for it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use behaviour::{Log, MINUTE};
use jobs_conformance::{
    Handle, Wrapper,
    call::{self, Call, perform},
};
use jobs_core::{BoxFuture, Cause, End, Store, StoreError, Wakeups};
use jobs_runner::{
    Event, FailureKind, MemoryStore, RunState, RunnerBuilder,
    prelude::*,
    testing::{Harness, Running},
};

/// What a store does not take.
const POISON: &str = "\u{1f4a3}";

/// A store that refuses every call in which this text stands; it counts the calls that it refused, and may be slow.
#[derive(Clone)]
struct Picky {
    inner: MemoryStore,
    refused: Arc<Mutex<Vec<&'static str>>>,
    /// How long a call of these takes, so that others come meanwhile.
    slow: fn(&Call) -> Duration,
}

impl Picky {
    /// At the harness's clock, which begins with the year.
    fn new() -> Self {
        let began = tokio::time::Instant::now();
        let year: Timestamp = behaviour::at("2026-01-01T00:00:00Z");
        let clock = move || (year + began.elapsed()).into();
        let inner = MemoryStore::with_clock(clock);
        Self { inner, refused: Arc::default(), slow: |_| Duration::ZERO }
    }

    /// What of a call this store refuses.
    fn refuses(call: &Call) -> Option<&'static str> {
        let texts = |end: &End| match end {
            End::Dead(failure) | End::Retry { failure, .. } => failure.message.contains(POISON),
            End::Discarded(reason) => reason.contains(POISON),
            _ => false,
        };
        match call {
            Call::Append(append) => {
                let bytes = POISON.as_bytes();
                let found = |body: &[u8]| body.windows(bytes.len()).any(|window| window == bytes);
                append.bodies.iter().any(|body| found(body.as_bytes())).then_some("append")
            }
            Call::Settle(settle) => settle.settlements.iter().any(|s| texts(&s.end)).then_some("settle"),
            Call::Fire(_, fires, _) => {
                let refused = |cause: &Cause| matches!(cause, Cause::Tick { schedule, .. } if **schedule == *"picky.bad");
                fires.iter().any(|fire| refused(&fire.cause)).then_some("fire")
            }
            _ => None,
        }
    }

    fn refused(&self, what: &str) -> usize {
        self.refused.lock().unwrap().iter().filter(|refused| **refused == what).count()
    }
}

impl Handle for Picky {
    fn handle(&self, call: Call) -> BoxFuture<'_, call::Outcome> {
        Box::pin(async move {
            tokio::time::sleep((self.slow)(&call)).await;
            if let Some(what) = Self::refuses(&call) {
                self.refused.lock().unwrap().push(what);
                let message = format!("it has no {POISON} in its alphabet");
                return Err(StoreError::Refused { message });
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

#[derive(Clone, Default)]
struct Work {
    log: Log<u32>,
}

#[cron_group("picky")]
impl Work {
    #[query("fail")]
    async fn numbers(&self) -> Vec<u32> {
        (0..50).collect()
    }
    /// Number 7 fails with a text that the store does not take, number 8 with another one, 9 is discarded with one.
    #[job("fail", retries = 1)]
    async fn fail(&self, n: u32) -> Result<Outcome> {
        self.log.note(n);
        match n {
            7 => Err(POISON.into()),
            8 => Err("an ordinary failure".into()),
            9 => Ok(Outcome::Discard(POISON.into())),
            _ => Ok(Outcome::Done),
        }
    }

    #[query("find")]
    async fn texts(&self) -> Vec<String> {
        vec![POISON.to_owned()]
    }
    #[job("find", retries = 1)]
    async fn find(&self, _text: String) {}

    #[job("bad", "* * * * *")]
    async fn bad(&self) {}

    #[job("good", "* * * * *")]
    async fn good(&self) {}
}

async fn start() -> (Running, Work, Picky) {
    tokio::time::pause();
    let (work, picky) = (Work::default(), Picky::new());
    let store = picky.clone();
    let with = move |builder: RunnerBuilder| builder.store(Wrapper(store.clone()));
    let t = Harness::new().provide(work.clone()).with(with).start().await.unwrap();
    (t, work, picky)
}

fn is_outage(event: &Event) -> bool {
    matches!(event, Event::StoreLost { .. })
}

#[tokio::test]
async fn an_end_that_the_store_refuses_kills_its_item_and_no_other() -> Result<()> {
    let (t, work, picky) = start().await;
    let report = tokio::time::timeout(60 * MINUTE, t.run("picky.fail")).await.expect("it ends")?;
    assert_eq!(report.state, RunState::Partial);
    assert_eq!((report.counts.total, report.counts.ok, report.counts.dead), (50, 47, 3));
    let dead = t.dead("picky.fail").await;
    let mut messages: Vec<String> =
        dead.iter().filter_map(|item| item.attempts.last()).map(|failure| failure.message.clone()).collect();
    messages.sort();
    let refused = "the store refused what became of the attempt: it has no \\u{1f4a3} in its alphabet";
    assert_eq!(messages, ["an ordinary failure", refused, refused]);
    assert_eq!(work.log.all().iter().filter(|n| **n == 7).count(), 1, "it is not tried again");
    assert!(picky.refused("settle") < 40, "the call is not repeated for ever: {}", picky.refused("settle"));
    assert!(!t.events().iter().any(is_outage), "the store was there all the time");
    Ok(())
}

#[tokio::test]
async fn what_a_query_found_and_the_store_refuses_fails_the_query_with_the_reason() -> Result<()> {
    let (t, _, picky) = start().await;
    let report = t.run("picky.find").await?;
    assert_eq!(report.state, RunState::Failed);
    let [error] = &report.errors[..] else { panic!("{:?}", report.errors) };
    assert_eq!((error.kind, error.count), (FailureKind::Error, 2), "a failed attempt, and its retry");
    assert_eq!(error.message, "the store refused what the query found: it has no \\u{1f4a3} in its alphabet");
    assert_eq!(picky.refused("append"), 2);
    assert!(!t.events().iter().any(is_outage));
    Ok(())
}

#[tokio::test]
async fn a_tick_that_the_store_refuses_holds_no_other_schedule() -> Result<()> {
    let (t, _, picky) = start().await;
    t.advance(10 * MINUTE).await;
    assert_eq!(t.fired("picky.good").len(), 10);
    assert_eq!(t.fired("picky.bad").len(), 0);
    assert!((1..=40).contains(&picky.refused("fire")), "{}", picky.refused("fire"));
    assert!(!t.events().iter().any(is_outage));
    Ok(())
}
