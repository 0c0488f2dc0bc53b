//! What a runner says while it works: `Events`, in order, once, bounded.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::{collections::BTreeSet, future::poll_fn, pin::Pin, task::Poll};

use behaviour::{Gate, HOUR, Log, MILLI, MINUTE, SECOND, at, secs};
use futures_core::Stream;
use jobs_runner::{
    Event, FailureKind, MemoryStore, RunId, RunState, SkipReason, Trigger,
    prelude::*,
    testing::{Harness, Running},
};

/// One job with a query, one without; what happens to item 2 is not good.
#[derive(Clone, Default)]
struct Shop {
    gate: Gate,
}

#[cron_group("shop")]
impl Shop {
    #[query("sell")]
    async fn find(&self) -> Vec<u32> {
        vec![1, 2, 3]
    }
    #[job("sell", "0 * * * *", retries = 1, retry_delay = "10s", global_concurrency = 1)]
    async fn sell(&self, n: u32) -> Result<()> {
        if n == 2 { Err("sold out".into()) } else { Ok(()) }
    }

    #[job("sweep", "30 * * * *")]
    async fn sweep(&self) {
        self.gate.pass().await;
    }

    #[query("many")]
    async fn q_many(&self) -> Vec<u32> {
        (0..3_000).collect()
    }
    #[job("many")]
    async fn many(&self, _n: u32) {}

    #[query("torn")]
    async fn q_torn(&self) -> Result<Vec<u32>> {
        Err("no database".into())
    }
    #[job("torn")]
    async fn torn(&self, _n: u32) {}

    #[job("discard")]
    async fn discard(&self) -> Outcome {
        Outcome::Discard("no".into())
    }
}

async fn shop() -> (Running, Gate) {
    let shop = Shop::default();
    let gate = shop.gate.clone();
    (Harness::new().provide(shop).start().await.unwrap(), gate)
}

/// An event in one line, without the numbers of runs.
fn line(event: &Event) -> String {
    match event {
        Event::TickFired { job, tick, late_by, .. } => format!("fired {job} {tick} {late_by:?}"),
        Event::TickSkipped { job, tick, reason } => format!("skipped {job} {tick} {reason:?}"),
        Event::TicksMissed { job, first, last, count } => format!("missed {job} {first} {last} {count}"),
        Event::RunStarted { job, trigger, .. } => format!("started {job} {trigger:?}"),
        Event::RunFilled { job, total, .. } => format!("filled {job} {total}"),
        Event::RunFinished(report) => format!("finished {} {:?}", report.job, report.state),
        Event::AttemptStarted { item, attempt, .. } => format!("attempt {} of {}", attempt, item.n()),
        Event::AttemptFailed { item, failure, .. } => {
            format!("attempt {} of {} failed: {}", failure.attempt, item.n(), failure.message)
        }
        Event::ItemDone { item, attempt, .. } => format!("{} done at {attempt}", item.n()),
        Event::ItemDead { item, failure, .. } => format!("{} dead: {}", item.n(), failure.message),
        other => format!("{other:?}"),
    }
}

fn run_of(event: &Event) -> Option<RunId> {
    match event {
        Event::TickFired { run, .. } | Event::RunStarted { run, .. } | Event::RunFilled { run, .. } => {
            Some(*run)
        }
        Event::RunFinished(report) => Some(report.id),
        Event::AttemptStarted { run, .. }
        | Event::AttemptFailed { run, .. }
        | Event::ItemDone { run, .. }
        | Event::ItemDead { run, .. } => *run,
        _ => None,
    }
}

#[tokio::test]
async fn the_events_of_a_run_come_in_order_each_once() -> Result<()> {
    let (t, _) = shop().await;
    t.advance(HOUR + MINUTE).await;
    let lines: Vec<_> = t.events().iter().map(line).filter(|line| !line.contains("sweep")).collect();
    let of_sell = lines.into_iter().filter(|line| !line.starts_with("attempt 1 of 0 shop"));
    let expected = [
        "fired shop.sell 2026-01-01T01:00:00Z 0ns",
        "started shop.sell Schedule",
        "filled shop.sell 3",
        "attempt 1 of 0",
        "0 done at 1",
        "attempt 1 of 1",
        "attempt 1 of 1 failed: sold out",
        "attempt 1 of 2",
        "2 done at 1",
        "attempt 2 of 1",
        "attempt 2 of 1 failed: sold out",
        "1 dead: sold out",
        "finished shop.sell Partial",
    ];
    let run = t.client().ticks(Shop::SELL, 1).await?[0].run;
    let events: Vec<_> = t.events().iter().filter(|event| run_of(event) == run).map(line).collect();
    assert_eq!(events, expected, "{:#?}", of_sell.collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn the_fields_of_events_are_those_of_the_report() -> Result<()> {
    let (t, _) = shop().await;
    let report = t.run(Shop::SELL).await?;
    let events = t.events();
    assert!(events.contains(&Event::RunStarted {
        job: "shop.sell".into(),
        run: report.id,
        trigger: Trigger::Manual
    }));
    assert!(events.contains(&Event::RunFilled { job: "shop.sell".into(), run: report.id, total: 3 }));
    assert!(events.contains(&Event::RunFinished(report.clone())));
    assert!(!events.iter().any(|event| matches!(event, Event::TickFired { .. })), "by hand there is no tick");
    let dead = t.dead(Shop::SELL).await;
    let failures: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::AttemptFailed { failure, item, run, .. } => {
                assert_eq!((*item, *run), (dead[0].id, Some(report.id)));
                Some(failure.clone())
            }
            _ => None,
        })
        .collect();
    assert_eq!(failures, dead[0].attempts);
    let died = events.iter().find_map(|event| match event {
        Event::ItemDead { item, failure, .. } => Some((*item, failure.clone())),
        _ => None,
    });
    assert_eq!(died, Some((dead[0].id, dead[0].attempts[1].clone())));
    Ok(())
}

#[tokio::test]
async fn the_query_is_no_item_of_its_run() -> Result<()> {
    let (t, _) = shop().await;
    let report = t.run(Shop::MANY).await?;
    let done: Vec<_> = t
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::ItemDone { item, run, .. } => {
                assert_eq!(run, Some(report.id));
                Some(item.n())
            }
            _ => None,
        })
        .collect();
    assert_eq!((done.len(), done.iter().collect::<BTreeSet<_>>().len()), (3_000, 3_000), "nothing twice");
    Ok(())
}

#[tokio::test]
async fn a_query_that_fails_is_seen() -> Result<()> {
    let (t, _) = shop().await;
    let report = t.run(Shop::TORN).await?;
    assert_eq!(report.state, RunState::Failed);
    let failed = t.events().iter().any(|event| {
        matches!(event, Event::AttemptFailed { run, failure, .. }
            if *run == Some(report.id) && failure.message == "no database" && failure.kind == FailureKind::Error)
    });
    assert!(failed);
    assert!(t.events().contains(&Event::RunFinished(report)));
    Ok(())
}

#[tokio::test]
async fn ticks_that_do_not_fire_are_events() -> Result<()> {
    let (t, gate) = shop().await;
    t.advance(HOUR * 2).await;
    gate.open();
    t.client().pause("shop.sell", "stocktaking").await?;
    t.advance(HOUR + MINUTE).await;
    t.client().resume("shop.sell").await?;
    t.crash("a").await;
    t.advance(HOUR * 3).await;
    t.restart("a").await;
    t.advance(SECOND).await;
    let events = t.events();
    let has = |event: Event| assert!(events.contains(&event), "{event:?} in {events:#?}");
    // The sweep of 00:30 is dropped at its bound of an hour, together with the tick of 01:30.
    has(Event::TickSkipped {
        job: "shop.sell".into(),
        tick: at("2026-01-01T03:00:00Z"),
        reason: SkipReason::Paused,
    });
    has(Event::TicksMissed {
        job: "shop.sell".into(),
        first: at("2026-01-01T04:00:00Z"),
        last: at("2026-01-01T05:00:00Z"),
        count: 2,
    });
    let late = events.iter().find_map(|event| match event {
        Event::TickFired { job, tick, late_by, .. } if job == "shop.sell" && *late_by > SECOND => {
            Some((*tick, *late_by))
        }
        _ => None,
    });
    assert_eq!(late, Some((at("2026-01-01T06:00:00Z"), MINUTE)));
    Ok(())
}

#[tokio::test]
async fn an_overlap_is_an_event() -> Result<()> {
    let (t, _) = shop().await;
    let _run = t.client().run(Shop::SWEEP).await?;
    t.advance(MINUTE * 31).await;
    assert!(t.events().contains(&Event::TickSkipped {
        job: "shop.sweep".into(),
        tick: at("2026-01-01T00:30:00Z"),
        reason: SkipReason::Overlap,
    }));
    Ok(())
}

#[tokio::test]
async fn a_reader_hears_what_happens_from_when_it_was_made() -> Result<()> {
    let (t, _) = shop().await;
    t.run(Shop::DISCARD).await?;
    let mut events = t.runner("a").events();
    let report = t.run(Shop::DISCARD).await?;
    let mut heard = Vec::new();
    loop {
        let event = events.recv().await.expect("the runner lives");
        heard.push(event.clone());
        if event == Event::RunFinished(report.clone()) {
            break;
        }
    }
    assert!(heard.iter().all(|event| run_of(event) == Some(report.id)), "{heard:#?}");
    assert!(matches!(heard[0], Event::RunStarted { .. }), "{heard:#?}");
    Ok(())
}

#[tokio::test]
async fn events_are_a_stream_that_ends_with_the_runner() -> Result<()> {
    let shop = Shop::default();
    let runner = Runner::builder().store(MemoryStore::new()).only(["shop.*"]).provide(shop).start().await?;
    let mut events = runner.events();
    let report = runner.run(Shop::DISCARD).await?.wait().await?;
    runner.shutdown(SECOND).await?;
    drop(runner);
    let mut heard = Vec::new();
    while let Some(event) = poll_fn(|cx| Pin::new(&mut events).poll_next(cx)).await {
        heard.push(event);
    }
    assert!(heard.contains(&Event::RunFinished(report)), "{heard:#?}");
    assert_eq!(
        poll_fn(|cx| Poll::Ready(Pin::new(&mut events).poll_next(cx))).await,
        Poll::Ready(None),
        "and stays so"
    );
    assert_eq!(events.recv().await, None);
    Ok(())
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_lost_and_holds_nobody_up() -> Result<()> {
    let (t, _) = shop().await;
    let mut slow = t.runner("a").events();
    let report = t.run(Shop::MANY).await?.ok()?;
    assert_eq!(report.counts.ok, 3_000);
    let said = t.events().len() as u64;
    let first = slow.recv().await;
    let Some(Event::Lagged(lost)) = first else { panic!("{first:?}") };
    let mut heard = 0;
    while let Some(event) = slow.recv().await {
        heard += 1;
        if matches!(event, Event::RunFinished(_)) {
            break;
        }
    }
    assert_eq!(lost + heard, said, "every event is heard or counted");
    Ok(())
}

#[tokio::test]
async fn nobody_needs_to_listen() -> Result<()> {
    let (t, _) = shop().await;
    drop(t.runner("a").events());
    t.run(Shop::MANY).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn events_and_fired_span_restarts() -> Result<()> {
    let (t, gate) = shop().await;
    gate.open();
    t.advance(HOUR).await;
    let before = t.events().len();
    t.restart("a").await;
    t.advance(HOUR).await;
    assert_eq!(t.fired(Shop::SELL).len(), 2);
    assert!(t.events().len() > before);
    Ok(())
}

#[tokio::test]
async fn the_events_of_two_nodes_tell_each_thing_once() -> Result<()> {
    let shop = Shop::default();
    shop.gate.open();
    let t = Harness::new().nodes(3).provide(shop).start().await?;
    t.advance(HOUR * 5 + MINUTE).await;
    t.client().pause("shop.*", "stocktaking").await?;
    t.advance(HOUR * 2).await;
    let events = t.events();
    let count = |which: fn(&Event) -> bool| events.iter().filter(|event| which(event)).count();
    assert_eq!(count(|e| matches!(e, Event::TickFired { .. })), 10);
    assert_eq!(count(|e| matches!(e, Event::RunStarted { .. })), 10);
    assert_eq!(count(|e| matches!(e, Event::RunFilled { .. })), 5);
    assert_eq!(count(|e| matches!(e, Event::RunFinished(_))), 10);
    assert_eq!(count(|e| matches!(e, Event::ItemDone { .. })), 5 * 2 + 5);
    assert_eq!(count(|e| matches!(e, Event::ItemDead { .. })), 5);
    assert_eq!(count(|e| matches!(e, Event::TickSkipped { .. })), 4);
    Ok(())
}

#[tokio::test]
async fn the_duration_of_an_attempt_is_how_long_it_ran() -> Result<()> {
    /// Takes its time.
    #[derive(Default)]
    struct Slow(Log<()>);
    #[cron_group("slow")]
    impl Slow {
        #[job("work")]
        async fn work(&self) {
            tokio::time::sleep(secs(42)).await;
            self.0.note(());
        }
    }
    let t = Harness::new().group::<Slow>().start().await?;
    t.run(Slow::WORK).await?;
    let took = t.events().into_iter().find_map(|event| match event {
        Event::ItemDone { duration, .. } => Some(duration),
        _ => None,
    });
    assert!(took.is_some_and(|took| took >= secs(42) && took <= secs(42) + MILLI), "{took:?}");
    Ok(())
}
