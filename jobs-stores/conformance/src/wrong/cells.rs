//! Lies about cells.

use jobs_core::{Cell, PAUSES};

use super::liar::{Kind, Liar, Lie};
use crate::call::{Answer, Call};

/// Shows a cell under a number of its own: how often it was written since it was last not there.
fn renumbered(liar: &Liar, name: &str, cell: &mut Cell) {
    cell.version = liar.notes().marks.get(name).copied().unwrap_or(cell.version);
}

pub(super) const LIES: &[Lie] = &[
    Lie::acts("a_cell_is_written_by_whoever_knows_its_version", "does not compare versions", |liar, call| {
        Box::pin(async move {
            match call {
                Call::PutIf(name, expected, put) => {
                    let there = liar.truly(Call::Get(name.clone())).await?;
                    let Answer::Get(there) = there.value else { return liar.truly(Call::Get(name)).await };
                    let expected = there.map_or(expected, |cell| cell.version);
                    liar.truly(Call::PutIf(name, expected, put)).await
                }
                call => liar.truly(call).await,
            }
        })
    }),
    Lie::acts("a_version_is_never_used_again", "counts versions anew when a cell is gone", |liar, call| {
        Box::pin(async move {
            match call {
                Call::PutIf(name, expected, put) => {
                    let reply = liar.truly(Call::Get(name.clone())).await?;
                    let Answer::Get(there) = reply.value else { return liar.truly(Call::Get(name)).await };
                    let shown = match &there {
                        Some(_) => liar.notes().marks.get(&name).copied().unwrap_or_default(),
                        None => 0,
                    };
                    let real = there.map_or(0, |cell| cell.version);
                    let expected = if expected == shown { real } else { u64::MAX };
                    let mut reply = liar.truly(Call::PutIf(name.clone(), expected, put)).await?;
                    match &mut reply.value {
                        Answer::PutIf(Ok(version)) if *version > 0 => {
                            *version = shown + 1;
                            liar.notes().marks.insert(name, shown + 1);
                        }
                        Answer::PutIf(Err(Some(cell))) => renumbered(liar, &name, cell),
                        _ => {}
                    }
                    Ok(reply)
                }
                Call::Get(name) => {
                    let mut reply = liar.truly(Call::Get(name.clone())).await?;
                    if let Answer::Get(Some(cell)) = &mut reply.value {
                        renumbered(liar, &name, cell);
                    }
                    Ok(reply)
                }
                call => liar.truly(call).await,
            }
        })
    }),
    Lie::asks("a_cell_expires", "keeps cells for ever", |call, _| {
        if let Call::PutIf(name, _, put) = call
            && !name.starts_with(PAUSES)
        {
            put.expires_in = None;
        }
    }),
    Lie::asks("a_cell_goes_with_its_session", "forgets whose a cell is", |call, _| {
        if let Call::PutIf(_, _, put) = call {
            put.owner = None;
        }
    }),
    Lie::asks("cells_are_listed_by_prefix", "reads a prefix as a pattern", |call, _| {
        if let Call::List(prefix) = call
            && let Some(at) = prefix.find(['%', '_', '*'])
        {
            prefix.truncate(at);
        }
    }),
    Lie::acts(
        "a_cell_is_compared_and_set_beside_effects",
        "reads a cell's version, and then writes",
        |liar, call| {
            Box::pin(async move {
                let Call::PutIf(name, expected, put) = call else { return liar.truly(call).await };
                let read = Call::Get(name.clone());
                let reply = liar.truly(read.clone()).await?;
                let Answer::Get(there) = reply.value else { return liar.truly(read).await };
                if there.map_or(0, |cell| cell.version) != expected {
                    return liar.truly(Call::PutIf(name, u64::MAX, put)).await;
                }
                tokio::task::yield_now().await;
                let Answer::Get(there) = liar.truly(read.clone()).await?.value else {
                    return liar.truly(read).await;
                };
                liar.truly(Call::PutIf(name, there.map_or(0, |cell| cell.version), put)).await
            })
        },
    ),
    Lie {
        rule: "a_cell_that_steers_nothing_wakes_nobody_who_waits_for_it",
        how: "takes each cell that is written for news",
        kind: Kind::Wakes,
    },
];
