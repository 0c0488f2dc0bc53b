//! The items of a chunk as bytes: one line of JSON each.

use bytes::Bytes;
use serde::Serialize;

/// The most items that one chunk holds.
pub const MAX_ITEMS: u32 = 1_000;
/// The most bytes that one chunk holds, unless a single item is larger.
pub const MAX_BYTES: usize = 64 * 1024;

/// Items in their order, each a line of JSON (which never contains a raw line feed).
///
/// Cheap to clone and to cut: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    bytes: Bytes,
    count: u32,
}

impl Body {
    /// One item.
    ///
    /// # Errors
    /// What `serde_json` says of a value that JSON cannot express, such as a map whose keys are not text.
    pub fn one<T: Serialize + ?Sized>(item: &T) -> serde_json::Result<Self> {
        let mut bytes = serde_json::to_vec(item)?;
        bytes.push(b'\n');
        Ok(Self { bytes: bytes.into(), count: 1 })
    }

    /// The item of a job that takes none.
    #[must_use]
    pub fn unit() -> Self {
        Self { bytes: Bytes::from_static(b"null\n"), count: 1 }
    }

    /// Reads back what [`as_bytes`](Self::as_bytes) gave.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let count = bytes.iter().filter(|b| **b == b'\n').count();
        Self { bytes: bytes.into(), count: u32::try_from(count).unwrap_or(u32::MAX) }
    }

    /// All lines, each with its line feed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many items there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The items, each without its line feed.
    pub fn items(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|b| *b == b'\n').take(self.count as usize)
    }

    /// Cuts off the first `n` items (all of them, if there are fewer) and leaves the rest.
    #[must_use]
    pub fn split_to(&mut self, n: u32) -> Self {
        if n >= self.count {
            let rest = Self { bytes: Bytes::new(), count: 0 };
            return std::mem::replace(self, rest);
        }
        let end = self.items().take(n as usize).map(|item| item.len() + 1).sum();
        self.count -= n;
        Self { bytes: self.bytes.split_to(end), count: n }
    }

    /// The items `from..to`.
    #[must_use]
    pub fn range(&self, from: u32, to: u32) -> Self {
        let mut rest = self.clone();
        let _before = rest.split_to(from);
        rest.split_to(to.saturating_sub(from))
    }
}

/// Cuts what a query finds into bodies of at most [`MAX_ITEMS`] items and [`MAX_BYTES`] bytes.
#[derive(Debug, Default)]
pub struct BodyWriter {
    bytes: Vec<u8>,
    count: u32,
}

impl BodyWriter {
    /// Adds an item, and gives the body that is full with it.
    ///
    /// # Errors
    /// What `serde_json` says of a value that JSON cannot express; what was written before is kept.
    pub fn push<T: Serialize>(&mut self, item: &T) -> serde_json::Result<Option<Body>> {
        let start = self.bytes.len();
        if let Err(error) = serde_json::to_writer(&mut self.bytes, item) {
            self.bytes.truncate(start);
            return Err(error);
        }
        Ok(self.pushed(start))
    }

    /// Adds an item of another body, and gives the body that is full with it.
    pub fn push_raw(&mut self, item: &[u8]) -> Option<Body> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(item);
        self.pushed(start)
    }

    /// Ends the item that begins at `start`.
    fn pushed(&mut self, start: usize) -> Option<Body> {
        self.bytes.push(b'\n');
        self.count += 1;
        if self.count > 1 && self.bytes.len() > MAX_BYTES {
            let item = self.bytes.split_off(start);
            self.count -= 1;
            let full = self.finish();
            (self.bytes, self.count) = (item, 1);
            return full;
        }
        if self.count == MAX_ITEMS { self.finish() } else { None }
    }

    /// The last body; `None` if there is nothing in it.
    pub fn finish(&mut self) -> Option<Body> {
        let count = std::mem::take(&mut self.count);
        // The next body will be about as long as this one.
        let next = Vec::with_capacity(self.bytes.len());
        let bytes = std::mem::replace(&mut self.bytes, next);
        (count > 0).then(|| Body { bytes: bytes.into(), count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut<T: Serialize>(items: impl IntoIterator<Item = T>) -> Vec<Body> {
        let mut writer = BodyWriter::default();
        let mut bodies: Vec<_> = items.into_iter().filter_map(|i| writer.push(&i).unwrap()).collect();
        bodies.extend(writer.finish());
        bodies
    }

    #[test]
    fn a_body_is_cut_at_a_thousand_items() {
        let bodies = cut(0..2_500);
        assert_eq!(bodies.iter().map(Body::count).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        let all: Vec<u32> =
            bodies.iter().flat_map(Body::items).map(|i| serde_json::from_slice(i).unwrap()).collect();
        assert_eq!(all, (0..2_500).collect::<Vec<_>>());
    }

    #[test]
    fn a_large_item_stands_alone() {
        let large = "x".repeat(MAX_BYTES + 1);
        let bodies = cut(["a", &large, "b", "c"]);
        assert_eq!(bodies.iter().map(Body::count).collect::<Vec<_>>(), [1, 1, 2]);
        assert!(bodies.iter().all(|b| b.count() == 1 || b.as_bytes().len() <= MAX_BYTES));
    }

    #[test]
    fn an_item_with_line_feeds_is_one_line() {
        let mut body = Body::one("two\nlines").unwrap();
        assert_eq!(body.items().collect::<Vec<_>>(), [br#""two\nlines""#]);
        assert_eq!(body.split_to(5).count(), 1);
        assert_eq!((body.count(), body.items().count()), (0, 0));
    }

    #[test]
    fn a_range_is_what_splitting_gives() {
        let body = cut(0..10).remove(0);
        let text = |b: Body| String::from_utf8(b.as_bytes().to_vec()).unwrap();
        assert_eq!(text(body.range(2, 4)), "2\n3\n");
        assert_eq!(text(body.range(8, 99)), "8\n9\n");
        assert_eq!(text(Body::from_bytes(body.as_bytes().to_vec()).range(0, 1)), "0\n");
        assert_eq!(body.range(4, 4).count(), 0);
    }
}
