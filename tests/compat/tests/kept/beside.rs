//! A process of the earlier version that goes on while one of this version is beside it.

use compat::{
    place::{self, Place},
    reading::{difference, read},
    story::beside::AT,
    teller::{Teller, Told},
};

use crate::{
    everything::drain,
    scene::{all_links, folder, seat},
};

/// Times may differ by so much that the server reads itself while the statements are played.
const SLACK: u64 = 60_000;

/// What the old process sends to a place that this version has migrated means what it meant, and this version goes on
/// with it.
pub(crate) async fn goes_on<P: Place>(format: &str) -> Told {
    if !servers::is_wanted(P::STORE) {
        return Ok(());
    }
    let folder = folder::<P>(format);
    let place = P::copy(&folder).await?;
    let mut teller = Teller::new(&place, AT).await?;
    place.play(&folder, AT).await?;
    let found = read(&mut teller).await?;
    let kept = &place::reads_beside(&folder)?["jobs"];
    if let Some(differs) = difference(kept, &found, SLACK) {
        return Err(format!("beside this version{differs}").into());
    }
    teller.attach(&seat(), &all_links()).await?;
    let ended = drain(&mut teller, AT + 5).await?;
    assert!(ended.values().map(std::collections::BTreeSet::len).sum::<usize>() > 400, "much was left");
    Ok(())
}
