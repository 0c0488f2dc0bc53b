//! Cells with everything that a cell has, and another namespace.

use std::time::Duration;

use jobs_core::{Effect, End, PutCell, Want};
use serde_json::json;

use super::{FAN, FIRST, REAPER, links, seat};
use crate::{
    kept::Kept,
    teller::{Teller, Told, by_hand, part, value},
};

pub(super) async fn write(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.at(-8, &[REAPER]).await?;
    let short = PutCell { expires_in: Some(Duration::from_secs(1)), ..value(json!("gone")) };
    teller.put("note/expired", 0, short).await?;
    teller.at(-5, &[REAPER]).await?;
    let plain = json!({ "text": "日本語 🦀", "large": 9_007_199_254_740_993_u64, "list": [1, null, true] });
    let hour = Some(Duration::from_secs(3_600));
    for (name, put) in [
        ("note/plain", value(plain)),
        ("note/expiring", PutCell { expires_in: hour, ..value(json!("in an hour")) }),
        ("lock/leader", PutCell { owner: Some(FIRST), ..value(json!("old-1")) }),
    ] {
        let version = teller.put(name, 0, put).await?;
        kept.numbers.insert(format!("cell/{name}"), version);
    }
    let lease = teller.lease_one(FIRST, FAN, 1).await?;
    let put = Effect::PutCell { name: "note/effect".to_owned(), put: value(json!(lease.token)) };
    let done = vec![part(&lease, 0..1, End::Done(None))];
    teller.settle_with(FIRST, 0, done, vec![(0, put)], Want::default()).await?;
    // The source of numbers is ahead of the clock, as after a clock that stepped back: what is given out next is one
    // more than this, whenever that is.
    teller.at(180, &[]).await?;
    teller.put("note/ahead", 0, value(json!("three minutes"))).await?;
    Ok(())
}

/// What stands in another namespace of the same place.
pub(super) async fn elsewhere(teller: &mut Teller<'_>, kept: &mut Kept) -> Told {
    teller.attach(&seat(FIRST), &links(&[FAN])).await?;
    let run = teller.filled(FIRST, by_hand(FAN, true, 100), &[7, 8, 9]).await?;
    kept.numbers.insert("run/other".to_owned(), run.number());
    teller.put("note/plain", 0, value(json!("elsewhere"))).await?;
    Ok(())
}
