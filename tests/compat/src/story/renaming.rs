//! A job that gets another name, one whose schedule changes, and one that nobody links any more.

use jobs_core::{End, IfBusy, Link, pause_cell};
use serde_json::json;

use super::{CHANGED, FORMER, GONE, LEFT, OPAQUE, REAPER, RENAMED, RENAMER, declared, link, seat};
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

pub(super) async fn rename(teller: &mut Teller<'_>, _: &mut Kept) -> Told {
    teller.at(-50, &[REAPER]).await?;
    teller.attach(&seat(RENAMER), &renamed_links()).await?;
    let lease = teller.lease_one(RENAMER, OPAQUE, 2).await?;
    teller.end(RENAMER, &lease, End::Undecodable("unknown variant `Express`".to_owned())).await?;
    Ok(())
}
