//! How much goes into one call of the store: less when a call was too slow.

use std::time::Duration;

/// A call that takes so much longer than calls usually do carries too much.
const SLOW: Duration = Duration::from_millis(500);
/// A call that takes less than this beyond the usual may carry more.
const QUICK: Duration = Duration::from_millis(100);
/// How slowly the usual time of a call follows what calls take: it is that of the quickest ones.
const FOLLOWS: u32 = 16;

/// The size of the next batch.
#[derive(Debug)]
pub(crate) struct Batch {
    size: usize,
    most: usize,
    /// What a call takes, whatever it carries: the way to the store and back.
    usual: Option<Duration>,
}

impl Batch {
    pub(crate) fn of_at_most(most: usize) -> Self {
        Self { size: most, most, usual: None }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// A call that carried `n` was answered after so long.
    pub(crate) fn took(&mut self, n: usize, time: Duration) {
        let usual = match self.usual {
            Some(usual) if time > usual => usual + (time - usual) / FOLLOWS,
            _ => time,
        };
        self.usual = Some(usual);
        if time > usual + SLOW {
            // One that carried little was not slow because of what it carried.
            if n > self.size / 2 {
                self.halve(n);
            }
        } else if time < usual + QUICK {
            self.size = (self.size * 2).min(self.most);
        }
    }

    /// A call that carried `n` was not answered.
    pub(crate) fn failed(&mut self, n: usize) {
        if n > 0 {
            self.halve(n);
        }
    }

    /// Until calls are quick: one shows what a call of many was refused for.
    pub(crate) fn one_at_a_time(&mut self) {
        self.size = 1;
    }

    fn halve(&mut self, n: usize) {
        self.size = (self.size.min(n) / 2).max(1);
    }
}

/// How many of the first go into one call, if all of them together have at most so much.
pub(crate) fn fitting(sizes: impl Iterator<Item = usize>, most: usize) -> usize {
    let fit = |left: &mut usize, size: usize| {
        *left = left.checked_sub(size)?;
        Some(())
    };
    sizes.scan(most, fit).count()
}

/// What goes into two calls instead of one: the second half, then the first, which is taken first from the end.
pub(crate) fn halves<T>(mut all: Vec<T>) -> [Vec<T>; 2] {
    let second = all.split_off(all.len() / 2);
    [second, all]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_shrinks_when_a_call_is_slow_and_grows_again() {
        let mut batch = Batch::of_at_most(256);
        batch.took(1, Duration::from_millis(5));
        batch.took(256, Duration::from_secs(1));
        assert_eq!(batch.size(), 128);
        batch.failed(64);
        assert_eq!(batch.size(), 32, "it carried less than it might have");
        batch.took(32, Duration::from_millis(200));
        assert_eq!(batch.size(), 32);
        for _ in 0..9 {
            batch.took(32, Duration::from_millis(5));
        }
        assert_eq!(batch.size(), 256);
        batch.failed(0);
        assert_eq!(batch.size(), 256, "what carried nothing did not fail because of that");
        (0..20).for_each(|_| batch.failed(1));
        assert_eq!(batch.size(), 1, "there is always something in it");
    }

    #[test]
    fn a_store_far_away_is_not_slow_because_of_what_it_is_sent() {
        let mut batch = Batch::of_at_most(256);
        for _ in 0..100 {
            batch.took(256, Duration::from_millis(800));
        }
        assert_eq!(batch.size(), 256);
        batch.took(0, Duration::from_secs(3));
        assert_eq!(batch.size(), 256, "a call that carried nothing was not slow because of that");
        (0..8).for_each(|_| batch.failed(1));
        for _ in 0..9 {
            batch.took(1, Duration::from_millis(850));
        }
        assert_eq!(batch.size(), 256, "after an outage it grows again, however far the store is");
    }
}
