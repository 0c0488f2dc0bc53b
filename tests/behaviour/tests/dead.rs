//! Dead items: tried again, discarded, and what is seen of a store meanwhile (API, `Client`).
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test may panic.
#![allow(clippy::needless_pass_by_value, clippy::unused_async)] // By value is how an item is taken.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use behaviour::{Gate, HOUR, Log, MINUTE, SECOND};
use jobs_runner::{
    ClientError, DeadFilter, Event, ItemState, RunFilter, RunState, Trigger,
    prelude::*,
    testing::{Harness, Running},
};

/// A mailer whose server is down until it is mended.
#[derive(Clone, Default)]
struct Mail {
    mended: Arc<AtomicBool>,
    sent: Log<u32>,
    gate: Gate,
}

#[cron_group("mail")]
impl Mail {
    #[query("send")]
    async fn users(&self) -> Vec<u32> {
        (0..1_500).collect()
    }
    #[job("send", "0 * * * *", retries = 1, retry_delay = "1s")]
    async fn send(&self, user: u32) -> Result<()> {
        if !self.mended.load(Ordering::SeqCst) {
            return Err(if user.is_multiple_of(2) { "even: refused" } else { "odd: refused" }.into());
        }
        self.sent.note(user);
        Ok(())
    }

    #[job("report")]
    async fn report(&self) -> Result<()> {
        Err(fatal("no paper").into())
    }

    #[query("wait")]
    async fn waiting(&self) -> Vec<u32> {
        (0..4).collect()
    }
    #[job("wait", concurrency = 2, retries = 1, retry_delay = "1h")]
    async fn wait(&self, n: u32) -> Result<()> {
        if n == 0 {
            return Err("later".into());
        }
        self.gate.pass().await;
        Ok(())
    }
}

/// 1,500 dead items of one job, and one of another.
async fn buried() -> (Running, Mail) {
    let mail = Mail::default();
    let t = Harness::new().provide(mail.clone()).start().await.unwrap();
    assert_eq!(t.run(Mail::SEND).await.unwrap().state, RunState::Failed);
    assert_eq!(t.run(Mail::REPORT).await.unwrap().state, RunState::Failed);
    assert_eq!(t.client().stats().await.unwrap().dead, 1_501);
    (t, mail)
}

async fn dead(t: &Running) -> usize {
    t.client().dead(DeadFilter::new().limit(9_999)).await.unwrap().len()
}

#[tokio::test]
async fn requeued_items_are_tried_again_in_runs_of_their_own() -> Result<()> {
    let (t, mail) = buried().await;
    mail.mended.store(true, Ordering::SeqCst);
    assert_eq!(t.client().requeue_dead(DeadFilter::new().job(Mail::SEND)).await?, 1_500);
    assert_eq!(dead(&t).await, 1, "the other job's stays");
    t.advance(MINUTE).await;
    let mut sent = mail.sent.all();
    sent.sort_unstable();
    assert_eq!(sent, (0..1_500).collect::<Vec<_>>(), "each is sent, once");

    let runs = t.client().runs(RunFilter::new().trigger(Trigger::Requeued)).await?;
    let mut counts: Vec<_> = runs.iter().map(|run| (run.state, run.counts.total, run.counts.ok)).collect();
    counts.sort_by_key(|(_, total, _)| *total);
    assert_eq!(counts, [(RunState::Succeeded, 500, 500), (RunState::Succeeded, 1_000, 1_000)]);
    let first = t.client().runs(RunFilter::new().job(Mail::SEND).trigger(Trigger::Manual)).await?;
    assert_eq!(first[0].state, RunState::Failed, "a run that is over never opens again");
    let started = |event: &Event| matches!(event, Event::RunStarted { trigger: Trigger::Requeued, .. });
    assert_eq!(
        t.events().iter().filter(|event| started(event)).count(),
        2,
        "each run is said to begin, once"
    );
    Ok(())
}

#[tokio::test]
async fn a_requeued_item_has_all_its_attempts_and_dies_again() -> Result<()> {
    let (t, _) = buried().await;
    let one = t.client().dead(DeadFilter::new().job(Mail::SEND).limit(1)).await?.remove(0);
    assert_eq!(t.client().requeue_dead(DeadFilter::new().item(one.id)).await?, 1);
    t.advance(MINUTE).await;
    let again = t.client().dead(DeadFilter::new().job(Mail::SEND).limit(1)).await?.remove(0);
    assert_ne!(again.id, one.id);
    assert_eq!((again.payload, again.attempts.len()), (one.payload, 2));
    assert_eq!(dead(&t).await, 1_501);
    Ok(())
}

#[tokio::test]
async fn what_dies_again_while_it_is_requeued_is_not_taken_twice() -> Result<()> {
    let (t, _) = buried().await;
    // Nobody has mended anything.
    assert_eq!(t.client().requeue_dead(DeadFilter::new()).await?, 1_501);
    t.advance(MINUTE).await;
    assert_eq!(dead(&t).await, 1_501);
    Ok(())
}

#[tokio::test]
async fn a_filter_says_which_dead_items_are_meant() -> Result<()> {
    let (t, _) = buried().await;
    let odd = DeadFilter::new().error("odd: refused");
    assert_eq!(t.client().discard_dead(odd.clone().limit(7)).await?, 7);
    assert_eq!(t.client().discard_dead(odd.clone()).await?, 743);
    assert_eq!(t.client().discard_dead(odd).await?, 0);
    assert_eq!(dead(&t).await, 751);
    let future = DeadFilter::new().since(t.now() + SECOND);
    assert_eq!(t.client().discard_dead(future).await?, 0);
    let past = DeadFilter::new().until(t.now() - HOUR);
    assert_eq!(t.client().requeue_dead(past).await?, 0);
    let unknown = t.client().discard_dead(DeadFilter::new().job("mail.sent")).await.unwrap_err();
    let ClientError::UnknownJob { suggestion, .. } = unknown else { panic!("{unknown}") };
    assert_eq!(suggestion.as_deref(), Some("mail.send"));
    Ok(())
}

#[tokio::test]
async fn a_requeued_run_holds_no_tick() -> Result<()> {
    let (t, mail) = buried().await;
    t.client().pause("mail.send", "until it is mended").await?;
    t.client().requeue_dead(DeadFilter::new().job(Mail::SEND)).await?;
    assert_eq!(t.client().stats().await?.ready, 1_500);
    mail.mended.store(true, Ordering::SeqCst);
    t.client().resume("mail.send").await?;
    let run = t.client().run(Mail::SEND).await?;
    t.advance(MINUTE).await;
    assert_eq!(run.wait().await?.counts.ok, 1_500);
    Ok(())
}

#[tokio::test]
async fn items_stats_and_nodes_show_what_is_in_flight() -> Result<()> {
    let mail = Mail::default();
    let t = Harness::new().nodes(2).provide(mail.clone()).start().await?;
    let run = t.client().run(Mail::WAIT).await?.id();
    t.advance(SECOND).await;

    let items = t.client().items(run, 100).await?;
    let kind = |state: &ItemState| match state {
        ItemState::InFlight { .. } => "in flight",
        ItemState::Ready => "ready",
        ItemState::Delayed { .. } => "delayed",
        _ => "unknown",
    };
    let seen: Vec<_> =
        items.iter().map(|item| (kind(&item.state), item.payload.clone(), item.attempt)).collect();
    let flying = |n: u32| ("in flight", n.into(), 1);
    assert_eq!(seen, [flying(1), flying(2), flying(3), ("delayed", 0.into(), 2)]);
    assert_eq!(t.client().items(run, 1).await?.len(), 1);

    let stats = t.client().stats().await?;
    assert_eq!((stats.nodes, stats.ready, stats.delayed, stats.in_flight, stats.dead), (2, 0, 1, 3, 0));
    let of_job: Vec<_> = stats.jobs.iter().map(|job| (&*job.job, job.live, job.in_flight)).collect();
    assert_eq!(of_job, [("mail.report", true, 0), ("mail.send", true, 0), ("mail.wait", true, 3)]);

    let nodes = t.client().nodes().await?;
    let names: Vec<_> = nodes.iter().map(|node| (&*node.name, node.alive)).collect();
    assert_eq!(names, [("a", true), ("b", true)]);
    assert_eq!(nodes.iter().map(|node| node.holds).sum::<u64>(), 3);
    Ok(())
}

#[tokio::test]
async fn items_of_a_run_that_is_not_there_are_an_error() -> Result<()> {
    let t = Harness::new().group::<Mail>().start().await?;
    let error = t.client().items("12".parse()?, 9).await;
    assert!(matches!(error, Err(ClientError::NotFound { .. })), "{error:?}");
    Ok(())
}
