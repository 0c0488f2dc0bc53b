//! What a field of a [`Rule`](crate::Rule) may be set to.

use std::ops::{Range, RangeInclusive};

/// Values of one field: a number, a list, a range, a range with a step, all.
///
/// Made by `From` from `5`, `9..=17`, `0..60`, `[1, 15]`, [`Weekday`], [`Month`], ranges and lists of these, by
/// [`every`](Values::every) and by [`any`](Values::any).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    pub(crate) items: Vec<Item>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    /// `*/step`.
    Star {
        step: u32,
    },
    One(u32),
    Span {
        low: u32,
        high: u32,
        step: u32,
    },
}

impl Values {
    /// All of the field's values, as `*` in a cron text.
    pub fn any() -> Values {
        Values::every(1)
    }

    /// Every `step`-th value from the field's first, as `*/step` in a cron text.
    pub fn every(step: u32) -> Values {
        Values { items: vec![Item::Star { step }] }
    }

    /// Takes only every `step`-th value of each range.
    ///
    /// ```
    /// use jobs_schedule::{Schedule, Values};
    ///
    /// let schedule = Schedule::builder().minute(Values::from(0..60).step(5)).build()?;
    /// assert_eq!(schedule.to_string(), "0-55/5 * * * *");
    /// # Ok::<(), jobs_schedule::ScheduleError>(())
    /// ```
    #[must_use]
    pub fn step(mut self, every: u32) -> Values {
        for item in &mut self.items {
            match item {
                Item::Star { step } | Item::Span { step, .. } => *step = every,
                Item::One(_) => {}
            }
        }
        self
    }

    fn span(low: u32, high: u32) -> Values {
        Values { items: vec![Item::Span { low, high, step: 1 }] }
    }
}

impl From<u32> for Values {
    fn from(value: u32) -> Values {
        Values { items: vec![Item::One(value)] }
    }
}

impl From<RangeInclusive<u32>> for Values {
    fn from(range: RangeInclusive<u32>) -> Values {
        Values::span(*range.start(), *range.end())
    }
}

impl From<Range<u32>> for Values {
    /// The end is excluded, as ever in Rust. An empty range is refused by [`Rule::build`](crate::Rule::build).
    fn from(range: Range<u32>) -> Values {
        if range.is_empty() { Values { items: Vec::new() } } else { Values::span(range.start, range.end - 1) }
    }
}

impl<T: Into<Values>, const N: usize> From<[T; N]> for Values {
    fn from(items: [T; N]) -> Values {
        items.into_iter().collect()
    }
}

impl<T: Into<Values>> From<Vec<T>> for Values {
    fn from(items: Vec<T>) -> Values {
        items.into_iter().collect()
    }
}

impl<T: Into<Values>> FromIterator<T> for Values {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Values {
        Values { items: items.into_iter().flat_map(|item| item.into().items).collect() }
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Sunday,
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
}

/// A month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Month {
    January,
    February,
    March,
    April,
    May,
    June,
    July,
    August,
    September,
    October,
    November,
    December,
}

impl Weekday {
    /// 0 for Sunday to 6 for Saturday.
    pub fn number(self) -> u32 {
        self as u32
    }
}

impl Month {
    /// 1 for January to 12 for December.
    pub fn number(self) -> u32 {
        self as u32 + 1
    }
}

impl From<Weekday> for Values {
    fn from(day: Weekday) -> Values {
        day.number().into()
    }
}

impl From<RangeInclusive<Weekday>> for Values {
    /// A range may end with Sunday; any other that runs over the weekend is refused, as in a cron text.
    fn from(range: RangeInclusive<Weekday>) -> Values {
        Values::span(range.start().number(), range.end().number())
    }
}

impl From<Month> for Values {
    fn from(month: Month) -> Values {
        month.number().into()
    }
}

impl From<RangeInclusive<Month>> for Values {
    fn from(range: RangeInclusive<Month>) -> Values {
        Values::span(range.start().number(), range.end().number())
    }
}
