//! Power that fails: what has reached the disk is a prefix of what was written, cut anywhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{fs, path::Path};

use common::{File, append, attach, done, fire, is_whole, settle};
use jobs_core::{RunId, Store};
use jobs_sqlite::{Durability, SqliteOptions, SqliteStore};

const WAL_HEADER: usize = 32;
const FRAME: usize = 24 + 4_096;

/// How far the run was when a step was acknowledged (found, done), and how long the log was then.
type Story = Vec<((u64, u64), usize)>;

async fn story(store: &SqliteStore, file: &File) -> (RunId, Story) {
    attach(store, 1).await;
    let (run, lease) = fire(store, 1, 1).await.unwrap();
    let token = lease.unwrap().token;
    let mut told = vec![((0, 0), log_length(file))];
    for seq in 0..5 {
        append(store, token, seq, seq * 500..(seq + 1) * 500, seq == 4).await.unwrap();
    }
    told.push(((2_500, 0), log_length(file)));
    let mut leases = Vec::new();
    for n in 1..=12 {
        let settlements: Vec<_> = leases.iter().map(done).collect();
        leases = settle(store, 1, n, settlements, 200).await.unwrap();
        let length = log_length(file);
        let counts = store.run(run).await.unwrap().value.unwrap().counts;
        told.push(((counts.total, counts.ok), length));
    }
    (run, told)
}

fn log_length(file: &File) -> usize {
    usize::try_from(fs::metadata(format!("{}-wal", file.path().display())).unwrap().len()).unwrap()
}

/// What is there after the log was cut at `cut`.
async fn after_cut(from: &Path, cut: usize, run: RunId) -> Option<(u64, u64)> {
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("jobs.db");
    fs::copy(from, &to).unwrap();
    let log = fs::read(format!("{}-wal", from.display())).unwrap();
    fs::write(format!("{}-wal", to.display()), &log[..cut.min(log.len())]).unwrap();
    let store = SqliteStore::open(SqliteOptions::new(&to)).await.unwrap();
    let report = store.run(run).await.unwrap().value;
    drop(store);
    assert!(is_whole(&to), "cut at {cut}");
    report.map(|report| (report.counts.total, report.counts.ok))
}

#[tokio::test]
async fn a_log_that_is_cut_anywhere_leaves_a_prefix_of_what_was_acknowledged() {
    cut_anywhere(Durability::Normal).await;
}

#[tokio::test]
async fn what_is_acknowledged_with_full_durability_is_in_the_log_before() {
    cut_anywhere(Durability::Full).await;
}

async fn cut_anywhere(durability: Durability) {
    let file = File::new();
    let store = SqliteStore::open(file.options().durability(durability)).await.unwrap();
    let (run, told) = story(&store, &file).await;
    // Copied while the store is open, so nothing was moved out of the log.
    let log = log_length(&file);
    assert!(log > WAL_HEADER + 20 * FRAME, "there is something to cut: {log}");
    let mut random = fastrand::Rng::with_seed(4_711);
    let mut cuts: Vec<usize> = (0..=(log - WAL_HEADER) / FRAME).map(|n| WAL_HEADER + n * FRAME).collect();
    cuts.extend((0..40).map(|_| random.usize(0..=log)));
    cuts.sort_unstable();
    let mut before = None;
    for cut in cuts {
        let seen = after_cut(&file.path(), cut, run).await;
        assert!(seen >= before, "a longer log says no less: {before:?}, then {seen:?} at {cut}");
        assert!(
            seen.is_none_or(|seen| told.iter().any(|(was, _)| *was == seen)),
            "{seen:?} at {cut} was never so"
        );
        // What was acknowledged when the log was no longer than this is there.
        let promised = told.iter().rev().find(|(_, length)| *length <= cut).map(|(was, _)| *was);
        assert!(seen >= promised, "{promised:?} was acknowledged before {cut}, and {seen:?} is there");
        before = seen;
    }
    assert_eq!(before, told.last().map(|(was, _)| *was), "a whole log says all");
}
