//! Cursors, verdicts, declarations and names.

use compat::{
    kept::clock,
    story::{
        CHANGED, FAN, FIRST, FIRST_LINKS, FORMER, ONCE, QUEUED, RENAMED, RENAMER, link, links, renamed_links,
        seat,
    },
    teller::{Told, numbers, tick},
};
use jobs_core::{Cause, End, Firing, IfBusy, PutCell, SkipReason, Verdict, Want, pause_cell};

use crate::scene::{NEW, Scene};

pub(crate) async fn a_cursor_stands_where_it_stood(scene: &mut Scene) -> Told {
    let mut teller = scene.open(5).await;
    let attached = teller.attach(&crate::scene::seat(), &links(&[FAN, ONCE])).await?;
    assert!(attached.ahead.is_empty() && attached.past.is_empty(), "{attached:?}");
    let state = attached.schedules[FAN].clone();
    assert_eq!((state.cursor, &*state.fingerprint), (clock(-180), "v1"));
    let mut repeat = tick(FAN, true, &state, clock(-360), IfBusy::Fire);
    if let Cause::Tick { cursor, .. } = &mut repeat.cause {
        *cursor = clock(-420);
    }
    let again = teller.fire(Some(NEW), repeat).await?;
    assert!(matches!(again, Firing::Already(_)), "a tick fires once: {again:?}");
    let next = tick(FAN, true, &state, clock(-120), IfBusy::Fire);
    let (run, _) = teller.fired(NEW, next.clone()).await?;
    let again = teller.fire(Some(FIRST), next).await?;
    assert!(matches!(again, Firing::Already(_)), "a tick fires once: {again:?}");
    let verdicts = teller.ask(|store| store.ticks(FAN, 10)).await?;
    let told: Vec<_> =
        verdicts.iter().map(|info| (info.tick.as_second() - clock(0).0 / 1_000, info.verdict)).collect();
    let promised = [
        (-120, Verdict::Fired),
        (-180, Verdict::Skipped(SkipReason::Replaced)),
        (-240, Verdict::Skipped(SkipReason::Paused)),
        (-300, Verdict::Skipped(SkipReason::Overlap)),
        (-360, Verdict::Fired),
        (-420, Verdict::Late),
        (-480, Verdict::Missed),
        (-540, Verdict::Fired),
    ];
    assert_eq!(told, promised);
    let runs: Vec<_> = verdicts.iter().filter_map(|info| info.run).collect();
    assert_eq!(runs, [run, scene.run("half"), scene.run("partial"), scene.run("finished")]);
    let once = teller.ask(|store| store.ticks(ONCE, 10)).await?;
    assert_eq!(once.iter().map(|info| info.verdict).collect::<Vec<_>>(), [Verdict::Missed]);
    Ok(())
}

pub(crate) async fn a_tick_that_waits_fires(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &links(&[QUEUED])).await;
    let state = teller.schedule(QUEUED).await?;
    assert_eq!(state.waiting, Some(clock(-180)));
    let waiting = tick(QUEUED, false, &state, clock(-180), IfBusy::Queue);
    let busy = teller.fire(Some(NEW), waiting.clone()).await?;
    assert_eq!(busy, Firing::Busy { run: scene.run("queued") });
    let token = scene.kept.lease("queued")?.token;
    let done = jobs_core::Settlement { token, from: 0, to: 1, end: End::Done(None) };
    teller.settle(FIRST, vec![done], Want::default()).await?;
    let (_, lease) = teller.fired(NEW, waiting).await?;
    assert_eq!(lease.chunk.header.tick, Some(clock(-180)));
    assert_eq!(teller.schedule(QUEUED).await?.waiting, None);
    Ok(())
}

pub(crate) async fn a_rename_holds(scene: &mut Scene) -> Told {
    let mut teller = scene.open(5).await;
    let attached = teller.attach(&crate::scene::seat(), &links(&[FORMER, RENAMED])).await?;
    assert!(!attached.schedules.contains_key(FORMER), "the old name has no schedule");
    assert_eq!(attached.schedules[RENAMED].cursor, clock(-592), "the cursor was taken over");
    assert_eq!(teller.lease(NEW, RENAMED, 9).await?, [], "the pause was taken over");
    let pause = pause_cell(RENAMED);
    let cell = teller.ask(|store| store.get(&pause)).await?.expect("the pause has the new name");
    teller.put(&pause, cell.version, PutCell::default()).await?;
    let leases = teller.lease(NEW, RENAMED, 9).await?;
    assert_eq!(numbers(&leases), [1, 2, 3, 4], "the items were taken over");
    assert!(leases.iter().all(|lease| &*lease.chunk.header.job == RENAMED));
    let mut back = scene.open(5).await;
    back.detach(RENAMER).await?;
    back.detach(NEW).await?;
    let attached = back.attach(&crate::scene::seat(), &[link(FORMER)]).await?;
    assert_eq!(attached.schedules[FORMER].cursor, clock(-592), "whoever rolls back takes it back");
    assert_eq!(numbers(&back.lease(NEW, FORMER, 9).await?), [1, 2, 3, 4]);
    Ok(())
}

pub(crate) async fn a_changed_schedule_holds_and_is_rolled_back(scene: &mut Scene) -> Told {
    let mut teller = scene.joined(5, &renamed_links()).await;
    let state = teller.schedule(CHANGED).await?;
    assert_eq!(&*state.fingerprint, "v2");
    assert!((clock(-55)..clock(-40)).contains(&state.cursor), "it began anew: {:?}", state.cursor);
    let mut old = state.clone();
    old.fingerprint = "v1".into();
    let stale = teller.fire(Some(FIRST), tick(CHANGED, true, &old, clock(1), IfBusy::Fire)).await?;
    assert_eq!(stale, Firing::Stale);
    let attached = teller.attach(&seat(FIRST), &links(&FIRST_LINKS)).await?;
    assert_eq!(&*attached.schedules[CHANGED].fingerprint, "v2", "somebody lives who declares it");
    teller.detach(RENAMER).await?;
    teller.detach(NEW).await?;
    let attached = teller.attach(&seat(FIRST), &links(&FIRST_LINKS)).await?;
    assert_eq!(&*attached.schedules[CHANGED].fingerprint, "v1", "nobody declares the other any more");
    let state = attached.schedules[CHANGED].clone();
    teller.at(10, &[]).await?;
    teller.fired(FIRST, tick(CHANGED, true, &state, clock(8), IfBusy::Fire)).await?;
    Ok(())
}
