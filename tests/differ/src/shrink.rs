//! Makes a sequence that differs as short as it can be.

use jobs_core::BoxError;

use crate::{
    places::{Kind, Places},
    sequence::{Difference, Played, Sequence, play},
};

/// Leaves out operations for as long as the sequence still differs.
///
/// # Errors
/// If a place cannot be opened.
pub async fn shrink(
    places: &Places,
    sequence: Sequence,
    found: Difference,
) -> Result<(Sequence, Difference), BoxError> {
    let kinds = found.kinds;
    let mut best = (sequence, found);
    let mut size = (best.0.0.len() / 2).max(1);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < best.0.0.len() {
            let mut left = best.0.0.clone();
            left.drain(at..(at + size).min(left.len()));
            let left = Sequence(left);
            match differs(places, &left, kinds).await? {
                Some(difference) => {
                    shorter = true;
                    best = (left, difference);
                }
                None => at += size,
            }
        }
        if size > 1 {
            size /= 2;
        } else if !shorter {
            return Ok(best);
        }
    }
}

async fn differs(
    places: &Places,
    sequence: &Sequence,
    kinds: [Kind; 2],
) -> Result<Option<Difference>, BoxError> {
    Ok(match play(places, sequence, kinds).await? {
        Played::Differs(difference) => Some(*difference),
        Played::Alike | Played::Tied | Played::TooSlow => None,
    })
}
