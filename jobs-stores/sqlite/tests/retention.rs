//! A file does not grow with its age: a week of a tick each second, in the store's own time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{File, done};
use jobs_core::{
    Attach, Beat, Cause, Complete, Completion, Declaration, Fire, Firing, IfBusy, Link, Millis, Node,
    Overlap, ScheduleState, SessionId, Settle, Store, Trigger, Verdict, Want,
};
use jobs_sqlite::SqliteStore;

const JOB: &str = "suite.tick";
const HOUR: u32 = 3_600;
const SESSION: SessionId = SessionId(1);

/// How much the job keeps: as much as by default.
const KEEP_RUNS: u32 = 100;
const KEEP_TICKS: u32 = 1_000;

fn link() -> Link {
    let (text, tz, fingerprint) = ("* * * * * *".into(), "UTC".into(), "each second".into());
    let schedule = Some(Declaration { text, tz, fingerprint, instant: None });
    Link {
        schedule,
        keep_runs: KEEP_RUNS,
        keep_ticks: KEEP_TICKS,
        concurrency: HOUR,
        overlap: Overlap::Allow,
        ..Link::new(JOB)
    }
}

/// The ticks of an hour after the cursor, each to be fired whatever runs.
fn ticks(state: &ScheduleState) -> Vec<Fire> {
    let second = Duration::from_secs(1);
    let first = Millis(state.cursor.0 / 1_000 * 1_000);
    let fire = |n: u32| {
        let (cursor, tick) =
            (if n == 0 { state.cursor } else { first + n * second }, first + (n + 1) * second);
        let cause = Cause::Tick {
            schedule: JOB.into(),
            fingerprint: state.fingerprint.clone(),
            cursor,
            tick,
            at: tick,
            verdict: Verdict::Fired,
            trigger: Trigger::Schedule,
            passed: Vec::new(),
        };
        let (job, item_type) = (Arc::from(JOB), Arc::from("()"));
        Fire { job, cause, if_busy: IfBusy::Fire, priority: 0, query: false, exclusive: false, item_type }
    };
    (0..HOUR).map(fire).collect()
}

/// Fires, works off, completes and prunes an hour of ticks; gives where the schedule stands then.
async fn hour(store: &SqliteStore, n: u64, state: ScheduleState) -> ScheduleState {
    let beat = Beat { session: SESSION, held: None, as_of: Millis::MAX, reconnected: false };
    assert!(store.beat(beat).await.unwrap().value.alive);
    let fires = ticks(&state);
    let last = fires.last().map(|fire| fire.cause.clone());
    // One call grants a thousand leases at most.
    for (part, fires) in fires.chunks(900).enumerate() {
        let want = Want { slots: HOUR, jobs: Vec::new() };
        let fired = store.fire(Some(SESSION), fires.to_vec(), want).await.unwrap().value;
        let (mut runs, mut leases) = (Vec::new(), Vec::new());
        for firing in fired {
            let Firing::Fired { run, lease } = firing else { panic!("{firing:?}") };
            runs.push(run);
            leases.extend(lease);
        }
        let (settlements, effects) = (leases.iter().map(done).collect(), Vec::new());
        let n = n * 10 + part as u64;
        let settle = Settle { session: SESSION, lane: 0, n, settlements, effects, want: Want::default() };
        store.settle(settle).await.unwrap();
        let completing = runs.iter().map(|run| Complete { run: *run, finish: false }).collect();
        for completion in store.complete(completing).await.unwrap().value {
            assert!(matches!(completion, Completion::Completed(_)), "{completion:?}");
        }
    }
    while store.prune(1_000).await.unwrap().value.more {}
    let Some(Cause::Tick { tick, .. }) = last else { panic!("an hour has ticks") };
    ScheduleState { cursor: tick, ..state }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_of_a_tick_each_second_needs_no_more_room_than_a_day() {
    let file = File::new();
    let store = file.open().await;
    let node = Node::default();
    let lease = Duration::from_secs(2 * 3_600);
    let attach = Attach { session: SESSION, lease, node, links: vec![link()], gone: Vec::new() };
    let attached = store.attach(attach).await.unwrap().value;
    let mut state = attached.schedules[JOB].clone();

    let size = || -> u64 {
        let of =
            |end: &str| std::fs::metadata(format!("{}{end}", file.path().display())).map_or(0, |m| m.len());
        of("") + of("-wal")
    };
    let mut sizes = Vec::new();
    for n in 1..=7 * 24 {
        let later = store.shifted(n * i64::from(HOUR) * 1_000);
        state = hour(&later, n.cast_unsigned(), state).await;
        if n % 24 == 0 {
            sizes.push(size());
        }
    }
    let (day, week) = (sizes[0], sizes[6]);
    assert!(week <= day + day / 10, "the file after each day: {sizes:?}");
    let runs = store.runs(jobs_core::RunFilter::new().limit(usize::MAX)).await.unwrap().value;
    let ticks = store.ticks(JOB, usize::MAX).await.unwrap().value;
    assert_eq!((runs.len(), ticks.len()), (KEEP_RUNS as usize, KEEP_TICKS as usize), "the newest are kept");
    assert_eq!(Millis::from(ticks[0].tick), state.cursor);
}
