//! Names of runs, items, leases and sessions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of the namespace's one source: max(last + 1, the store's milliseconds × 2¹⁰), below 2⁵³.
///
/// It grows over restarts, restores and failovers, so a lease's token fences whatever held the work before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u64);

impl Token {
    /// The largest number a namespace can give out: every JSON reader keeps integers up to here exactly.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The next number of a source that gave `self` last, at the store's time `now` in milliseconds.
    #[must_use]
    pub fn after(self, now: crate::Millis) -> Self {
        let clock = u64::try_from(now.0).unwrap_or(0).saturating_mul(1 << 10);
        Self(clock.max(self.0.saturating_add(1)).min(Self::MAX.0))
    }
}

/// One start of one runner: random, never reused. All that it leases lives as long as it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One execution of a job: for a tick, by hand, or for a bulk enqueue on request.
///
/// Prints as a number and parses from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(u64);

impl RunId {
    /// The run with this number of the namespace's source.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The run's `n`-th item, counted from 0 in the order in which the query found them.
    #[must_use]
    pub const fn item(self, n: u64) -> ItemId {
        ItemId { run: self.0, n }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        number(text).map(Self).ok_or_else(|| ParseIdError { text: text.into(), shape: "<run>" })
    }
}

/// One unit of execution, retry and death.
///
/// Prints as `<run>-<n>` and parses from it. An item that was enqueued one by one belongs to no run: its first
/// number is its own, and `n` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId {
    run: u64,
    n: u64,
}

impl ItemId {
    /// The item `n` of the run (or enqueued item) with the number `run`.
    #[must_use]
    pub const fn new(run: u64, n: u64) -> Self {
        Self { run, n }
    }

    /// The number of its run, or its own if it was enqueued one by one.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.run
    }

    /// Its place in the run, counted from 0.
    #[must_use]
    pub const fn n(self) -> u64 {
        self.n
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.run, self.n)
    }
}

impl FromStr for ItemId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        text.split_once('-')
            .and_then(|(run, n)| Some(Self { run: number(run)?, n: number(n)? }))
            .ok_or_else(|| ParseIdError { text: text.into(), shape: "<run>-<n>" })
    }
}

/// A text that is not the id of a run or an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id; write it as it was printed, `{shape}`")]
pub struct ParseIdError {
    text: String,
    shape: &'static str,
}

/// Only what `Display` writes: no sign, no blanks, no leading zeros.
fn number(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| canonical)
}

/// Ids travel as text, so that a reader of JSON that keeps numbers as floats keeps them whole.
macro_rules! as_text {
    ($($id:ty)*) => { $(
        impl Serialize for $id {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $id {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
    )* };
}
as_text! { RunId ItemId }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_parse_from_what_they_print() {
        let item = RunId::new(1_803_000_000_123).item(7);
        assert_eq!(item.to_string(), "1803000000123-7");
        assert_eq!(item.to_string().parse(), Ok(item));
        assert_eq!("42".parse(), Ok(RunId::new(42)));
        assert_eq!(serde_json::to_string(&item).unwrap(), "\"1803000000123-7\"");
        for wrong in ["", "-", "1-", "-1", "1", "+1-2", "1-2-3", " 1-2", "01-2", "1-18446744073709551616"] {
            let error = wrong.parse::<ItemId>().unwrap_err().to_string();
            assert_eq!(error, format!("`{wrong}` is not an id; write it as it was printed, `<run>-<n>`"));
        }
    }

    #[test]
    fn tokens_grow_when_the_clock_goes_back() {
        let late = Token(0).after(crate::Millis(2_000_000_000_000));
        assert!(late.after(crate::Millis(1_000_000_000_000)) > late);
        assert!(late < Token::MAX, "in the year 2033 there is room left");
    }
}
