//! A job that gets another name, one whose schedule changes, one that nobody links any more, and items that only a
//! newer version can decode.

use jobs_core::{End, IfBusy, Link, pause_cell};
use serde_json::json;

use super::{
    CHANGED, CRASHED, FIRST, FORMER, GONE, LEFT, OPAQUE, REAPER, RENAMED, RENAMER, declared, link, links,
    seat,
};
use crate::{
    kept::{Kept, clock},
    teller::{Teller, Told, by_hand, tick, value},
};

/// What happens under the old names.
pub(super) async fn before(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.at(-590, &[]).await?;
    let state = teller.schedule(FORMER).await?;
    let (run, fill) = teller.fired(GONE, tick(FORMER, true, &state, clock(-592), IfBusy::Skip)).await?;
    teller.append(fill.token, 0, &[0, 1, 2, 3, 4], None, true).await?;
    let lease = teller.lease_one(GONE, FORMER, 1).await?;
    teller.end(GONE, &lease, End::Done(None)).await?;
    kept.numbers.insert("run/renamed".to_owned(), run.number());
    teller.put(&pause_cell(FORMER), 0, value(json!({ "note": "kept: under the old name" }))).await?;
    let run = teller.filled(GONE, by_hand(LEFT, true, 130), &[0, 1, 2]).await?;
    kept.numbers.insert("run/left".to_owned(), run.number());
    teller.detach(GONE).await
}

/// The jobs of the version that [`RENAMER`] runs.
#[must_use]
pub fn renamed_links() -> Vec<Link> {
    let changed = Link { schedule: Some(declared("v2")), ..link(CHANGED) };
    vec![link(RENAMED), changed, link(OPAQUE)]
}

pub(super) async fn rename(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.at(-100, &[]).await?;
    teller.attach(&seat(REAPER), &links(&[CRASHED])).await?;
    teller.at(-55, &[REAPER]).await?;
    teller.attach(&seat(RENAMER), &renamed_links()).await?;
    // Items that neither build can decode.
    let run = teller.filled(FIRST, by_hand(OPAQUE, true, 122), &[0, 1, 2, 3, 4]).await?;
    for (session, items) in [(FIRST, 5), (RENAMER, 2)] {
        let lease = teller.lease_one(session, OPAQUE, items).await?;
        teller.end(session, &lease, End::Undecodable("unknown variant `Express`".to_owned())).await?;
    }
    kept.numbers.insert("run/opaque".to_owned(), run.number());
    Ok(())
}
