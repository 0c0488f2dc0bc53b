//! Which ticks fire, when, and what is recorded of the others (DESIGN §5 and §6, "Due ticks").
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::time::Duration;

use behaviour::{DAY, Gate, HOUR, Log, MILLI, MINUTE, SECOND, at, secs};
use jobs_runner::{
    Event, SkipReason, Trigger, Verdict,
    prelude::*,
    testing::{Harness, Running},
};

/// What became of the ticks of a job, oldest first: `fired 00:01`, `missed 00:03..00:05 x3`.
async fn verdicts(t: &Running, job: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for info in t.client().ticks(job, 1_000).await.unwrap().into_iter().rev() {
        let verdict = match info.verdict {
            Verdict::Fired => "fired",
            Verdict::Late => "late",
            Verdict::Missed => "missed",
            Verdict::Skipped(SkipReason::Overlap) => "overlap",
            Verdict::Skipped(SkipReason::Paused) => "paused",
            Verdict::Skipped(SkipReason::Replaced) => "replaced",
            other => panic!("{other:?}"),
        };
        let fired = matches!(info.verdict, Verdict::Fired | Verdict::Late);
        assert_eq!(info.run.is_some(), fired, "{info:?}");
        let clock = |t: Timestamp| t.to_string()[11..16].to_owned();
        let (first, last) = (clock(info.tick), clock(info.last));
        lines.push(if first == last {
            assert_eq!(info.count, 1);
            format!("{verdict} {first}")
        } else {
            format!("{verdict} {first}..{last} x{}", info.count)
        });
    }
    lines
}

struct Db;
struct Mailer;
#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct User {
    email: String,
}
impl Db {
    async fn active_users(&self) -> Result<Vec<User>> {
        Ok(vec![User { email: "ann@example.com".into() }])
    }
}
impl Mailer {
    async fn digest(&self, user: &User) -> Result<()> {
        assert_eq!(user.email, "ann@example.com");
        Ok(())
    }
}
struct Digest {
    db: Db,
    mail: Mailer,
}
#[cron_group("digest")]
impl Digest {
    #[query("send")]
    async fn users(&self) -> Result<Vec<User>> {
        self.db.active_users().await
    }
    #[job("send", "0 9 * * *", tz = "Europe/Paris", retries = 3, timeout = "30s")]
    async fn send(&self, user: User) -> Result<()> {
        self.mail.digest(&user).await
    }
}
fn fake() -> Digest {
    Digest { db: Db, mail: Mailer }
}

// As API.md has it.
#[rustfmt::skip]
#[tokio::test] async fn spring_night() -> Result<()> {
    let t = Harness::new().at("2026-03-28T12:00:00Z".parse()?).provide(fake()).start().await?;
    t.advance_to("2026-03-29T12:00:00Z".parse()?).await;
    assert_eq!(t.fired(Digest::SEND), ["2026-03-29T07:00:00Z".parse::<Timestamp>()?]); Ok(())
}

#[tokio::test]
async fn the_flagship_runs_its_items() -> Result<()> {
    let t = Harness::new().provide(fake()).start().await?;
    assert_eq!(t.advance_to_next(Digest::SEND).await, at("2026-01-01T08:00:00Z"));
    t.advance(SECOND).await;
    let ticks = t.client().ticks(Digest::SEND, 10).await?;
    let report = t.client().report(ticks[0].run.unwrap()).await?.ok()?;
    assert_eq!((report.trigger, report.tick, report.counts.ok), (Trigger::Schedule, Some(ticks[0].tick), 1));
    Ok(())
}

/// A run that takes longer than its bound of computing.
#[derive(Clone, Default)]
struct Evening {
    log: Log<String>,
}

#[cron_group("evening")]
impl Evening {
    #[query("walk")]
    async fn find(&self) -> Vec<u32> {
        self.log.note("query".into());
        vec![1, 2, 3, 4]
    }
    #[job("walk", "0 23 * * *", global_concurrency = 1)]
    async fn walk(&self, n: u32) {
        self.log.note(format!("walk {n}"));
    }

    #[query("long")]
    async fn find_long(&self) -> Vec<u32> {
        self.log.note("query".into());
        vec![1, 2]
    }
    #[job("long", "0 * * * *", max_compute_time = "10m", concurrency = 1)]
    async fn long(&self, n: u32) {
        self.log.note(format!("long {n}"));
        tokio::time::sleep(MINUTE * 50).await;
    }
}

#[tokio::test]
async fn a_tick_runs_the_query_once_and_the_handler_for_each_item_in_order() -> Result<()> {
    let evening = Evening::default();
    let t =
        Harness::new().nodes(2).provide(evening.clone()).with(|b| b.only(["evening.walk"])).start().await?;
    t.advance(DAY).await;
    assert_eq!(evening.log.all(), ["query", "walk 1", "walk 2", "walk 3", "walk 4"]);
    Ok(())
}

#[tokio::test]
async fn a_run_that_outlasts_max_compute_time_is_neither_doubled_nor_its_query_wasted() -> Result<()> {
    let evening = Evening::default();
    let t =
        Harness::new().nodes(1).provide(evening.clone()).with(|b| b.only(["evening.long"])).start().await?;
    t.advance(HOUR * 2 + MINUTE * 55).await;
    assert_eq!(evening.log.all(), ["query", "long 1", "long 2"]);
    assert_eq!(verdicts(&t, "evening.long").await, ["fired 01:00", "overlap 02:00"]);
    t.advance(MINUTE * 6).await;
    assert_eq!(evening.log.all()[3..], ["query", "long 1"]);
    Ok(())
}

/// Schedules of all kinds; each notes the instants at which it starts.
#[derive(Default)]
struct Clock {
    starts: Log<(String, Timestamp)>,
}

#[cron_group("clock")]
impl Clock {
    #[job("minute", "* * * * *")]
    async fn minute(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("seconds", "*/10 * * * * *")]
    async fn seconds(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("seven", "7m")]
    async fn seven(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("every", "every 90s")]
    async fn every(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("on-demand")]
    async fn on_demand(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("christmas", "2026-12-25T09:00:00Z")]
    async fn christmas(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("past", "2020-02-02T02:02:02Z")]
    async fn past(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[hourly("hourly")]
    async fn hourly(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[daily("daily")]
    async fn daily(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[weekly("weekly")]
    async fn weekly(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[monthly("monthly")]
    async fn monthly(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("macro", "@midnight")]
    async fn midnight(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("friday-or-13th", "0 0 13 * 5")]
    async fn friday_or_13th(&self, cx: &JobContext) {
        self.note(cx);
    }
    #[job("late-evening", "0 23 * * *")]
    async fn late_evening(&self, cx: &JobContext) {
        self.note(cx);
    }
}

impl Clock {
    fn note(&self, cx: &JobContext) {
        self.starts.note((cx.job().to_owned(), cx.started_at()));
    }
}

fn clock() -> (Harness, Log<(String, Timestamp)>) {
    let starts = Log::default();
    (Harness::new().provide(Clock { starts: starts.clone() }), starts)
}

fn only(jobs: &'static [&'static str]) -> impl Fn(jobs_runner::RunnerBuilder) -> jobs_runner::RunnerBuilder {
    move |builder| builder.only(jobs.iter().copied())
}

#[tokio::test]
async fn a_tick_fires_at_its_instant_and_the_handler_starts_then() -> Result<()> {
    let (harness, starts) = clock();
    let t = harness.with(only(&["clock.minute", "clock.seconds"])).start().await?;
    t.advance(secs(59)).await;
    assert_eq!(t.fired("clock.minute"), []);
    assert_eq!(t.fired("clock.seconds").len(), 5);
    t.advance(SECOND).await;
    assert_eq!(t.fired("clock.minute"), [at::<Timestamp>("2026-01-01T00:01:00Z")], "the target is included");
    t.advance(MINUTE * 9).await;
    let starts = starts.all();
    for job in ["clock.minute", "clock.seconds"] {
        let started: Vec<_> = starts.iter().filter(|(id, _)| id == job).map(|(_, at)| *at).collect();
        assert_eq!(started, t.fired(job), "{job}: to the millisecond");
    }
    assert_eq!((t.fired("clock.minute").len(), t.fired("clock.seconds").len()), (10, 60));
    Ok(())
}

#[tokio::test]
async fn an_interval_is_the_multiples_since_the_epoch() -> Result<()> {
    let (harness, _) = clock();
    let t = harness.at(at("2026-01-01T00:00:17Z")).start().await?;
    t.advance(HOUR).await;
    for (job, period) in [("clock.seven", 420), ("clock.every", 90)] {
        let fired = t.fired(job);
        assert_eq!(
            fired.len() as i64,
            3_617 / period + i64::from(1_767_225_600 % period + 3_617 % period >= period)
        );
        assert!(fired.iter().all(|tick| tick.as_second() % period == 0), "{job}: {fired:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_restart_does_not_move_an_interval() -> Result<()> {
    let (harness, _) = clock();
    let t = harness.with(only(&["clock.seven"])).start().await?;
    for _ in 0..30 {
        t.advance(MINUTE * 3).await;
        t.restart("a").await;
    }
    let fired = t.fired("clock.seven");
    assert_eq!(fired.len(), 12);
    assert!(fired.iter().all(|tick| tick.as_second() % 420 == 0), "{fired:?}");
    Ok(())
}

#[tokio::test]
async fn an_instant_fires_once() -> Result<()> {
    let (harness, starts) = clock();
    let t = harness.with(only(&["clock.christmas"])).start().await?;
    assert_eq!(t.client().job("clock.christmas").await?.next, Some(at("2026-12-25T09:00:00Z")));
    t.advance_to(at("2027-12-31T00:00:00Z")).await;
    t.restart("a").await;
    t.advance(DAY * 400).await;
    assert_eq!(t.fired("clock.christmas"), [at::<Timestamp>("2026-12-25T09:00:00Z")]);
    assert_eq!(starts.len(), 1);
    assert_eq!(t.client().job("clock.christmas").await?.next, None);
    Ok(())
}

#[tokio::test]
async fn an_instant_that_was_past_when_first_seen_is_missed_and_said_so_once() -> Result<()> {
    let (harness, starts) = clock();
    let t = harness.with(only(&["clock.past"])).start().await?;
    t.advance(DAY).await;
    t.restart("a").await;
    t.advance(DAY).await;
    assert_eq!(starts.len(), 0);
    let past = at::<Timestamp>("2020-02-02T02:02:02Z");
    let ticks = t.client().ticks("clock.past", 10).await?;
    assert_eq!(
        ticks.iter().map(|t| (t.tick, t.verdict, t.count)).collect::<Vec<_>>(),
        [(past, Verdict::Missed, 1)]
    );
    let missed: Vec<_> =
        t.events().into_iter().filter(|event| matches!(event, Event::TicksMissed { .. })).collect();
    assert_eq!(missed, [Event::TicksMissed { job: "clock.past".into(), first: past, last: past, count: 1 }]);
    Ok(())
}

#[tokio::test]
async fn a_job_on_demand_has_no_ticks() -> Result<()> {
    let (harness, starts) = clock();
    let t = harness.with(only(&["clock.on-demand"])).start().await?;
    t.advance(DAY * 400).await;
    assert_eq!((starts.len(), t.client().next_ticks("clock.on-demand", 3).await?), (0, vec![]));
    t.run("clock.on-demand").await?.ok()?;
    assert_eq!((starts.len(), t.client().ticks("clock.on-demand", 3).await?), (1, vec![]));
    Ok(())
}

#[tokio::test]
async fn the_named_schedules_fire_when_their_names_say() -> Result<()> {
    let (harness, _) = clock();
    let jobs = &[
        "clock.hourly",
        "clock.daily",
        "clock.weekly",
        "clock.monthly",
        "clock.macro",
        "clock.late-evening",
    ];
    let t = harness.with(only(jobs)).start().await?;
    t.advance_to(at("2026-02-01T00:00:00Z")).await;
    assert_eq!(t.fired("clock.hourly").len(), 31 * 24);
    assert_eq!(t.fired("clock.daily").len(), 31);
    assert_eq!(t.fired("clock.macro"), t.fired("clock.daily"));
    let sundays = ["2026-01-04", "2026-01-11", "2026-01-18", "2026-01-25", "2026-02-01"];
    assert_eq!(t.fired("clock.weekly"), sundays.map(|day| at::<Timestamp>(&format!("{day}T00:00:00Z"))));
    assert_eq!(t.fired("clock.monthly"), [at::<Timestamp>("2026-02-01T00:00:00Z")]);
    assert_eq!(t.fired("clock.late-evening").len(), 31);
    Ok(())
}

#[tokio::test]
async fn both_day_fields_are_alternatives() -> Result<()> {
    let (harness, _) = clock();
    let t = harness.with(only(&["clock.friday-or-13th"])).start().await?;
    t.advance_to(at("2026-01-31T00:00:00Z")).await;
    let days: Vec<_> =
        t.fired("clock.friday-or-13th").iter().map(|t| t.to_string()[8..10].to_owned()).collect();
    assert_eq!(days, ["02", "09", "13", "16", "23", "30"]);
    Ok(())
}

/// Fixed and wild jobs in a zone that changes its clocks.
#[derive(Default)]
struct Nights;

#[cron_group("nights", tz = "America/New_York")]
impl Nights {
    #[job("half-past-one", "30 1 * * *")]
    async fn half_past_one(&self) {}
    #[job("half-past-two", "30 2 * * *")]
    async fn half_past_two(&self) {}
    #[job("half-hourly", "*/30 * * * *")]
    async fn half_hourly(&self) {}
    #[job("wild-hour", "30 * * * *")]
    async fn wild_hour(&self) {}
    // The zone of the group has no use here, and is ignored.
    #[job("interval", "30m")]
    async fn interval(&self) {}
}

async fn night(from: &str, to: &str) -> Running {
    let t = Harness::new().at(at(from)).group::<Nights>().start().await.unwrap();
    t.advance_to(at(to)).await;
    t
}

fn times(t: &Running, job: &str) -> Vec<String> {
    t.fired(job).iter().map(|tick| tick.to_string()[11..16].to_owned()).collect()
}

#[tokio::test]
async fn in_the_spring_night_a_fixed_time_that_does_not_exist_runs_once_right_after_the_gap() {
    // 2026-03-08 02:00 EST becomes 03:00 EDT: 07:00Z.
    let t = night("2026-03-08T05:00:00Z", "2026-03-08T09:00:00Z").await;
    assert_eq!(times(&t, "nights.half-past-one"), ["06:30"]);
    assert_eq!(times(&t, "nights.half-past-two"), ["07:00"]);
    assert_eq!(times(&t, "nights.wild-hour"), ["05:30", "06:30", "07:30", "08:30"]);
    assert_eq!(times(&t, "nights.half-hourly").len(), 8);
    assert_eq!(times(&t, "nights.interval").len(), 8);
}

#[tokio::test]
async fn in_the_autumn_night_a_fixed_time_that_comes_twice_runs_once_and_a_wild_one_twice() {
    // 2026-11-01 02:00 EDT becomes 01:00 EST: 06:00Z.
    let t = night("2026-11-01T04:00:00Z", "2026-11-01T08:00:00Z").await;
    assert_eq!(times(&t, "nights.half-past-one"), ["05:30"]);
    assert_eq!(times(&t, "nights.half-past-two"), ["07:30"]);
    assert_eq!(times(&t, "nights.wild-hour"), ["04:30", "05:30", "06:30", "07:30"]);
    assert_eq!(times(&t, "nights.half-hourly").len(), 8);
    assert_eq!(times(&t, "nights.interval").len(), 8);
}

#[tokio::test]
async fn the_same_wall_time_in_two_zones_is_two_instants() -> Result<()> {
    let tokyo = JobOptions::new().tz("Asia/Tokyo");
    let t = Harness::new()
        .group::<Nights>()
        .with(move |b| b.configure("nights.half-past-one", tokyo.clone()))
        .start()
        .await?;
    t.advance(DAY).await;
    assert_eq!(t.fired("nights.half-past-one"), [at::<Timestamp>("2026-01-01T16:30:00Z")]);
    assert_eq!(t.fired("nights.half-past-two"), [at::<Timestamp>("2026-01-01T07:30:00Z")]);
    Ok(())
}

/// Every minute; waits at the gate for as long as it is shut.
struct Minutely {
    starts: Log<String>,
    gate: Gate,
}

#[cron_group("m")]
impl Minutely {
    #[job("tick", "* * * * *")]
    async fn tick(&self, cx: &JobContext) {
        let tick = cx.tick().map_or("by hand".to_owned(), |tick| tick.to_string()[11..16].to_owned());
        self.starts.note(format!("{:?} {tick}", cx.trigger()));
        self.gate.pass().await;
    }
}

/// A harness of the minutely job with these options.
fn minutely(options: JobOptions) -> (Harness, Log<String>, Gate) {
    let (starts, gate) = (Log::default(), Gate::default());
    let harness = Harness::new()
        .provide(Minutely { starts: starts.clone(), gate: gate.clone() })
        .with(move |b| b.configure("m.tick", options.clone()));
    (harness, starts, gate)
}

const CATCH_UP: [&str; 3] = ["skip", "once", "all"];
const OVERLAP: [&str; 3] = ["skip", "queue", "allow"];

/// Down from 00:02:30 until this long after 00:06, with nothing busy.
async fn down_when_idle(catch_up: &str, overlap: &str, after: Duration, paused: bool) -> Vec<String> {
    let (harness, _, gate) = minutely(JobOptions::new().catch_up(catch_up).overlap(overlap));
    gate.open();
    let t = harness.start().await.unwrap();
    t.advance(secs(150)).await;
    if paused {
        t.client().pause("m.*", "on holiday").await.unwrap();
    }
    t.crash("a").await;
    t.advance_to(at::<Timestamp>("2026-01-01T00:06:00Z") + after).await;
    t.restart("a").await;
    t.advance(MILLI * 500).await;
    verdicts(&t, "m.tick").await
}

#[tokio::test]
async fn ticks_missed_while_down_are_caught_up_as_the_policy_says() {
    for overlap in OVERLAP {
        for catch_up in CATCH_UP {
            let seen = down_when_idle(catch_up, overlap, secs(30), false).await;
            let expected: &[&str] = match catch_up {
                "skip" => &["missed 00:03..00:06 x4"],
                "once" => &["missed 00:03..00:05 x3", "late 00:06"],
                _ => &["late 00:03", "late 00:04", "late 00:05", "late 00:06"],
            };
            assert_eq!(seen[..2], ["fired 00:01", "fired 00:02"]);
            assert_eq!(seen[2..], *expected, "{catch_up} {overlap}");
        }
    }
}

#[tokio::test]
async fn a_tick_noticed_within_ten_seconds_fires_under_every_policy_and_stands_for_the_missed() {
    for overlap in OVERLAP {
        for catch_up in CATCH_UP {
            let seen = down_when_idle(catch_up, overlap, secs(9), false).await;
            let expected: &[&str] = match catch_up {
                "skip" | "once" => &["missed 00:03..00:05 x3", "fired 00:06"],
                _ => &["late 00:03", "late 00:04", "late 00:05", "fired 00:06"],
            };
            assert_eq!(seen[2..], *expected, "{catch_up} {overlap}");
        }
    }
}

#[tokio::test]
async fn ticks_missed_while_paused_are_skipped_and_never_caught_up() {
    for overlap in OVERLAP {
        for catch_up in CATCH_UP {
            for after in [secs(9), secs(30)] {
                let seen = down_when_idle(catch_up, overlap, after, true).await;
                assert_eq!(seen[2..], ["paused 00:03..00:06 x4"], "{catch_up} {overlap} {after:?}");
            }
        }
    }
}

/// Down from 00:02:30 until 00:06:30 with the run of 00:02 busy; it ends at 00:07:30.
async fn down_when_busy(catch_up: &str, overlap: &str) -> (Vec<String>, Vec<String>) {
    let (harness, _, gate) = minutely(JobOptions::new().catch_up(catch_up).overlap(overlap));
    gate.let_through(1);
    let t = harness.start().await.unwrap();
    t.advance(secs(150)).await;
    t.crash("a").await;
    t.advance_to(at("2026-01-01T00:06:30Z")).await;
    t.restart("a").await;
    t.advance_to(at("2026-01-01T00:07:30Z")).await;
    let busy = verdicts(&t, "m.tick").await;
    gate.open();
    t.advance(SECOND).await;
    (busy[2..].to_vec(), verdicts(&t, "m.tick").await[2..].to_vec())
}

#[tokio::test]
async fn ticks_missed_while_down_meet_a_busy_run_as_overlap_says() {
    for catch_up in CATCH_UP {
        for overlap in OVERLAP {
            let (busy, after) = down_when_busy(catch_up, overlap).await;
            let (when_busy, at_the_end): (&[&str], &[&str]) = match (catch_up, overlap) {
                ("skip", "skip") => (
                    &["missed 00:03..00:06 x4", "overlap 00:07"],
                    &["missed 00:03..00:06 x4", "overlap 00:07"],
                ),
                ("skip", "queue") => {
                    (&["missed 00:03..00:06 x4"], &["missed 00:03..00:06 x4", "fired 00:07"])
                }
                ("skip", _) => {
                    (&["missed 00:03..00:06 x4", "fired 00:07"], &["missed 00:03..00:06 x4", "fired 00:07"])
                }
                ("once", "skip") => (
                    &["missed 00:03..00:05 x3", "overlap 00:06..00:07 x2"],
                    &["missed 00:03..00:05 x3", "overlap 00:06..00:07 x2"],
                ),
                ("once", "queue") => (
                    &["missed 00:03..00:05 x3", "replaced 00:06"],
                    &["missed 00:03..00:05 x3", "replaced 00:06", "fired 00:07"],
                ),
                ("once", _) => (
                    &["missed 00:03..00:05 x3", "late 00:06", "fired 00:07"],
                    &["missed 00:03..00:05 x3", "late 00:06", "fired 00:07"],
                ),
                // One after the other, whatever `overlap` says.
                _ => (&[], &["late 00:03", "late 00:04", "late 00:05", "late 00:06", "late 00:07"]),
            };
            assert_eq!(busy, when_busy, "{catch_up} {overlap}");
            assert_eq!(after, at_the_end, "{catch_up} {overlap}");
        }
    }
}

#[tokio::test]
async fn all_catches_up_one_at_a_time_the_oldest_first() -> Result<()> {
    let (harness, starts, gate) = minutely(JobOptions::new().catch_up("all").overlap("allow"));
    gate.let_through(1);
    let t = harness.start().await?;
    t.advance(MINUTE).await;
    t.crash("a").await;
    t.advance(MINUTE * 3 + secs(30)).await;
    t.restart("a").await;
    t.advance(SECOND).await;
    assert_eq!(starts.take(), ["Schedule 00:01", "CatchUp 00:02"]);
    gate.let_through(1);
    t.advance(SECOND).await;
    assert_eq!(starts.take(), ["CatchUp 00:03"]);
    gate.let_through(1);
    t.advance(SECOND).await;
    assert_eq!(starts.take(), ["CatchUp 00:04"]);
    Ok(())
}

#[tokio::test]
async fn all_catches_up_at_most_the_newest_thousand() -> Result<()> {
    let (harness, starts, gate) = minutely(JobOptions::new().catch_up("all"));
    gate.open();
    let t = harness.start().await?;
    t.crash("a").await;
    t.advance(MINUTE * 1_500 + secs(30)).await;
    t.restart("a").await;
    t.advance(secs(20)).await;
    assert_eq!(starts.len(), 1_000);
    let ticks = t.client().ticks("m.tick", usize::MAX).await?;
    let oldest = ticks.last().unwrap();
    assert_eq!((oldest.verdict, oldest.count), (Verdict::Missed, 500));
    Ok(())
}

#[tokio::test]
async fn catch_up_window_bounds_what_is_caught_up() -> Result<()> {
    for (catch_up, window, expected) in [
        ("all", secs(120), &["missed 00:01..00:02 x2", "late 00:03", "late 00:04"][..]),
        ("once", secs(120), &["missed 00:01..00:03 x3", "late 00:04"]),
        ("once", secs(20), &["missed 00:01..00:04 x4"]),
        ("all", secs(20), &["missed 00:01..00:04 x4"]),
    ] {
        let (harness, _, gate) = minutely(JobOptions::new().catch_up(catch_up).catch_up_window(window));
        gate.open();
        let t = harness.start().await?;
        t.crash("a").await;
        t.advance(MINUTE * 4 + secs(30)).await;
        t.restart("a").await;
        t.advance(SECOND).await;
        assert_eq!(verdicts(&t, "m.tick").await, expected, "{catch_up} {window:?}");
    }
    Ok(())
}

#[tokio::test]
async fn records_of_neighbours_merge_over_restarts() -> Result<()> {
    let (harness, _, _) = minutely(JobOptions::new().catch_up("skip"));
    let t = harness.start().await?;
    for _ in 0..3 {
        t.crash("a").await;
        t.advance(secs(155)).await;
        t.restart("a").await;
        t.advance(SECOND).await;
    }
    assert_eq!(verdicts(&t, "m.tick").await, ["missed 00:01..00:07 x7"]);
    Ok(())
}

#[tokio::test]
async fn a_tick_fired_later_than_late_after_is_late_though_it_was_noticed_on_time() -> Result<()> {
    let (harness, starts, gate) = minutely(JobOptions::new().late_after(secs(5)));
    gate.open();
    let t = harness.start().await?;
    for (down_until, verdict) in [("00:01:04", "fired 00:01"), ("00:02:07", "late 00:02")] {
        t.crash("a").await;
        t.advance_to(at(&format!("2026-01-01T{down_until}Z"))).await;
        t.restart("a").await;
        t.advance(SECOND).await;
        assert_eq!(verdicts(&t, "m.tick").await.last().unwrap(), verdict);
    }
    assert_eq!(starts.all(), ["Schedule 00:01", "Schedule 00:02"], "neither is a catch-up");
    Ok(())
}

#[tokio::test]
async fn a_tick_that_meets_a_busy_run_is_skipped() -> Result<()> {
    let (harness, starts, gate) = minutely(JobOptions::new());
    let t = harness.start().await?;
    t.advance(MINUTE * 3 + secs(30)).await;
    gate.open();
    t.advance(MINUTE).await;
    assert_eq!(verdicts(&t, "m.tick").await, ["fired 00:01", "overlap 00:02..00:03 x2", "fired 00:04"]);
    assert_eq!(starts.all(), ["Schedule 00:01", "Schedule 00:04"]);
    Ok(())
}

#[tokio::test]
async fn queue_keeps_one_tick_waiting_and_the_newest_replaces_it() -> Result<()> {
    let (harness, starts, gate) = minutely(JobOptions::new().overlap("queue"));
    let t = harness.start().await?;
    t.advance(MINUTE * 3 + secs(20)).await;
    assert_eq!(verdicts(&t, "m.tick").await, ["fired 00:01", "replaced 00:02"], "00:03 waits");
    gate.open();
    t.advance(SECOND).await;
    assert_eq!(verdicts(&t, "m.tick").await, ["fired 00:01", "replaced 00:02", "fired 00:03"]);
    assert_eq!(starts.all(), ["Schedule 00:01", "Schedule 00:03"]);
    Ok(())
}

#[tokio::test]
async fn a_tick_that_waited_in_the_queue_for_long_is_late_and_never_dropped() -> Result<()> {
    for catch_up in CATCH_UP {
        let options = JobOptions::new().overlap("queue").catch_up(catch_up).schedule("0 * * * *");
        let options = options.max_compute_time(HOUR * 9);
        let (harness, starts, gate) = minutely(options);
        let t = harness.start().await?;
        t.advance(HOUR * 2 + MINUTE * 30).await;
        gate.open();
        t.advance(SECOND).await;
        assert_eq!(verdicts(&t, "m.tick").await, ["fired 01:00", "late 02:00"], "{catch_up}");
        assert_eq!(starts.all(), ["Schedule 01:00", "Schedule 02:00"], "{catch_up}");
    }
    Ok(())
}

#[tokio::test]
async fn a_queued_tick_survives_a_crash() -> Result<()> {
    let options = JobOptions::new().overlap("queue").catch_up("skip").schedule("0 * * * *");
    let (harness, starts, gate) = minutely(options.max_compute_time(HOUR * 9));
    let t = harness.start().await?;
    t.advance(HOUR * 2 + MINUTE * 10).await;
    t.crash("a").await;
    t.advance(MINUTE * 10).await;
    gate.open();
    t.restart("a").await;
    t.advance(SECOND).await;
    assert_eq!(verdicts(&t, "m.tick").await, ["fired 01:00", "late 02:00"]);
    assert_eq!(starts.all(), ["Schedule 01:00", "Schedule 01:00", "Schedule 02:00"]);
    Ok(())
}

#[tokio::test]
async fn allow_runs_them_side_by_side() -> Result<()> {
    let (harness, starts, gate) = minutely(JobOptions::new().overlap("allow"));
    let t = harness.start().await?;
    t.advance(MINUTE * 3).await;
    assert_eq!(starts.len(), 3);
    gate.open();
    t.advance(SECOND).await;
    assert_eq!(verdicts(&t, "m.tick").await, ["fired 00:01", "fired 00:02", "fired 00:03"]);
    Ok(())
}

/// Fails once, with a long wait.
#[derive(Default)]
struct Trailing {
    log: Log<String>,
}

#[cron_group("trailing")]
impl Trailing {
    #[query("send")]
    async fn find(&self) -> Vec<u32> {
        vec![1, 2]
    }
    #[job("send", "0 * * * *", retries = 1, retry_delay = "90m", backoff = "fixed", max_retry_delay = "90m")]
    async fn send(&self, n: u32, cx: &JobContext) -> Result<()> {
        self.log.note(format!("{} {n} {}", &cx.tick().unwrap().to_string()[11..16], cx.attempt()));
        if n == 2 && cx.attempt() == 1 { Err("later".into()) } else { Ok(()) }
    }

    #[query("snooze")]
    async fn find_snoozers(&self) -> Vec<u32> {
        vec![1]
    }
    #[job("snooze", "0 * * * *")]
    async fn snooze(&self, _n: u32, cx: &JobContext) -> Outcome {
        let late = self.log.all().iter().any(|line| line.starts_with("snoozed"));
        self.log.note(format!("snoozed {}", &cx.tick().unwrap().to_string()[11..16]));
        if late { Outcome::Done } else { Outcome::Snooze(MINUTE * 90) }
    }
}

#[tokio::test]
async fn a_run_of_which_only_retries_remain_holds_no_tick_back() -> Result<()> {
    let log = Log::default();
    let t = Harness::new()
        .provide(Trailing { log: log.clone() })
        .with(|b| b.only(["trailing.send"]))
        .start()
        .await?;
    t.advance(HOUR * 2 + MINUTE * 40).await;
    assert_eq!(verdicts(&t, "trailing.send").await, ["fired 01:00", "fired 02:00"]);
    assert_eq!(log.all(), ["01:00 1 1", "01:00 2 1", "02:00 1 1", "02:00 2 1", "01:00 2 2"]);
    Ok(())
}

#[tokio::test]
async fn a_snoozed_item_holds_no_tick_back() -> Result<()> {
    let t = Harness::new().group::<Trailing>().with(|b| b.only(["trailing.snooze"])).start().await?;
    t.advance(HOUR * 2).await;
    assert_eq!(verdicts(&t, "trailing.snooze").await, ["fired 01:00", "fired 02:00"]);
    Ok(())
}

#[tokio::test]
async fn jitter_moves_the_firing_by_the_same_on_every_node_and_never_the_tick() -> Result<()> {
    let options = || JobOptions::new().schedule("0 * * * *").jitter(secs(30));
    let mut delays = Vec::new();
    for nodes in [1, 2] {
        let (harness, _, gate) = minutely(options());
        gate.open();
        let t = harness.nodes(nodes).start().await?;
        t.advance(HOUR * 20 + MINUTE).await;
        let fired = t.fired("m.tick");
        assert_eq!(fired.len(), 20);
        assert!(fired.iter().all(|tick| tick.as_second() % 3_600 == 0), "{fired:?}");
        let mut found = Vec::new();
        for info in t.client().ticks("m.tick", 100).await?.into_iter().rev() {
            assert_eq!(info.verdict, Verdict::Fired);
            let report = t.client().report(info.run.unwrap()).await?;
            found.push(Duration::try_from(report.started_at.duration_since(info.tick))?);
        }
        assert!(found.iter().all(|delay| *delay < secs(30) + MILLI * 200), "{found:?}");
        assert!(found.iter().max() > found.iter().min().map(|least| *least + secs(5)).as_ref(), "{found:?}");
        delays.push(found);
    }
    for (one, two) in delays[0].iter().zip(&delays[1]) {
        assert!(one.abs_diff(*two) <= MILLI * 100, "{delays:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_run_by_hand_leaves_the_schedule_alone() -> Result<()> {
    let (harness, starts, gate) = minutely(JobOptions::new());
    gate.open();
    let t = harness.start().await?;
    t.advance(secs(30)).await;
    let next = t.client().next_ticks("m.tick", 2).await?;
    let report = t.run("m.tick").await?;
    assert_eq!((report.trigger, report.tick), (Trigger::Manual, None));
    assert_eq!(t.client().next_ticks("m.tick", 2).await?, next);
    t.advance_to(at("2026-01-01T00:01:00Z")).await;
    assert_eq!(verdicts(&t, "m.tick").await, ["fired 00:01"]);
    assert_eq!(starts.all(), ["Manual by hand", "Schedule 00:01"]);
    Ok(())
}

#[tokio::test]
async fn a_stopped_job_fires_no_more_here_until_restart_and_work_completes() -> Result<()> {
    let (harness, starts, gate) = minutely(JobOptions::new());
    let t = harness.start().await?;
    t.advance(MINUTE).await;
    t.runner("a").stop("m.tick")?;
    gate.open();
    t.advance(MINUTE * 3 + secs(30)).await;
    assert_eq!(verdicts(&t, "m.tick").await, ["fired 00:01"], "nothing is decided of the ticks");
    let ticks = t.client().ticks("m.tick", 1).await?;
    t.client().report(ticks[0].run.unwrap()).await?.ok()?;
    t.run("m.tick").await?.ok()?;
    t.restart("a").await;
    t.advance(SECOND).await;
    assert_eq!(verdicts(&t, "m.tick").await, ["fired 00:01", "missed 00:02..00:03 x2", "late 00:04"]);
    assert_eq!(starts.len(), 3);
    let unknown = t.runner("a").stop("m.tock").unwrap_err().to_string();
    assert_eq!(unknown, "no job is named `m.tock`; did you mean `m.tick`?");
    Ok(())
}

#[tokio::test]
async fn stop_all_stops_every_job_here_and_no_other_runner() -> Result<()> {
    let (harness, _) = clock();
    let jobs = &["clock.minute", "clock.seconds"];
    let t = harness.nodes(2).with(only(jobs)).start().await?;
    t.runner("a").stop_all();
    // It may be the turn of `a`, for which `b` waits a little.
    t.advance(MINUTE + SECOND).await;
    assert_eq!((t.fired("clock.minute").len(), t.fired("clock.seconds").len()), (1, 6), "`b` goes on");
    t.runner("b").stop_all();
    t.advance(MINUTE * 5).await;
    assert_eq!((t.fired("clock.minute").len(), t.fired("clock.seconds").len()), (1, 6));
    Ok(())
}

#[tokio::test]
async fn a_tick_makes_one_run_however_many_nodes_there_are() -> Result<()> {
    let (harness, starts) = clock();
    let t = harness.nodes(8).with(only(&["clock.seconds"])).start().await?;
    t.advance(MINUTE * 10).await;
    assert_eq!(t.fired("clock.seconds").len(), 60);
    assert_eq!(starts.len(), 60);
    assert_eq!(verdicts(&t, "clock.seconds").await.len(), 60);
    Ok(())
}

/// Disabled in code.
#[derive(Default)]
struct Sleeping;

#[cron_group("sleeping")]
impl Sleeping {
    #[job("job", "* * * * *", enabled = false)]
    async fn job(&self) {}
}

#[tokio::test]
async fn a_job_disabled_in_code_starts_paused_and_resume_wins_until_the_code_changes() -> Result<()> {
    let t = Harness::new().group::<Sleeping>().start().await?;
    assert_eq!(t.client().job(Sleeping::JOB).await?.paused.as_deref(), Some("disabled in code"));
    t.advance(MINUTE * 2).await;
    assert_eq!(verdicts(&t, "sleeping.job").await, ["paused 00:01..00:02 x2"]);
    t.client().resume("sleeping.job").await?;
    t.advance(MINUTE).await;
    t.restart("a").await;
    t.advance(MINUTE).await;
    assert_eq!(verdicts(&t, "sleeping.job").await, ["paused 00:01..00:02 x2", "fired 00:03", "fired 00:04"]);
    Ok(())
}
