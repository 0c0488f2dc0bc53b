//! Bodies as the server keeps them: where each item ends, then the items. So the scripts cut out what is leased without
//! looking at any item.

use jobs_core::Body;
use memchr::memchr_iter;

/// The bytes to store for a body: 4 for each item, unless it is one, and its lines.
pub(crate) fn stored(body: &Body) -> Vec<u8> {
    let lines = body.as_bytes();
    if body.count() == 1 {
        return lines.to_vec();
    }
    let mut bytes = Vec::with_capacity(lines.len() + 4 * body.count() as usize);
    for end in memchr_iter(b'\n', lines) {
        // A body of many items has at most 64 KiB.
        bytes.extend_from_slice(&u32::try_from(end + 1).unwrap_or(u32::MAX).to_be_bytes());
    }
    bytes.extend_from_slice(lines);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_begins_with_where_its_items_end() {
        assert_eq!(stored(&Body::from_bytes(b"1\n".to_vec())), b"1\n");
        assert_eq!(stored(&Body::from_bytes(b"1\n23\n".to_vec())), b"\0\0\0\x02\0\0\0\x051\n23\n");
    }
}
