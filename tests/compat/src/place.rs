//! Places of each durable store: empty ones, and copies of kept ones.

mod packed;
mod postgres;
mod redis;
mod sqlite;

use std::{collections::BTreeMap, fs, path::Path};

use jobs_conformance::Fixture;
use serde_json::Value;

use crate::{kept::Kept, teller::Told};

pub use postgres::PostgresPlace;
pub use redis::RedisPlace;
pub use sqlite::SqlitePlace;

/// A place that can be written to a folder, and opened from there again.
pub trait Place: Fixture + Sized {
    /// The name of the store, and of its folder.
    const STORE: &str;

    /// An empty place.
    ///
    /// # Errors
    /// If there is no room for it, or its server does not start.
    fn empty() -> Told<Self>;

    /// A copy of the place that is kept in a folder.
    ///
    /// # Errors
    /// As [`empty`](Self::empty); if nothing of the kind is in the folder.
    fn copy(folder: &Path) -> impl Future<Output = Told<Self>>;

    /// Writes the place to a folder. Nobody uses it meanwhile.
    ///
    /// # Errors
    /// If that cannot be written.
    fn keep(&self, folder: &Path) -> Told;

    /// Plays what a process of the version that has written the place sent to it when it went on, so many seconds after
    /// the end of the story.
    ///
    /// # Errors
    /// If it was not recorded; if the store does not take it.
    fn play(&self, folder: &Path, seconds: i64) -> impl Future<Output = Told>;
}

/// What all namespaces of a kept place answered.
const READS: &str = "reads.json.gz";
/// The same after a process of the version had gone on with it.
const BESIDE: &str = "beside.json.gz";

/// What the namespaces of a place answered when a process of its version had gone on with it.
///
/// # Errors
/// If it is not there.
pub fn reads_beside(folder: &Path) -> Told<BTreeMap<String, Value>> {
    reads(folder, BESIDE)
}

/// What is written down beside a kept place.
///
/// # Errors
/// If it is not there.
pub fn kept(folder: &Path) -> Told<Kept> {
    let kept: Kept = serde_json::from_slice(&fs::read(folder.join("kept.json"))?)?;
    Ok(Kept { reads: reads(folder, READS)?, ..kept })
}

fn reads(folder: &Path, file: &str) -> Told<BTreeMap<String, Value>> {
    Ok(serde_json::from_slice(&packed::unpacked(&folder.join(file))?)?)
}

/// Writes down what is in a place.
///
/// # Errors
/// If that cannot be written.
pub fn note(kept: &Kept, folder: &Path) -> Told {
    packed::pack(&serde_json::to_vec_pretty(&kept.reads)?, &folder.join(READS))?;
    Ok(fs::write(folder.join("kept.json"), serde_json::to_vec_pretty(kept)?)?)
}
