//! Dead items, and items that cannot be decoded.

use std::collections::BTreeSet;

use compat::{
    story::{CRASHED, FAILED, FAN, FIRST, OPAQUE, RETRIED, links},
    teller::{Told, numbers},
};
use jobs_core::{DeadFilter, FailureKind, Requeue, RunState, Trigger};

use crate::scene::{NEW, Scene};

pub(crate) async fn dead_items_are_listed_requeued_and_discarded(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &links(&[FAILED])).await;
    let dead = teller.ask(|store| store.dead(DeadFilter::new())).await?;
    let ids: BTreeSet<_> = dead.iter().map(|item| (item.job.as_str(), item.id)).collect();
    let failed = scene.run("failed");
    let promised = BTreeSet::from([
        (FAN, scene.run("partial").item(2)),
        (RETRIED, scene.run("retried").item(3)),
        (CRASHED, scene.run("poison").item(0)),
        (FAILED, failed.item(3)),
        (FAILED, failed.item(4)),
        (FAILED, failed.item(5)),
    ]);
    assert_eq!(ids, promised);
    let last = dead.iter().find(|item| item.id == failed.item(5)).unwrap();
    let messages: Vec<_> = last.attempts.iter().map(|failure| &*failure.message).collect();
    assert_eq!((messages, last.payload.clone()), (vec!["failure 1", "failure 2", "third failure"], 5.into()));
    let poison = dead.iter().find(|item| item.job == CRASHED).unwrap();
    assert_eq!(poison.attempts.last().map(|failure| failure.kind), Some(FailureKind::Poison));
    let requeue = |request, items: [u64; 2]| Requeue {
        request,
        job: FAILED.into(),
        items: items.map(|n| failed.item(n)).to_vec(),
        note: None,
    };
    let again = teller.ask(|store| store.requeue(requeue(102, [0, 1]))).await?.unwrap();
    assert_eq!((again.run, again.items), (scene.run("requeued"), 2), "it is a repeat");
    assert_eq!(teller.ask(|store| store.discard(103, vec![failed.item(2)])).await?, 1, "it is a repeat");
    let more = teller.ask(|store| store.requeue(requeue(202, [3, 4]))).await?.unwrap();
    assert_eq!(teller.report(more.run).await?.trigger, Trigger::Requeued);
    assert_eq!(numbers(&teller.lease(NEW, FAILED, 9).await?), [0, 1, 3, 4]);
    assert_eq!(teller.ask(|store| store.discard(203, vec![failed.item(5)])).await?, 1);
    let left = teller.ask(|store| store.dead(DeadFilter::new().job(FAILED))).await?;
    assert_eq!(left, []);
    assert_eq!(teller.report(failed).await?.state, RunState::Failed, "a run that is over never opens again");
    Ok(())
}

pub(crate) async fn dead_items_go_when_their_time_is_over(scene: &mut Scene) -> Told {
    let day = 24 * 3_600;
    for (days, left) in [(89, 6), (91, 0)] {
        let mut teller = scene.open(days * day).await;
        teller.prune().await?;
        let dead = teller.ask(|store| store.dead(DeadFilter::new())).await?;
        assert_eq!(dead.len(), left, "after {days} days");
    }
    Ok(())
}

pub(crate) async fn what_no_build_can_decode_dies_in_time(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(780, &links(&[FAN])).await;
    teller.at(835, &[NEW, FIRST]).await?;
    assert_eq!(teller.reap(NEW).await?.dead, [], "a build may come that can");
    teller.at(860, &[NEW]).await?;
    let dead = teller.reap(NEW).await?.dead;
    let dead: BTreeSet<_> = dead.iter().map(|(job, _, item, why)| (&**job, *item, why.kind)).collect();
    let run = scene.run("opaque");
    let promised = [0, 1].map(|n| (OPAQUE, run.item(n), FailureKind::Undecodable));
    assert_eq!(dead, BTreeSet::from(promised), "those that both builds have tried");
    Ok(())
}

pub(crate) async fn what_a_newer_build_can_decode_is_worked_on(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &links(&[OPAQUE])).await;
    let leases = teller.lease(NEW, OPAQUE, 9).await?;
    let mut found = numbers(&leases);
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2, 3, 4]);
    let tried = leases.iter().filter_map(|lease| lease.chunk.header.undecodable.as_ref());
    let tried: BTreeSet<_> = tried.map(|opaque| (opaque.builds.len(), &*opaque.message)).collect();
    assert_eq!(tried, BTreeSet::from([1, 2].map(|builds| (builds, "unknown variant `Express`"))));
    assert_eq!(teller.lease(FIRST, OPAQUE, 9).await?, [], "not to a build that has tried");
    Ok(())
}
