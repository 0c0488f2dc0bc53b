//! Steering from outside: pause, resume, cancel, run by hand, look (DESIGN §6, "Steering"; API, `Client`).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use behaviour::{DAY, Gate, HOUR, Log, MILLI, MINUTE, SECOND, at, secs};
use jobs_runner::{
    ClientError, Counts, Event, RunFilter, RunId, RunState, SkipReason, Trigger, Verdict,
    prelude::*,
    testing::{Harness, Running},
};

/// Items that wait at a gate, and a simple job.
#[derive(Clone, Default)]
struct Post {
    log: Log<String>,
    gate: Gate,
}

#[cron_group("post")]
impl Post {
    #[query("send")]
    async fn letters(&self) -> Vec<u32> {
        (0..6).collect()
    }
    #[job("send", "0 * * * *", concurrency = 2)]
    async fn send(&self, n: u32) {
        let _gone = self.log.on_drop(format!("end {n}"));
        self.log.note(format!("start {n}"));
        self.gate.pass().await;
        self.log.note(format!("done {n}"));
    }

    #[job("sweep", "30 * * * *")]
    async fn sweep(&self) {
        self.log.note("sweep".into());
        self.gate.pass().await;
    }

    #[query("slow")]
    async fn slow_query(&self) -> Vec<u32> {
        let _gone = self.log.on_drop("query dropped".into());
        self.gate.pass().await;
        vec![1]
    }
    #[job("slow")]
    async fn slow(&self, n: u32) {
        self.log.note(format!("slow {n}"));
    }

    #[job("fragile", retries = 1, retry_delay = "1h")]
    async fn fragile(&self, cx: &JobContext) -> Result<()> {
        self.log.note(format!("fragile {}", cx.attempt()));
        Err("no".into())
    }

    #[job("letter")]
    async fn letter(&self, _text: String) {}
}

/// Another group, to be left alone.
#[derive(Clone, Default)]
struct Other;

#[cron_group("other")]
impl Other {
    #[job("tick", "0 * * * *")]
    async fn tick(&self) {}
}

async fn post() -> (Running, Post) {
    let post = Post::default();
    let t = Harness::new().provide(post.clone()).group::<Other>().start().await.unwrap();
    (t, post)
}

async fn verdicts(t: &Running, job: &str) -> Vec<(Verdict, u64)> {
    let ticks = t.client().ticks(job, 100).await.unwrap();
    ticks.into_iter().rev().map(|info| (info.verdict, info.count)).collect()
}

const PAUSED: Verdict = Verdict::Skipped(SkipReason::Paused);

#[tokio::test]
async fn a_paused_job_has_its_ticks_skipped_and_the_others_go_on() -> Result<()> {
    for (pattern, sweep, other) in [("post.send", false, false), ("post.*", true, false), ("*", true, true)] {
        let (t, post) = post().await;
        post.gate.open();
        t.client().pause(pattern, "stocktaking").await?;
        t.advance(HOUR * 2).await;
        assert_eq!(verdicts(&t, "post.send").await, [(PAUSED, 2)], "{pattern}");
        let fired = vec![(Verdict::Fired, 1); 2];
        let expected = |paused| if paused { vec![(PAUSED, 2)] } else { fired.clone() };
        assert_eq!(verdicts(&t, "post.sweep").await, expected(sweep), "{pattern}");
        assert_eq!(verdicts(&t, "other.tick").await, expected(other), "{pattern}");
        assert_eq!(t.client().job("post.send").await?.paused.as_deref(), Some("stocktaking"), "{pattern}");
        assert_eq!(t.client().job("other.tick").await?.paused.is_some(), other, "{pattern}");

        t.client().resume(pattern).await?;
        t.advance(HOUR).await;
        assert_eq!(verdicts(&t, "post.send").await, [(PAUSED, 2), (Verdict::Fired, 1)], "{pattern}");
        assert_eq!(t.client().job("post.send").await?.paused, None, "{pattern}");
    }
    Ok(())
}

#[tokio::test]
async fn a_pause_is_stored_and_holds_on_every_node_and_over_restarts() -> Result<()> {
    let post = Post::default();
    let t = Harness::new().nodes(2).provide(post.clone()).group::<Other>().start().await?;
    t.client().pause("post.*", "stocktaking").await?;
    t.restart("a").await;
    t.restart("b").await;
    t.advance(HOUR * 2).await;
    assert_eq!(verdicts(&t, "post.send").await, [(PAUSED, 2)]);
    assert_eq!(t.client().job("post.send").await?.paused.as_deref(), Some("stocktaking"));
    assert!(post.log.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_runs_goes_on_under_a_pause_and_what_has_not_started_goes_back() -> Result<()> {
    let post = Post::default();
    let t = Harness::new().provide(post.clone()).with(|b| b.only(["post.send"])).start().await?;
    let run = t.client().run(Post::SEND).await?;
    t.advance(SECOND).await;
    assert_eq!(post.log.take(), ["start 0", "start 1"]);
    t.client().pause("post.send", "stocktaking").await?;
    post.gate.open();
    t.advance(HOUR).await;
    assert_eq!(post.log.take(), ["done 0", "end 0", "done 1", "end 1"]);
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.ok), (RunState::Working, 2));
    t.client().resume("post.send").await?;
    t.advance(SECOND).await;
    let report = t.client().report(run.id()).await?.ok()?;
    assert_eq!((report.counts.ok, report.counts.retries), (6, 0));
    Ok(())
}

#[tokio::test]
async fn a_retry_that_comes_due_under_a_pause_waits_for_resume() -> Result<()> {
    let (t, post) = post().await;
    let _run = t.client().run(Post::FRAGILE).await?;
    t.advance(SECOND).await;
    t.client().pause("post.fragile", "stocktaking").await?;
    t.advance(HOUR * 5).await;
    assert_eq!(post.log.take().iter().filter(|line| line.starts_with("fragile")).count(), 1);
    t.client().resume("post.fragile").await?;
    t.advance(SECOND).await;
    assert_eq!(post.log.take(), ["fragile 2"]);
    Ok(())
}

#[tokio::test]
async fn resuming_one_pause_leaves_a_wider_one_in_force() -> Result<()> {
    let (t, _) = post().await;
    t.client().pause("*", "all").await?;
    t.client().pause("post.send", "this").await?;
    assert_eq!(t.client().job("post.send").await?.paused.as_deref(), Some("this"), "the narrowest is shown");
    t.client().resume("post.send").await?;
    assert_eq!(t.client().job("post.send").await?.paused.as_deref(), Some("all"));
    t.advance(HOUR).await;
    assert_eq!(verdicts(&t, "post.send").await, [(PAUSED, 1)]);
    Ok(())
}

#[tokio::test]
async fn pauses_and_resumes_are_events() -> Result<()> {
    let (t, _) = post().await;
    t.client().pause("post.*", "stocktaking").await?;
    t.advance(SECOND).await;
    t.client().resume("post.*").await?;
    t.advance(SECOND).await;
    let events: Vec<_> = t
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::Paused { .. } | Event::Resumed { .. }))
        .collect();
    assert_eq!(
        events,
        [
            Event::Paused { pattern: "post.*".into(), note: "stocktaking".into() },
            Event::Resumed { pattern: "post.*".into() },
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_cancelled_run_drops_what_runs_within_a_beat_and_starts_no_more() -> Result<()> {
    let (t, post) = post().await;
    let run = t.client().run(Post::SEND).await?;
    t.advance(SECOND).await;
    assert_eq!(post.log.take(), ["start 0", "start 1"]);
    run.cancel().await?;
    t.advance(secs(3)).await;
    let mut ends = post.log.take();
    ends.sort();
    assert_eq!(ends, ["end 0", "end 1"], "dropped, not done");
    let report = t.client().report(run.id()).await?;
    assert_eq!(report.state, RunState::Cancelled);
    assert_eq!(report.counts, Counts { total: 6, cancelled: 6, ..Counts::default() });
    assert!(report.finished_at.is_some());
    post.gate.open();
    t.advance(SECOND * 30).await;
    assert!(post.log.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_was_done_before_a_cancel_stays_done() -> Result<()> {
    let (t, post) = post().await;
    post.gate.let_through(3);
    let run = t.client().run(Post::SEND).await?;
    t.advance(SECOND).await;
    t.client().cancel(run.id()).await?;
    t.advance(secs(3)).await;
    let report = run.wait().await?;
    assert_eq!(report.counts, Counts { total: 6, ok: 3, cancelled: 3, ..Counts::default() });
    assert_eq!(report.state, RunState::Cancelled);
    assert!(report.ok().unwrap_err().to_string().contains("was cancelled"));
    Ok(())
}

#[tokio::test]
async fn a_run_whose_query_runs_is_cancelled_and_the_query_dropped() -> Result<()> {
    let (t, post) = post().await;
    let run = t.client().run(Post::SLOW).await?;
    t.advance(SECOND).await;
    run.cancel().await?;
    t.advance(secs(3)).await;
    assert_eq!(post.log.take(), ["query dropped"]);
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.total), (RunState::Cancelled, 0));
    Ok(())
}

#[tokio::test]
async fn a_run_that_waits_is_cancelled_at_once() -> Result<()> {
    let (t, post) = post().await;
    t.crash("a").await;
    let run = t.client().run(Post::SEND).await?;
    assert_eq!(t.client().report(run.id()).await?.state, RunState::Queued);
    run.cancel().await?;
    assert_eq!(t.client().report(run.id()).await?.state, RunState::Cancelled);
    t.restart("a").await;
    t.advance(MINUTE).await;
    assert!(post.log.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_retry_that_waits_is_cancelled_with_its_run() -> Result<()> {
    let (t, post) = post().await;
    let run = t.client().run(Post::FRAGILE).await?;
    t.advance(SECOND).await;
    run.cancel().await?;
    let report = t.client().report(run.id()).await?;
    assert_eq!((report.state, report.counts.cancelled, report.counts.dead), (RunState::Cancelled, 1, 0));
    t.advance(HOUR * 3).await;
    assert_eq!(post.log.all().iter().filter(|line| line.starts_with("fragile")).count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_run_that_is_over_cannot_be_cancelled() -> Result<()> {
    let (t, post) = post().await;
    post.gate.open();
    let report = t.run(Post::SEND).await?;
    t.client().cancel(report.id).await?;
    t.advance(secs(5)).await;
    assert_eq!(t.client().report(report.id).await?, report);
    Ok(())
}

#[tokio::test]
async fn a_cancelled_run_lets_the_next_tick_fire() -> Result<()> {
    let (t, _) = post().await;
    t.advance(HOUR).await;
    let ticks = t.client().ticks(Post::SEND, 1).await?;
    t.client().cancel(ticks[0].run.unwrap()).await?;
    t.advance(HOUR).await;
    assert_eq!(verdicts(&t, "post.send").await, [(Verdict::Fired, 1), (Verdict::Fired, 1)]);
    Ok(())
}

#[tokio::test]
async fn a_run_by_hand_right_after_start_runs_once_and_at_once() -> Result<()> {
    let (t, post) = post().await;
    let began = t.now();
    let run = t.client().run("post.sweep").await?;
    t.advance(MILLI * 2).await;
    assert_eq!(post.log.all(), ["sweep"]);
    post.gate.open();
    t.advance(MINUTE).await;
    assert_eq!(post.log.all(), ["sweep"]);
    assert_eq!(t.client().report(run.id()).await?.ok()?.started_at, began);
    Ok(())
}

#[tokio::test]
async fn a_busy_job_is_not_run_again_by_hand() -> Result<()> {
    let (t, post) = post().await;
    let first = t.client().run(Post::SEND).await?;
    t.advance(SECOND).await;
    let error = t.client().run(Post::SEND).await.unwrap_err();
    assert!(matches!(&error, ClientError::Busy { job, run } if job == "post.send" && *run == first.id()));
    let expected =
        format!("`post.send` is busy with run {}; wait for it, or set `overlap = \"allow\"`", first.id());
    assert_eq!(error.to_string(), expected);
    post.gate.open();
    t.advance(SECOND).await;
    t.run(Post::SEND).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn overlap_allow_runs_by_hand_side_by_side() -> Result<()> {
    let t = Harness::new()
        .group::<Post>()
        .with(|b| b.configure("post.sweep", JobOptions::new().overlap("allow")))
        .start()
        .await?;
    let _one = t.client().run(Post::SWEEP).await?;
    t.advance(SECOND).await;
    let _two = t.client().run(Post::SWEEP).await?;
    Ok(())
}

#[tokio::test]
async fn a_paused_job_is_not_run_by_hand() -> Result<()> {
    let (t, _) = post().await;
    t.client().pause("post.*", "stocktaking").await?;
    let error = t.client().run(Post::SWEEP).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Paused { job, note } if job == "post.sweep" && note == "stocktaking")
    );
    assert_eq!(error.to_string(), "`post.sweep` is paused: stocktaking; resume it first");
    Ok(())
}

#[tokio::test]
async fn a_job_that_takes_an_item_and_has_no_query_is_not_run() -> Result<()> {
    let (t, _) = post().await;
    let error = t.client().run(Post::LETTER).await.unwrap_err();
    assert!(matches!(&error, ClientError::NeedsItem { job } if job == "post.letter"));
    Ok(())
}

#[tokio::test]
async fn an_unknown_name_is_an_error_with_a_suggestion_everywhere() -> Result<()> {
    let (t, _) = post().await;
    let client = t.client();
    let errors = [
        client.run("post.sned").await.unwrap_err(),
        client.job("post.sned").await.unwrap_err(),
        client.next_ticks("post.sned", 1).await.unwrap_err(),
        client.ticks("post.sned", 1).await.unwrap_err(),
        client.runs(RunFilter::new().job("post.sned")).await.unwrap_err(),
        client.dead(jobs_runner::DeadFilter::new().job("post.sned")).await.unwrap_err(),
        client.pause("post.sned", "").await.unwrap_err(),
        client.resume("post.sned").await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.to_string(), "no job is named `post.sned`; did you mean `post.send`?");
        let ClientError::UnknownJob { job, suggestion } = error else { panic!("{error:?}") };
        assert_eq!((&*job, suggestion.as_deref()), ("post.sned", Some("post.send")));
    }
    let far = client.run("zzz").await.unwrap_err();
    assert!(matches!(&far, ClientError::UnknownJob { suggestion: None, .. }), "{far}");
    // Ids are case-sensitive.
    let upper = client.run("Post.send").await.unwrap_err();
    assert!(matches!(&upper, ClientError::UnknownJob { suggestion: Some(name), .. } if name == "post.send"));
    Ok(())
}

#[tokio::test]
async fn an_unknown_run_is_not_found() -> Result<()> {
    let (t, _) = post().await;
    let unknown: RunId = at("12345");
    for error in [
        t.client().report(unknown).await.unwrap_err(),
        t.client().cancel(unknown).await.unwrap_err(),
        t.client().handle(unknown).await.map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(&error, ClientError::NotFound { id } if id == "12345"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_handle_waits_for_the_end_and_finds_it_again() -> Result<()> {
    let (t, post) = post().await;
    let run = t.client().run(Post::SWEEP).note("after the storm").await?;
    t.advance(SECOND).await;
    let again = t.client().handle(run.id()).await?;
    assert_eq!(t.client().report(run.id()).await?.state, RunState::Working);
    let waiting = tokio::spawn(async move { again.wait().await });
    t.advance(MINUTE).await;
    assert!(!waiting.is_finished());
    post.gate.open();
    t.advance(SECOND).await;
    let report = waiting.await??;
    assert_eq!((report.state, report.note.as_deref()), (RunState::Succeeded, Some("after the storm")));
    assert_eq!(report, run.wait().await?);
    Ok(())
}

#[tokio::test]
async fn jobs_are_listed_with_schedule_zone_next_tick_and_place() -> Result<()> {
    let (t, _) = post().await;
    let jobs = t.client().jobs().await?;
    let ids: Vec<_> = jobs.iter().map(|job| &*job.id).collect();
    assert_eq!(ids, ["other.tick", "post.fragile", "post.letter", "post.send", "post.slow", "post.sweep"]);
    let send = t.client().job(Post::SEND).await?;
    assert_eq!(send, jobs[3]);
    assert_eq!((&*send.group, &*send.name, &*send.tz), ("post", "send", "UTC"));
    assert_eq!((send.schedule.as_deref(), send.next), (Some("0 * * * *"), Some(at("2026-01-01T01:00:00Z"))));
    assert!(send.location.file.ends_with("steering.rs") && send.location.line > 20, "{:?}", send.location);
    assert_eq!(t.client().job(Post::SLOW).await?.schedule, None);
    Ok(())
}

#[tokio::test]
async fn next_ticks_are_as_many_as_asked_for_and_strictly_increase() -> Result<()> {
    let (t, _) = post().await;
    let next = t.client().next_ticks(Post::SWEEP, 5).await?;
    let expected: Vec<Timestamp> = (0..5).map(|h| at(&format!("2026-01-01T0{h}:30:00Z"))).collect();
    assert_eq!(next, expected);
    assert_eq!(t.client().next_ticks(Post::SWEEP, 0).await?, []);
    assert_eq!(t.client().next_ticks(Post::SLOW, 5).await?, []);
    t.advance(HOUR).await;
    assert_eq!(t.client().next_ticks(Post::SWEEP, 4).await?, expected[1..]);
    Ok(())
}

#[tokio::test]
async fn runs_are_listed_newest_first_and_filtered() -> Result<()> {
    let (t, post) = post().await;
    post.gate.open();
    t.advance(HOUR * 3).await;
    let _ = t.run(Post::FRAGILE).await?;
    let sends = t.client().runs(RunFilter::new().job(Post::SEND)).await?;
    let hours: Vec<_> = sends.iter().map(|run| run.tick.unwrap().to_string()[11..13].to_owned()).collect();
    assert_eq!(hours, ["04", "03", "02", "01"], "the last while the other waited for its retry");
    assert!(sends.windows(2).all(|pair| pair[0].id > pair[1].id));
    assert_eq!(t.client().runs(RunFilter::new().job(Post::SEND).limit(2)).await?.len(), 2);
    let failed = t.client().runs(RunFilter::new().state(RunState::Failed)).await?;
    assert_eq!(failed.iter().map(|run| &*run.job).collect::<Vec<_>>(), ["post.fragile"]);
    let by_hand = t.client().runs(RunFilter::new().trigger(Trigger::Manual)).await?;
    assert_eq!(by_hand.len(), 1);
    let since = t.client().runs(RunFilter::new().since(at("2026-01-01T03:00:00Z"))).await?;
    assert!(since.len() < t.client().runs(RunFilter::new()).await?.len());
    Ok(())
}

#[tokio::test]
async fn keep_runs_and_keep_ticks_bound_the_history() -> Result<()> {
    let options = JobOptions::new().keep_runs(5).keep_ticks(7);
    let t = Harness::new()
        .group::<Other>()
        .with(move |b| b.configure("other.tick", options.clone()))
        .start()
        .await?;
    t.advance(DAY * 2 + HOUR).await;
    let ticks = t.client().ticks(Other::TICK, 1_000).await?;
    let runs = t.client().runs(RunFilter::new().job(Other::TICK).limit(1_000)).await?;
    // Pruned with the beats, so a few may wait for the next.
    assert!(
        (7..12).contains(&ticks.len()) && (5..10).contains(&runs.len()),
        "{} {}",
        ticks.len(),
        runs.len()
    );
    assert_eq!(runs[0].tick, Some(ticks[0].tick), "the newest are kept");
    Ok(())
}

#[tokio::test]
async fn a_cancel_is_obeyed_by_the_node_that_runs_it() -> Result<()> {
    let post = Post::default();
    let t = Harness::new().nodes(3).provide(post.clone()).start().await?;
    let run = t.client().run(Post::SEND).await?;
    t.advance(SECOND).await;
    assert_eq!(post.log.take().len(), 6, "two on each node");
    run.cancel().await?;
    t.advance(secs(4)).await;
    assert_eq!(post.log.take().len(), 6, "all dropped");
    assert_eq!(t.client().report(run.id()).await?.counts.cancelled, 6);
    t.advance(MILLI).await;
    Ok(())
}
