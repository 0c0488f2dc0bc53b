//! What nodes held that have died.

use compat::{
    story::{CRASHED, DEAD, FAN, PAGES, REAPER, links},
    teller::{Told, numbers},
};
use jobs_core::{End, Stage};

use crate::scene::{NEW, Scene};

pub(crate) async fn suspects_are_leased_one_at_a_time(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &links(&[CRASHED])).await;
    let mut found = Vec::new();
    for _ in 0..3 {
        let leases = teller.lease(NEW, CRASHED, 9).await?;
        let suspects: Vec<_> = leases.iter().filter(|lease| lease.chunk.header.suspect).collect();
        assert_eq!(suspects.len(), 1, "{leases:?}");
        assert_eq!(suspects[0].chunk.count(), 1);
        assert_eq!(teller.lease(NEW, CRASHED, 9).await?, [], "while one is held");
        found.extend(leases.iter().flat_map(|lease| {
            let header = &lease.chunk.header;
            numbers(std::slice::from_ref(lease)).into_iter().map(|n| (n, header.suspect, header.crashes))
        }));
        for lease in &leases {
            teller.end(NEW, lease, End::Done(None)).await?;
        }
    }
    found.sort_unstable();
    assert_eq!(found, [(0, true, 1), (1, true, 0), (2, true, 0)]);
    teller.complete(scene.run("suspects"), false).await?;
    Ok(())
}

pub(crate) async fn what_a_dead_node_held_is_taken_over(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &links(&[FAN, PAGES])).await;
    let reaped = teller.reap(NEW).await?;
    assert_eq!((reaped.nodes, reaped.items), (Vec::new(), 0), "it has only just come");
    let reaped = teller.reap(REAPER).await?;
    assert_eq!((reaped.nodes, reaped.items), (vec!["old-2".to_owned()], 4));
    assert!(!teller.beat(DEAD, None).await?.alive, "it is no session any more");
    assert_eq!(teller.ask(|store| store.get("lock/lost")).await?, None, "its lock went with it");
    let fan = teller.lease(NEW, FAN, 10_000).await?;
    assert_eq!(fan.iter().filter(|lease| lease.chunk.header.suspect).count(), 1, "one at a time");
    let pages = teller.lease(NEW, PAGES, 20).await?;
    let items = pages.iter().filter(|lease| lease.chunk.header.stage == Stage::Work).cloned();
    assert_eq!(numbers(&items.collect::<Vec<_>>()), [2, 3, 4, 5, 6, 7, 8, 9]);
    for lease in fan.iter().filter(|lease| lease.chunk.header.suspect) {
        teller.end(NEW, lease, End::Done(None)).await?;
    }
    let fill = teller.lease(NEW, PAGES, 20).await?.into_iter().chain(pages);
    let mut fill = fill.filter(|lease| lease.chunk.header.stage == Stage::Fill);
    let fill = fill.next().expect("the fill item is ready");
    assert_eq!(fill.cursor.as_deref(), Some(&b"10"[..]), "the query goes on after the last page");
    assert!(fill.chunk.header.suspect);
    let (_, total) = teller.append(fill.token, 0, &[10, 11], Some(None), true).await?;
    assert_eq!(total, 12);
    Ok(())
}
