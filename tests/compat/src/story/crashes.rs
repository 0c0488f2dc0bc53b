//! Items whose nodes have died, and items that no build can decode.

use jobs_core::{End, SessionId};

use super::{CRASHED, FIRST, OPAQUE, REAPER, link, links, seat};
use crate::{
    kept::Kept,
    teller::{Seat, Teller, Told, by_hand},
};

/// So many seconds lives a node that is about to die.
const SHORT: u64 = 4;

pub(super) async fn die(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.at(-160, &[]).await?;
    teller.attach(&seat(REAPER), &links(&[CRASHED])).await?;
    teller.at(-130, &[REAPER]).await?;
    teller.at(-100, &[REAPER]).await?;
    let poison = teller.filled(REAPER, by_hand(CRASHED, true, 120), &[0]).await?;
    let mut now = -100;
    for victim in 1..=5 {
        now = crash(teller, victim, 1, now).await?;
    }
    teller.complete(poison, false).await?;
    kept.numbers.insert("run/poison".to_owned(), poison.number());
    let suspects = teller.filled(REAPER, by_hand(CRASHED, true, 121), &[0, 1, 2]).await?;
    kept.numbers.insert("run/suspects".to_owned(), suspects.number());
    now = crash(teller, 6, 3, now).await?;
    // One of them was alone: it is charged.
    crash(teller, 7, 1, now).await?;
    let run = teller.filled(FIRST, by_hand(OPAQUE, true, 122), &[0, 1, 2, 3, 4]).await?;
    let lease = teller.lease_one(FIRST, OPAQUE, 5).await?;
    teller.end(FIRST, &lease, End::Undecodable("unknown variant `Express`".to_owned())).await?;
    kept.numbers.insert("run/opaque".to_owned(), run.number());
    Ok(())
}

/// A node takes items and dies; gives the second in which that was noticed.
async fn crash(teller: &mut Teller<'_>, victim: u64, items: u32, now: i64) -> Told<i64> {
    let session = SessionId(0x100 + victim);
    let seat = Seat { lease: SHORT, ..seat(session) };
    teller.attach(&seat, &[link(CRASHED)]).await?;
    teller.lease_one(session, CRASHED, items).await?;
    teller.at(now + 6, &[REAPER]).await?;
    teller.reap(REAPER).await?;
    Ok(now + 6)
}
