//! Which items of a lease are still to be settled: every store keeps that alike.

use std::ops::Range;

/// The items of a lease that are still to be settled, counted from 0 in the lease.
#[derive(Clone, Debug)]
pub struct OpenItems {
    count: u32,
    left: u32,
    /// Which are settled; empty while none is, as in most leases until all are.
    settled: Vec<bool>,
}

impl OpenItems {
    /// All items of a lease of so many.
    #[must_use]
    pub fn all(count: u32) -> Self {
        Self { count, left: count, settled: Vec::new() }
    }

    /// Those that [`to_bytes`](Self::to_bytes) has written, of so many.
    #[must_use]
    pub fn from_bytes(count: u32, bytes: Option<&[u8]>) -> Self {
        let settled: Vec<bool> = bytes.unwrap_or_default().iter().map(|byte| *byte != 0).collect();
        let done = settled.iter().filter(|settled| **settled).count();
        Self { count, left: count.saturating_sub(u32::try_from(done).unwrap_or(u32::MAX)), settled }
    }

    /// A byte for each item, 1 if it is settled; `None` while none is.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        (!self.settled.is_empty()).then(|| self.settled.iter().map(|settled| u8::from(*settled)).collect())
    }

    /// How many they are.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Marks the items `from..to` as settled, and gives the stretches of them that were not: each item is settled
    /// at most once.
    pub fn settle(&mut self, from: u32, to: u32) -> Vec<Range<u32>> {
        let stretches = self.stretches(from, to);
        if !stretches.is_empty() {
            self.settled.resize(self.count as usize, false);
        }
        for stretch in &stretches {
            self.settled[stretch.start as usize..stretch.end as usize].fill(true);
            self.left -= stretch.end - stretch.start;
        }
        stretches
    }

    /// All of them, as stretches of neighbours.
    #[must_use]
    pub fn rest(&self) -> Vec<Range<u32>> {
        self.stretches(0, self.count)
    }

    /// The stretches of `from..to` that are not settled.
    fn stretches(&self, from: u32, to: u32) -> Vec<Range<u32>> {
        let to = to.min(self.count);
        let settled = |i: &u32| self.settled.get(*i as usize).copied().unwrap_or(false);
        let (mut stretches, mut at) = (Vec::new(), from);
        while at < to {
            let begin = (at..to).find(|i| !settled(i)).unwrap_or(to);
            let end = if self.settled.is_empty() { to } else { (begin..to).find(settled).unwrap_or(to) };
            if begin < end {
                stretches.push(begin..end);
            }
            at = end;
        }
        stretches
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // A stretch is a range.
mod tests {
    use super::*;

    #[test]
    fn each_item_is_settled_once() {
        let mut open = OpenItems::all(10);
        assert_eq!(open.to_bytes(), None);
        assert_eq!(open.settle(2, 4), [2..4]);
        assert_eq!(open.settle(0, 6), [0..2, 4..6]);
        assert_eq!(open.settle(0, 6), []);
        assert_eq!((open.left(), open.rest()), (4, vec![6..10]));
        assert_eq!(open.settle(5, u32::MAX), [6..10], "no item is beyond the lease");
        assert_eq!((open.left(), open.rest()), (0, vec![]));
    }

    #[test]
    fn what_was_written_is_read_alike() {
        let mut open = OpenItems::all(3);
        open.settle(1, 2);
        let read = OpenItems::from_bytes(3, open.to_bytes().as_deref());
        assert_eq!((read.left(), read.rest()), (2, vec![0..1, 2..3]));
        assert_eq!(OpenItems::from_bytes(3, None).rest(), [0..3]);
    }
}
