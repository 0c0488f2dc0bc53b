//! Time itself: a virtual year, clocks that step, a process that is suspended, ten thousand jobs at one second.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.
#![allow(long_running_const_eval)] // Ten thousand names are written by the compiler.

use std::{
    any::TypeId,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use behaviour::{DAY, Gate, HOUR, Inside, Log, MILLI, MINUTE, SECOND, at, secs};
use jobs_core::{
    Declared, Location, Millis,
    descriptor::{self, GroupBlock, Handler, JobDef, inventory},
};
use jobs_runner::{
    Event, MemoryStore, RunState, Verdict,
    prelude::*,
    testing::{Harness, Running},
};

#[derive(Clone, Default)]
struct Hourly {
    starts: Log<Timestamp>,
}

#[cron_group("hourly")]
impl Hourly {
    #[hourly("tick")]
    async fn tick(&self, cx: &JobContext) {
        self.starts.note(cx.tick().unwrap());
    }
}

#[tokio::test]
async fn a_year_of_hourly_ticks_passes_in_well_under_a_second() -> Result<()> {
    let hourly = Hourly::default();
    let t = Harness::new().provide(hourly.clone()).start().await?;
    let began = std::time::Instant::now();
    t.advance(DAY * 365).await;
    let took = began.elapsed();
    println!("a year in {took:?}");
    let fired = t.fired(Hourly::TICK);
    assert_eq!((fired.len(), hourly.starts.len()), (8_760, 8_760));
    assert_eq!((fired[0], fired[8_759]), (at("2026-01-01T01:00:00Z"), at("2027-01-01T00:00:00Z")));
    assert!(fired.windows(2).all(|pair| pair[0] < pair[1]));
    // Not a measurement, but a bound that a machine under load keeps too.
    assert!(took < secs(5), "{took:?}");
    Ok(())
}

/// A job that works for a while, and one that ticks.
#[derive(Clone, Default)]
struct Work {
    log: Log<String>,
    inside: Inside,
    gate: Gate,
}

#[cron_group("work")]
impl Work {
    #[job("tick", "* * * * *")]
    async fn tick(&self, cx: &JobContext) {
        self.log.note(cx.tick().unwrap().to_string()[11..19].to_owned());
    }
    #[job("seconds", "* * * * * *")]
    async fn seconds(&self) {}
    #[job("long", max_compute_time = "9h")]
    async fn long(&self, cx: &JobContext) {
        let _inside = self.inside.enter();
        self.log.note(format!("long on {}", cx.node()));
        self.gate.pass().await;
    }
}

/// A harness on a store whose clock the test steps.
async fn stepped(nodes: usize, work: &Work, only: &'static [&'static str]) -> (Running, Arc<AtomicI64>) {
    let step = Arc::new(AtomicI64::new(0));
    let began = std::sync::OnceLock::new();
    let base: Timestamp = at("2026-01-01T00:00:00Z");
    let clock = {
        let step = step.clone();
        move || {
            let began = *began.get_or_init(tokio::time::Instant::now);
            let elapsed = i64::try_from(began.elapsed().as_millis()).unwrap();
            Millis(base.as_millisecond() + elapsed + step.load(Ordering::Relaxed))
        }
    };
    let store = MemoryStore::with_clock(clock);
    let t = Harness::new()
        .nodes(nodes)
        .provide(work.clone())
        .with(move |b| b.store(store.clone()).lease(secs(15)).only(only.iter().copied()))
        .start()
        .await
        .unwrap();
    (t, step)
}

/// The instant of 2026-01-01 at which the store stands after a step, and what has run by then.
async fn leap(from: Duration, by: Duration, then: Duration) -> (Vec<String>, u64) {
    let work = Work::default();
    let (t, step) = stepped(2, &work, &["work.tick"]).await;
    t.advance(from).await;
    step.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    t.advance(then).await;
    let ticks = t.client().ticks(Work::TICK, 100).await.unwrap();
    let missed = ticks.iter().filter(|info| info.verdict == Verdict::Missed).map(|info| info.count).sum();
    (work.log.all(), missed)
}

#[tokio::test]
async fn the_stores_clock_steps_forward_and_no_tick_fires_twice() {
    // At 00:02:50 to 00:07:20.
    let (log, missed) = leap(secs(170), secs(270), MINUTE * 3).await;
    let expected = ["00:01:00", "00:02:00", "00:07:00", "00:08:00", "00:09:00", "00:10:00"];
    assert_eq!(log, expected, "the latest of those leapt over is caught up");
    assert_eq!(missed, 4);
}

#[tokio::test]
async fn a_year_without_a_runner_is_one_record_and_one_warning() -> Result<()> {
    let year = DAY * 365;
    let (t, step) = stepped(1, &Work::default(), &["work.seconds"]).await;
    t.advance(secs(10)).await;
    step.fetch_add(i64::try_from(year.as_millis()).unwrap(), Ordering::Relaxed);
    t.advance(MINUTE).await;
    let told = t.events().into_iter().filter_map(|event| match event {
        Event::TicksMissed { first, last, count, .. } => Some((first, last, count)),
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let [(first, last, count)] = told[..] else { panic!("{} warnings", told.len()) };
    assert!((31_535_980..=31_536_000).contains(&count), "{count}");
    assert_eq!(
        last.as_second() - first.as_second() + 1,
        i64::try_from(count).unwrap(),
        "each second of them"
    );
    let records = t.client().ticks(Work::SECONDS, 1_000).await?;
    let missed: Vec<_> = records.iter().filter(|info| info.verdict == Verdict::Missed).collect();
    assert_eq!((missed.len(), missed[0].count, missed[0].tick, missed[0].last), (1, count, first, last));
    // Every second has one verdict, on both sides of the missed ones.
    let seconds: u64 = records.iter().map(|info| info.count).sum();
    let whole = records[0].last.as_second() - records[records.len() - 1].tick.as_second() + 1;
    assert_eq!(i64::try_from(seconds).unwrap(), whole);
    assert!(t.fired(Work::SECONDS).len() > 55, "and they fire on");
    Ok(())
}

#[tokio::test]
async fn a_step_of_the_stores_clock_is_noticed_within_fifteen_seconds() {
    // At 00:02:05 to 00:07:05; the next tick would have been 55 s away.
    let (log, missed) = leap(secs(125), MINUTE * 5, secs(20)).await;
    assert_eq!(log, ["00:01:00", "00:02:00", "00:07:00"]);
    assert_eq!(missed, 4);
}

#[tokio::test]
async fn the_stores_clock_steps_back_and_no_tick_fires_twice() -> Result<()> {
    let work = Work::default();
    let (t, step) = stepped(2, &work, &["work.tick"]).await;
    t.advance(MINUTE * 5 + secs(30)).await;
    assert_eq!(work.log.take().len(), 5);
    // To 00:02:30 of the store; and one node comes anew.
    step.fetch_sub(3 * 60_000, Ordering::Relaxed);
    t.restart("a").await;
    t.advance(MINUTE * 3).await;
    assert_eq!(work.log.take(), [] as [&str; 0], "00:03 to 00:05 were fired before");
    t.advance(MINUTE * 3).await;
    assert_eq!(work.log.take(), ["00:06:00", "00:07:00", "00:08:00"]);
    Ok(())
}

#[tokio::test]
async fn a_step_of_the_clock_beyond_a_lease_loses_no_item() -> Result<()> {
    let work = Work::default();
    let (t, step) = stepped(2, &work, &["work.long"]).await;
    t.advance(MINUTE).await;
    let run = t.client().run(Work::LONG).await?;
    t.advance(SECOND).await;
    step.fetch_add(60_000, Ordering::Relaxed);
    t.advance(MINUTE).await;
    assert!(work.log.len() <= 2, "repeated at most what was in flight: {:?}", work.log.all());
    work.gate.open();
    t.advance(MINUTE).await;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.ok, report.counts.retries), (RunState::Succeeded, 1, 0));
    Ok(())
}

#[tokio::test]
async fn the_clocks_of_nodes_may_differ_for_they_follow_the_stores() -> Result<()> {
    // Every node sees the same store through its own offset; the harness gives each start its own builder.
    let work = Work::default();
    let base: Timestamp = at("2026-01-01T00:00:00Z");
    let began = std::sync::OnceLock::new();
    let store = MemoryStore::with_clock(move || {
        let began = *began.get_or_init(tokio::time::Instant::now);
        Millis(base.as_millisecond() + i64::try_from(began.elapsed().as_millis()).unwrap())
    });
    let starts = AtomicU64::new(0);
    let t = Harness::new()
        .nodes(3)
        .provide(work.clone())
        .with(move |b| {
            // 0, 400 and 800 ms ahead: what a reply that took its time makes of an estimate.
            let offset = i64::try_from(starts.fetch_add(1, Ordering::Relaxed) * 400).unwrap();
            b.store(store.shifted(offset)).lease(secs(15)).only(["work.tick"])
        })
        .start()
        .await?;
    t.advance(MINUTE * 20 + secs(30)).await;
    let log = work.log.all();
    assert_eq!(log.len(), 20, "{log:?}");
    assert!(log.windows(2).all(|pair| pair[0] < pair[1]), "{log:?}");
    Ok(())
}

/// Ten thousand jobs, as the attribute would register them: with the attribute it would take minutes to compile.
struct Crowd {
    starts: AtomicU64,
}

const JOBS: usize = 10_000;

static NAMES: [[u8; 4]; JOBS] = {
    let mut names = [[b'0'; 4]; JOBS];
    let mut n = 0;
    while n < JOBS {
        let digits = [n / 1_000, n / 100 % 10, n / 10 % 10, n % 10];
        let mut place = 0;
        while place < 4 {
            names[n][place] = b'0' + digits[place] as u8;
            place += 1;
        }
        n += 1;
    }
    names
};

const HERE: Location = Location { file: file!(), line: line!(), column: 1 };

const fn def(name: &'static str) -> JobDef {
    JobDef {
        name,
        was: None,
        options: Declared { schedule: Some("0 * * * *"), ..Declared::NONE },
        location: HERE,
        item: None,
        handler: Handler::Async(|group, _, _| {
            let crowd = group.clone().downcast::<Crowd>().expect("the instance of the group");
            Ok(Box::pin(async move {
                crowd.starts.fetch_add(1, Ordering::Relaxed);
                Ok(Outcome::Done.into())
            }))
        }),
        query: None,
    }
}

static DEFS: [JobDef; JOBS] = {
    let mut defs = [const { def("") }; JOBS];
    let mut n = 0;
    while n < JOBS {
        defs[n] = def(match std::str::from_utf8(&NAMES[n]) {
            Ok(name) => name,
            Err(_) => "",
        });
        n += 1;
    }
    defs
};

inventory::submit! {
    GroupBlock {
        name: "crowd",
        type_id: || TypeId::of::<Crowd>(),
        type_name: std::any::type_name::<Crowd>,
        default: None,
        shared: descriptor::shared::<Crowd>,
        location: HERE,
        options: Declared::NONE,
        jobs: &DEFS,
    }
}

#[tokio::test]
async fn ten_thousand_jobs_at_one_second_all_fire_on_time() -> Result<()> {
    let crowd = Arc::new(Crowd { starts: AtomicU64::new(0) });
    let t = Harness::new().provide(crowd.clone()).with(|b| b.lease(secs(15))).start().await?;
    let began = std::time::Instant::now();
    let mut idle = Duration::ZERO;
    for hour in 1..=3 {
        let before = began.elapsed();
        t.advance(HOUR - SECOND * 2).await;
        idle += began.elapsed() - before;
        t.advance(SECOND * 2).await;
        assert_eq!(crowd.starts.load(Ordering::Relaxed), hour * JOBS as u64);
    }
    println!("3 × 10,000 runs in {:?}, and three idle hours in {idle:?}", began.elapsed() - idle);
    assert!(began.elapsed() < secs(60), "{:?}", began.elapsed());
    let fired: Vec<_> = t
        .events()
        .into_iter()
        .filter_map(|event| match event {
            jobs_runner::Event::TickFired { late_by, .. } => Some(late_by),
            _ => None,
        })
        .collect();
    assert_eq!(fired.len(), 3 * JOBS, "each once");
    let latest = fired.into_iter().max().unwrap_or(Duration::MAX);
    assert!(latest < secs(1), "{latest:?}");
    Ok(())
}

#[tokio::test]
async fn a_long_sleep_does_not_overflow() -> Result<()> {
    /// Long after the 49 days of a 32-bit timer.
    #[derive(Clone, Default)]
    struct Rare(Log<Timestamp>);
    #[cron_group("rare")]
    impl Rare {
        #[job("leap-day", "0 0 29 2 *")]
        async fn leap_day(&self, cx: &JobContext) {
            self.0.note(cx.started_at());
        }
        #[job("instant", "2099-12-31T23:59:59Z")]
        async fn instant(&self, cx: &JobContext) {
            self.0.note(cx.started_at());
        }
    }
    let rare = Rare::default();
    let t = Harness::new().provide(rare.clone()).start().await?;
    t.advance(DAY * 700).await;
    assert!(rare.0.is_empty());
    t.advance_to(at("2028-02-29T00:00:00Z")).await;
    assert_eq!(rare.0.all(), [at::<Timestamp>("2028-02-29T00:00:00Z")]);
    t.advance(MILLI).await;
    Ok(())
}

#[tokio::test]
async fn two_harnesses_may_be_alive_at_once() -> Result<()> {
    let (one, two) = (Hourly::default(), Hourly::default());
    let first = Harness::new().provide(one.clone()).start().await?;
    first.advance(HOUR).await;
    let second = Harness::new().provide(two.clone()).start().await?;
    second.advance(HOUR).await;
    assert_eq!(two.starts.len(), 1);
    first.advance(HOUR).await;
    assert!(one.starts.len() >= 2, "{:?}", one.starts.all());
    Ok(())
}
