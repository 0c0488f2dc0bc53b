//! A node of the earlier version that lives on, or its next call, which a process of this version makes.

use std::collections::BTreeSet;

use compat::{
    kept::Held,
    story::{FIRST, RETRIED, STAGED, URGENT},
    teller::{Told, numbers, of},
};
use jobs_core::{End, RunState, Settle, Settlement, Token, Want};

use crate::scene::Scene;

fn settlement(held: &Held, from: u32, to: u32, end: End) -> Settlement {
    Settlement { token: held.token, from, to, end }
}

pub(crate) async fn a_node_that_lives_on_keeps_its_leases(scene: &mut Scene) -> Told {
    let mut teller = scene.open(5).await;
    let held = scene.kept.leases.values().filter(|held| held.session == FIRST);
    let tokens: Vec<Token> = held.map(|held| held.token).collect();
    assert!(tokens.len() >= 5, "the story has leases that are held");
    let pulse = teller.beat(FIRST, Some(tokens)).await?;
    assert!(pulse.alive && pulse.lost.is_empty(), "{pulse:?}");
    assert_eq!(pulse.cancelled, [scene.run("cancelling")]);
    let paused: BTreeSet<_> = pulse.paused.iter().map(|(pattern, _)| pattern.as_str()).collect();
    assert!(paused.is_superset(&BTreeSet::from(["night.*", "shop.paused"])), "{paused:?}");
    let before = teller.report(scene.run("half")).await?.counts;
    let half = scene.kept.lease("half")?;
    let rest = vec![settlement(half, 0, 30, End::Done(None))];
    let settled = teller.settle(FIRST, rest, Want::default()).await?;
    assert_eq!(settled.lost, [], "the lease is held");
    let counts = teller.report(scene.run("half")).await?.counts;
    assert_eq!(counts.ok, before.ok + 19, "what was settled before is not counted again");
    let dead = End::Dead(teller.failure("dead now", 1));
    let retried = scene.kept.lease("retried")?;
    let ends = vec![settlement(retried, 0, 1, dead), settlement(retried, 1, 2, End::Done(None))];
    assert_eq!(teller.settle(FIRST, ends, of(RETRIED, 9)).await?.lost, []);
    let counts = teller.report(scene.run("retried")).await?.counts;
    assert_eq!((counts.ok, counts.dead), (2, 2), "{counts:?}");
    Ok(())
}

pub(crate) async fn a_repeated_call_is_answered_as_before(scene: &mut Scene) -> Told {
    let mut teller = scene.open(5).await;
    let n = scene.kept.number("lane/urgent")?;
    let (settlements, effects) = (Vec::new(), Vec::new());
    let repeat = Settle { session: FIRST, lane: 7, n, settlements, effects, want: of(URGENT, 3) };
    let leases = teller.ask(|store| store.settle(repeat)).await?.leases;
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0].token, scene.kept.lease("urgent")?.token, "it is the lease of the first call");
    assert_eq!(numbers(&leases), [0, 1, 2]);
    Ok(())
}

pub(crate) async fn a_query_goes_on_where_it_was(scene: &mut Scene) -> Told {
    let mut teller = scene.open(5).await;
    let fill = scene.kept.lease("staged")?.token;
    assert_eq!(teller.lease(FIRST, STAGED, 50).await?, [], "what is staged is seen by nobody");
    let items: Vec<u64> = (40..50).collect();
    assert_eq!(teller.append(fill, 2, &items, None, true).await?, (50, 50), "all are published");
    let mut found = Vec::new();
    loop {
        let leases = teller.lease(FIRST, STAGED, 7).await?;
        if leases.is_empty() {
            break;
        }
        found.extend(numbers(&leases));
    }
    assert_eq!(found, (0..50).collect::<Vec<_>>(), "in the order of the query");
    assert_eq!(teller.append(fill, 2, &items, None, true).await?.1, 50, "a repeat stores nothing");
    Ok(())
}

pub(crate) async fn a_run_that_is_cancelled_ends(scene: &mut Scene) -> Told {
    let mut teller = scene.open(5).await;
    let held = vec![settlement(scene.kept.lease("cancelling")?, 0, 2, End::Cancelled)];
    let run = scene.run("cancelling");
    assert_eq!(teller.settle(FIRST, held, Want::default()).await?.ended, [run]);
    let report = teller.complete(run, false).await?;
    assert_eq!((report.state, report.counts.cancelled), (RunState::Cancelled, 6));
    Ok(())
}
