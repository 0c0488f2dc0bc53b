//! What is kept in few bytes.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use crate::teller::Told;

/// Writes a file of few bytes.
pub(super) fn pack(bytes: &[u8], to: &Path) -> Told {
    let mut packed = GzEncoder::new(File::create(to)?, Compression::best());
    packed.write_all(bytes)?;
    packed.finish()?;
    Ok(())
}

/// Reads what was written so.
pub(super) fn unpacked(from: &Path) -> Told<Vec<u8>> {
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(from)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}
