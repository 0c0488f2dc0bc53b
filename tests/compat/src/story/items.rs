//! Items that wait, are held, have failed, are dead, and runs that are over in every way.

use jobs_core::{End, Fire, ItemId, PutCell, Requeue, RunId, Want, pause_cell};
use serde_json::json;

use super::{ASLEEP, CANCELLED, FAILED, FAN, FINISHING, FIRST, LIMITED, ONE, PAUSED, RETRIED, TEXTS, URGENT};
use crate::{
    kept::{Held, Kept},
    teller::{Teller, Told, by_hand, of, part, value},
};

pub(super) async fn work(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.at(-170, &[]).await?;
    half(teller, kept).await?;
    retried(teller, kept).await?;
    failed(teller, kept).await?;
    cancelled(teller, kept).await?;
    one_at_a_time(teller, kept).await?;
    in_order(teller, kept).await?;
    paused(teller, kept).await
}

/// A run that is half worked off.
async fn half(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    for lease in teller.lease(FIRST, FAN, 700).await? {
        teller.end(FIRST, &lease, End::Done(None)).await?;
    }
    let lease = teller.lease_one(FIRST, FAN, 30).await?;
    let done = [0..10, 15..16].map(|range| part(&lease, range, End::Done(None)));
    teller.settle(FIRST, done.to_vec(), Want::default()).await?;
    kept.leases.insert("half".to_owned(), Held::new(FIRST, &lease));
    Ok(())
}

/// A run of which every item has gone another way.
async fn retried(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    let items: Vec<u64> = (0..10).collect();
    let run = teller.filled(FIRST, by_hand(RETRIED, true, 100), &items).await?;
    kept.numbers.insert("run/retried".to_owned(), run.number());
    let lease = teller.lease_one(FIRST, RETRIED, 10).await?;
    let ends = vec![
        part(&lease, 0..1, teller.retry("first failure", 1, 1)),
        part(&lease, 1..2, teller.snooze(1_670)),
        part(&lease, 2..3, End::Done(None)),
        part(&lease, 3..4, End::Dead(teller.failure("dead at once", 1))),
        part(&lease, 4..5, End::Discarded("not wanted".to_owned())),
        part(&lease, 5..6, End::Expired),
        part(&lease, 6..10, End::Back),
    ];
    teller.settle(FIRST, ends, Want::default()).await?;
    let held = teller.lease_one(FIRST, RETRIED, 2).await?;
    kept.leases.insert("retried".to_owned(), Held::new(FIRST, &held));
    teller.at(-168, &[]).await?;
    for lease in teller.lease(FIRST, RETRIED, 3).await? {
        let again = lease.chunk.header.attempt > 0;
        let end = if again { teller.retry("second failure", 2, 1_368) } else { End::Back };
        teller.end(FIRST, &lease, end).await?;
    }
    Ok(())
}

/// A run whose items are dead, each with three failures; two were requeued, and one was discarded.
async fn failed(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    let run = teller.filled(FIRST, by_hand(FAILED, true, 101), &[0, 1, 2, 3, 4, 5]).await?;
    kept.numbers.insert("run/failed".to_owned(), run.number());
    for attempt in 1..=3 {
        for lease in teller.lease(FIRST, FAILED, 6).await? {
            let end = match attempt {
                3 => End::Dead(teller.failure("third failure", 3)),
                _ => teller.retry(&format!("failure {attempt}"), attempt, 0),
            };
            teller.end(FIRST, &lease, end).await?;
        }
    }
    teller.complete(run, false).await?;
    let items: Vec<ItemId> = vec![run.item(0), run.item(1)];
    let requeue = Requeue { request: 102, job: FAILED.into(), items, note: Some("again".to_owned()) };
    let requeued = teller.ask(|store| store.requeue(requeue)).await?.ok_or("two items are dead")?;
    kept.numbers.insert("run/requeued".to_owned(), requeued.run.number());
    let discarded = teller.ask(|store| store.discard(103, vec![run.item(2)])).await?;
    if discarded == 1 { Ok(()) } else { Err(format!("{discarded} items were discarded").into()) }
}

/// A run that was cancelled, one that is about to be, and one that is over but for its last item.
async fn cancelled(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    let run = teller.filled(FIRST, by_hand(CANCELLED, true, 104), &[0, 1, 2, 3, 4]).await?;
    let lease = teller.lease_one(FIRST, CANCELLED, 2).await?;
    teller.settle(FIRST, vec![part(&lease, 0..1, End::Done(None))], Want::default()).await?;
    teller.cancel(run).await?;
    teller.settle(FIRST, vec![part(&lease, 1..2, End::Cancelled)], Want::default()).await?;
    teller.complete(run, false).await?;
    kept.numbers.insert("run/cancelled".to_owned(), run.number());
    let run = teller.filled(FIRST, by_hand(CANCELLED, true, 105), &[0, 1, 2, 3, 4, 5]).await?;
    let lease = teller.lease_one(FIRST, CANCELLED, 2).await?;
    teller.cancel(run).await?;
    kept.numbers.insert("run/cancelling".to_owned(), run.number());
    kept.leases.insert("cancelling".to_owned(), Held::new(FIRST, &lease));
    let run = teller.filled(FIRST, by_hand(FINISHING, true, 106), &[0, 1, 2]).await?;
    let lease = teller.lease_one(FIRST, FINISHING, 3).await?;
    teller.end(FIRST, &lease, End::Done(None)).await?;
    teller.complete(run, true).await?;
    kept.numbers.insert("run/finishing".to_owned(), run.number());
    Ok(())
}

/// Jobs that are limited over all nodes.
async fn one_at_a_time(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    let run = teller.filled(FIRST, by_hand(LIMITED, true, 107), &[0, 1, 2, 3, 4, 5]).await?;
    let lease = teller.lease_one(FIRST, LIMITED, 1).await?;
    kept.numbers.insert("run/limited".to_owned(), run.number());
    kept.leases.insert("limited".to_owned(), Held::new(FIRST, &lease));
    let (run, lease) = teller.fired(FIRST, by_hand(ONE, false, 108)).await?;
    let end = teller.retry("not yet", 1, 1_368);
    teller.end(FIRST, &lease, end).await?;
    kept.numbers.insert("run/one".to_owned(), run.number());
    let next = teller.stored(by_hand(ONE, false, 109)).await?;
    kept.numbers.insert("run/one-next".to_owned(), next.number());
    Ok(())
}

/// Items that come before others, and items of every kind of text.
async fn in_order(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    let items: Vec<u64> = (0..10).collect();
    let urgent = Fire { priority: 5, ..by_hand(URGENT, true, 110) };
    let run = teller.filled(FIRST, urgent, &items).await?;
    kept.numbers.insert("run/urgent".to_owned(), run.number());
    let leases = teller.settle_with(FIRST, 7, Vec::new(), Vec::new(), of(URGENT, 3)).await?.leases;
    kept.numbers.insert("lane/urgent".to_owned(), teller.lane(FIRST, 7));
    for lease in &leases {
        kept.leases.insert("urgent".to_owned(), Held::new(FIRST, lease));
    }
    let run = teller.filled(FIRST, by_hand(TEXTS, true, 111), &texts()).await?;
    kept.numbers.insert("run/texts".to_owned(), run.number());
    Ok(())
}

/// Items of every kind of text: the last one is larger than a chunk may be.
fn texts() -> Vec<String> {
    let short = ["naïve", "日本語", "🦀 a crab", "\n\t\"\\\u{1}", "null", ""].map(str::to_owned);
    short.into_iter().chain(["x".repeat(70_000)]).collect()
}

/// A job and a group that are paused, with items that wait.
async fn paused(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    let run: RunId = teller.filled(FIRST, by_hand(PAUSED, true, 112), &[0, 1, 2, 3]).await?;
    kept.numbers.insert("run/paused".to_owned(), run.number());
    let run = teller.stored(by_hand(ASLEEP, false, 113)).await?;
    kept.numbers.insert("run/asleep".to_owned(), run.number());
    for pattern in [PAUSED, "night.*"] {
        let note: PutCell = value(json!({ "note": format!("kept: {pattern}") }));
        let version = teller.put(&pause_cell(pattern), 0, note).await?;
        kept.numbers.insert(format!("pause/{pattern}"), version);
    }
    Ok(())
}
