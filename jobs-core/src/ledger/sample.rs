//! What the unit tests of the ledger begin with.

use crate::{Cause, Fire, Header, IfBusy, Millis, RunId, Trigger};

/// The header of the one item of a run by hand, made then.
pub(super) fn header(run: u64, made: Millis) -> Header {
    let fire = Fire {
        job: "a.b".into(),
        cause: Cause::Manual { request: 1, note: None },
        if_busy: IfBusy::Fire,
        priority: 0,
        query: false,
        exclusive: false,
        item_type: "()".into(),
    };
    Header::of_first_item(&fire, RunId::new(run), Trigger::Manual, None, made)
}
