//! All that was stored is worked off, each item once.

use std::collections::{BTreeMap, BTreeSet};

use compat::{
    story::{FIRST, REAPER, RENAMER, ticks::MANY},
    teller::{Teller, Told},
};
use jobs_core::{End, PAUSES, PutCell, RunId, RunState, Stage, Want};

use crate::scene::{NEW, Scene, all_links};

/// The work items that ended here, by run.
pub(crate) type Ended = BTreeMap<RunId, BTreeSet<u64>>;

pub(crate) async fn every_item_ends_once_and_every_run_is_over(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &all_links()).await;
    assert_eq!(drain(&mut teller, 5).await?, promised(scene));
    for (name, state) in [
        ("half", RunState::Succeeded),
        ("retried", RunState::Partial),
        ("failed", RunState::Failed),
        ("cancelled", RunState::Cancelled),
        ("cancelling", RunState::Cancelled),
        ("requeued", RunState::Succeeded),
    ] {
        assert_eq!(teller.report(scene.run(name)).await?.state, state, "{name}");
    }
    Ok(())
}

/// The old nodes end, everything is resumed, and the new node works until nothing is left.
pub(crate) async fn drain(teller: &mut Teller<'_>, from: i64) -> Told<Ended> {
    teller.reap(REAPER).await?;
    for session in [FIRST, REAPER, RENAMER] {
        teller.detach(session).await?;
    }
    for (name, cell) in teller.ask(|store| store.list(PAUSES)).await? {
        teller.put(&name, cell.version, PutCell::default()).await?;
    }
    let mut ended = Ended::new();
    // Until all that waits for its time has come.
    for seconds in (from..1_600).step_by(55) {
        teller.at(seconds, &[NEW]).await?;
        teller.reap(NEW).await?;
        while work(teller, &mut ended).await? {}
    }
    for run in teller.runs().await? {
        let counts = run.counts;
        assert!(run.state.is_final(), "{run:?} is over");
        assert_eq!(counts.ended(), counts.total, "{run:?}");
    }
    let jobs = teller.ask(|store| store.jobs()).await?;
    assert!(jobs.iter().all(|job| job.open() == 0), "nothing is left: {jobs:#?}");
    Ok(ended)
}

/// Leases, works and completes; says whether there was anything to do.
async fn work(teller: &mut Teller<'_>, ended: &mut Ended) -> Told<bool> {
    let slots = Want { slots: 10_000, jobs: Vec::new() };
    let leases = teller.settle(NEW, Vec::new(), slots).await?.leases;
    for lease in &leases {
        let header = &lease.chunk.header;
        if header.stage == Stage::Fill {
            let is_paged = lease.cursor.is_some();
            let items: Vec<u64> = if is_paged { vec![10, 11] } else { (0..30).collect() };
            teller.append(lease.token, 0, &items, is_paged.then_some(None), true).await?;
            continue;
        }
        if header.stage == Stage::Work {
            let of_run = ended.entry(RunId::new(header.number)).or_default();
            for n in header.start..header.start + u64::from(lease.chunk.count()) {
                assert!(of_run.insert(n), "item {n} of {} ends once", header.job);
            }
        }
        teller.end(NEW, lease, End::Done(None)).await?;
    }
    let completable = teller.ask(|store| store.completable(100)).await?;
    for run in &completable {
        teller.complete(*run, false).await?;
    }
    Ok(!leases.is_empty() || !completable.is_empty())
}

fn promised(scene: &Scene) -> Ended {
    let half = (710..MANY).filter(|n| ![715, 733].contains(n));
    let runs: [(&str, Vec<u64>); 16] = [
        ("half", half.collect()),
        ("retried", vec![0, 1, 6, 7, 8, 9]),
        ("requeued", vec![0, 1]),
        ("limited", (0..6).collect()),
        ("one", vec![0]),
        ("one-next", vec![0]),
        ("queued", vec![0]),
        ("urgent", (0..10).collect()),
        ("texts", (0..7).collect()),
        ("paused", (0..4).collect()),
        ("asleep", vec![0]),
        ("suspects", (0..3).collect()),
        ("opaque", (0..5).collect()),
        ("renamed", (1..5).collect()),
        ("left", (0..3).collect()),
        ("staged", (0..30).collect()),
    ];
    let pages = (scene.run("pages"), (2..12).collect());
    let runs = runs.into_iter().map(|(name, items)| (scene.run(name), items.into_iter().collect()));
    runs.chain([pages]).collect()
}
