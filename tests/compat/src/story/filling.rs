//! Queries that have found a part of their items, and a node that has died.

use jobs_core::PutCell;
use serde_json::json;

use super::{DEAD, FAN, FIRST, PAGES, REAPER, STAGED, links, seat};
use crate::{
    kept::{Held, Kept},
    teller::{Teller, Told, by_hand, value},
};

pub(super) async fn stop_in_the_middle(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.at(-40, &[REAPER]).await?;
    staged(teller, kept).await?;
    teller.attach(&seat(DEAD), &links(&[FAN, PAGES])).await?;
    let lease = teller.lease_one(DEAD, FAN, 3).await?;
    kept.leases.insert("dead".to_owned(), Held::new(DEAD, &lease));
    let lost = PutCell { owner: Some(DEAD), ..value(json!("a node that has died")) };
    teller.put("lock/lost", 0, lost).await?;
    let (run, fill) = teller.fired(DEAD, by_hand(PAGES, true, 140)).await?;
    kept.numbers.insert("run/pages".to_owned(), run.number());
    kept.leases.insert("pages".to_owned(), Held::new(DEAD, &fill));
    for (seq, from) in [(0, 0), (1, 5)] {
        let items: Vec<u64> = (from..from + 5).collect();
        let cursor = (from + 5).to_string().into_bytes();
        teller.append(fill.token, seq, &items, Some(Some(cursor)), false).await?;
    }
    let lease = teller.lease_one(FIRST, PAGES, 2).await?;
    teller.end(FIRST, &lease, jobs_core::End::Done(None)).await?;
    Ok(())
}

/// A query in its second attempt, with items that nobody sees yet.
async fn staged(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    let (run, fill) = teller.fired(FIRST, by_hand(STAGED, true, 141)).await?;
    kept.numbers.insert("run/staged".to_owned(), run.number());
    let again = teller.retry("no such table", 1, 0);
    teller.end(FIRST, &fill, again).await?;
    let fill = teller.lease_one(FIRST, STAGED, 1).await?;
    for (seq, from) in [(0, 0), (1, 20)] {
        let items: Vec<u64> = (from..from + 20).collect();
        teller.append(fill.token, seq, &items, None, false).await?;
    }
    kept.leases.insert("staged".to_owned(), Held::new(FIRST, &fill));
    Ok(())
}
