//! What waits for a slot, for its time, for a limit, or for somebody who resumes it.

use compat::{
    kept::clock,
    story::{ASLEEP, FINISHING, LIMITED, ONE, PAUSED, RETRIED, links},
    teller::{Told, numbers, tick},
};
use jobs_core::{DeadFilter, End, Firing, IfBusy, PutCell, RunState, Stage, Want, pause_cell};

use crate::scene::{NEW, Scene, all_links};

pub(crate) async fn a_retry_comes_when_it_is_due_and_keeps_its_failures(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(1_190, &links(&[RETRIED, ONE])).await;
    let settled = teller.settle(NEW, Vec::new(), compat::teller::of(RETRIED, 9)).await?;
    assert_eq!(numbers(&settled.leases), [8, 9], "the others wait, or are held");
    let due = settled.next_due.expect("something waits for its time");
    assert!((clock(1_195)..clock(1_201)).contains(&due), "{due:?}");
    assert_eq!(teller.lease(NEW, RETRIED, 9).await?, []);
    teller.at(1_210, &[NEW]).await?;
    let lease = teller.lease_one(NEW, RETRIED, 1).await?;
    assert_eq!((numbers(std::slice::from_ref(&lease)), lease.chunk.header.attempt), (vec![0], 2));
    let dead = End::Dead(teller.failure("third failure", 3));
    teller.end(NEW, &lease, dead).await?;
    let filter = DeadFilter::new().item(scene.run("retried").item(0));
    let dead = teller.ask(|store| store.dead(filter)).await?;
    let messages: Vec<_> = dead[0].attempts.iter().map(|failure| &*failure.message).collect();
    assert_eq!(messages, ["first failure", "second failure", "third failure"]);
    assert_eq!(dead[0].attempts[0].chain, ["a cause", "its cause"]);
    let one = teller.lease_one(NEW, ONE, 1).await?;
    assert_eq!(teller.lease(NEW, ONE, 1).await?, [], "one at a time");
    teller.end(NEW, &one, End::Done(None)).await?;
    let other = teller.lease_one(NEW, ONE, 1).await?;
    let runs = [one.chunk.header.number, other.chunk.header.number].map(jobs_core::RunId::new);
    assert!(runs.contains(&scene.run("one")) && runs.contains(&scene.run("one-next")), "{runs:?}");
    teller.at(1_260, &[NEW]).await?;
    assert_eq!(teller.lease(NEW, RETRIED, 9).await?, [], "what is snoozed waits");
    for seconds in [1_310, 1_360, 1_410, 1_460, 1_510] {
        teller.at(seconds, &[NEW]).await?;
    }
    let lease = teller.lease_one(NEW, RETRIED, 1).await?;
    assert_eq!(
        (numbers(std::slice::from_ref(&lease)), lease.chunk.header.attempt),
        (vec![1], 0),
        "it was snoozed"
    );
    Ok(())
}

pub(crate) async fn urgent_items_come_first(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &all_links()).await;
    let slots = Want { slots: 7, jobs: Vec::new() };
    let leases = teller.settle(NEW, Vec::new(), slots).await?.leases;
    assert_eq!(numbers(&leases), [3, 4, 5, 6, 7, 8, 9]);
    assert!(leases.iter().all(|lease| lease.chunk.header.run() == Some(scene.run("urgent"))));
    Ok(())
}

pub(crate) async fn a_limit_counts_what_an_old_node_holds(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &links(&[LIMITED])).await;
    assert_eq!(numbers(&teller.lease(NEW, LIMITED, 9).await?), [1], "one of two is held");
    assert_eq!(teller.lease(NEW, LIMITED, 9).await?, []);
    teller.detach(compat::story::FIRST).await?;
    assert_eq!(numbers(&teller.lease(NEW, LIMITED, 9).await?), [0], "it came back");
    Ok(())
}

pub(crate) async fn what_is_paused_waits_until_it_is_resumed(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &links(&[PAUSED, ASLEEP])).await;
    for job in [PAUSED, ASLEEP] {
        assert_eq!(teller.lease(NEW, job, 9).await?, [], "{job}");
        let state = teller.schedule(job).await?;
        let fire = tick(job, job == PAUSED, &state, clock(2), IfBusy::Fire);
        let firing = teller.fire(Some(NEW), fire).await?;
        let Firing::Paused { note } = &firing else { return Err(format!("{job}: {firing:?}").into()) };
        assert!(note.starts_with("kept: "), "{note}");
    }
    for (pattern, job, items) in [(PAUSED, PAUSED, 4), ("night.*", ASLEEP, 1)] {
        let version = scene.kept.number(&format!("pause/{pattern}"))?;
        teller.put(&pause_cell(pattern), version, PutCell::default()).await?;
        let leases = teller.lease(NEW, job, 9).await?;
        assert_eq!(leases.iter().map(|lease| lease.chunk.count()).sum::<u32>(), items, "{job}");
    }
    Ok(())
}

pub(crate) async fn a_finish_item_is_leased(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &links(&[FINISHING])).await;
    let lease = teller.lease_one(NEW, FINISHING, 1).await?;
    assert_eq!(lease.chunk.header.stage, Stage::Finish);
    teller.end(NEW, &lease, End::Done(None)).await?;
    let report = teller.report(scene.run("finishing")).await?;
    assert_eq!((report.state, report.counts.ok), (RunState::Succeeded, 3));
    assert_eq!(teller.lease(NEW, FINISHING, 1).await?, []);
    Ok(())
}
