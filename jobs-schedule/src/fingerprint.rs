//! One fixed hash for everything that must agree between nodes, builds and versions.
//!
//! The standard library's hasher promises no such thing, so this is FNV-1a of 64 bits and the finaliser of
//! MurmurHash3, which spreads the last bytes over all bits. Its values are stored: never change it, add a version.

/// Hashes the parts; no two lists of parts are hashed as the same bytes.
pub(crate) fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut byte = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in parts {
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut byte);
        part.iter().copied().for_each(&mut byte);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
