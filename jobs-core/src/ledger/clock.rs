//! Times that a clock of the future has stored.
//!
//! A store's clock may have been wrong for a moment: a virtual machine that was restored, a battery that was empty, an
//! operator's slip. What was stored in that moment lies in the future of the clock that is right again. So nothing that
//! is stored is believed to be further ahead than it was meant to be.

use std::time::Duration;

use crate::Millis;

/// A cursor that is further ahead of the store's clock than this is set back at attach.
pub const SET_BACK: Duration = Duration::from_secs(3600);

/// When an item is due that was put to wait at `since` until `due`: as it was stored, or if the clock that stored it was
/// ahead of this one, after the same wait from now. `None`: as it was stored.
#[must_use]
pub fn held_back(since: Option<Millis>, due: Millis, now: Millis) -> Option<Millis> {
    let since = since.filter(|since| *since > now)?;
    Some(now + due.since(since))
}

/// How far ahead of the store's clock a cursor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It is not ahead.
    None,
    /// It is ahead by so little that the schedule waits for the clock.
    Waits,
    /// The schedule would wait too long: the cursor is set back.
    SetBack,
}

impl Patience {
    /// For a cursor.
    #[must_use]
    pub fn with(cursor: Millis, now: Millis) -> Self {
        match cursor.since(now) {
            ahead if ahead.is_zero() => Self::None,
            ahead if ahead <= SET_BACK => Self::Waits,
            _ => Self::SetBack,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_waits_no_longer_than_it_was_meant_to() {
        assert_eq!(held_back(Some(Millis(5)), Millis(15), Millis(7)), None, "it is stored as it was meant");
        assert_eq!(held_back(None, Millis(15), Millis(7)), None, "an older version stored no start");
        let of_the_future = held_back(Some(Millis(1_000)), Millis(1_010), Millis(7));
        assert_eq!(of_the_future, Some(Millis(17)), "ten milliseconds from now");
    }

    #[test]
    fn a_cursor_an_hour_ahead_is_waited_for() {
        let hour = Millis(0) + SET_BACK;
        assert_eq!(Patience::with(Millis(0), Millis(0)), Patience::None);
        assert_eq!(Patience::with(hour, Millis(0)), Patience::Waits);
        assert_eq!(Patience::with(Millis(hour.0 + 1), Millis(0)), Patience::SetBack);
    }
}
