//! Items whose nodes have died.

use jobs_core::SessionId;

use super::{CRASHED, link, links, seat};
use crate::{
    kept::Kept,
    teller::{Seat, Teller, Told, by_hand},
};

/// A node that takes back what others held, and has ended when the story does.
const UNDERTAKER: SessionId = SessionId(0x200);
/// So many seconds lives a node that is about to die, so that it gets to do something on a machine that is busy.
const SHORT: u64 = 30;
/// So many seconds later it is gone.
const PAST: i64 = 35;

pub(super) async fn die(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.attach(&seat(UNDERTAKER), &links(&[CRASHED])).await?;
    teller.at(-1_150, &[UNDERTAKER]).await?;
    let mut now = -1_100;
    teller.at(now, &[UNDERTAKER]).await?;
    let poison = teller.filled(UNDERTAKER, by_hand(CRASHED, true, 120), &[0]).await?;
    for victim in 1..=5 {
        now = crash(teller, victim, 1, now).await?;
    }
    teller.complete(poison, false).await?;
    kept.numbers.insert("run/poison".to_owned(), poison.number());
    let suspects = teller.filled(UNDERTAKER, by_hand(CRASHED, true, 121), &[0, 1, 2]).await?;
    kept.numbers.insert("run/suspects".to_owned(), suspects.number());
    now = crash(teller, 6, 3, now).await?;
    // This one is alone: it is charged.
    crash(teller, 7, 1, now).await?;
    teller.detach(UNDERTAKER).await
}

/// A node takes items and dies; gives the second in which that was noticed.
async fn crash(teller: &mut Teller<'_>, victim: u64, items: u32, now: i64) -> Told<i64> {
    let session = SessionId(0x100 + victim);
    let seat = Seat { lease: SHORT, ..seat(session) };
    teller.attach(&seat, &[link(CRASHED)]).await?;
    teller.lease_one(session, CRASHED, items).await?;
    teller.at(now + PAST, &[UNDERTAKER]).await?;
    teller.reap(UNDERTAKER).await?;
    Ok(now + PAST)
}
