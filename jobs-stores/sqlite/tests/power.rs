//! Power that fails: what has reached the disk is a prefix of what was written, cut anywhere.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{fs, path::Path, process::Command};

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

/// Where the traced process plays, and with which durability.
const TRACED: &str = "JOBS_SQLITE_TEST_TRACED";

#[tokio::test]
async fn with_full_durability_nothing_is_acknowledged_before_the_disk_has_it() {
    if let Some(place) = std::env::var_os(TRACED) {
        return acknowledge_aloud(Path::new(&place)).await;
    }
    assert_eq!(
        acknowledged_too_early("full"),
        0,
        "what was acknowledged stands before the last synced frame"
    );
    assert!(acknowledged_too_early("normal") > 0, "with normal durability that is not waited for");
}

/// Says after each step that it was acknowledged, as a system call that can be traced.
async fn acknowledge_aloud(place: &Path) {
    let durability = if place.ends_with("full") { Durability::Full } else { Durability::Normal };
    let options = SqliteOptions::new(place.join("jobs.db")).durability(durability);
    let store = SqliteStore::open(options).await.unwrap();
    let aloud = || fs::write(place.join("acknowledged"), "").unwrap();
    attach(&store, 1).await;
    aloud();
    let (_, lease) = fire(&store, 1, 1).await.unwrap();
    aloud();
    append(&store, lease.unwrap().token, 0, 0..500, true).await.unwrap();
    aloud();
    let mut leases = Vec::new();
    for n in 1..=6 {
        let settlements: Vec<_> = leases.iter().map(done).collect();
        leases = settle(&store, 1, n, settlements, 100).await.unwrap();
        aloud();
    }
}

/// How many steps were acknowledged while a frame of the log was not synced, in a process whose system calls are traced.
fn acknowledged_too_early(durability: &str) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let (place, trace) = (directory.path().join(durability), directory.path().join("trace"));
    fs::create_dir(&place).unwrap();
    let mut traced = Command::new("strace");
    traced.args(["-f", "-y", "-e", "trace=pwrite64,fdatasync,fsync,openat", "-o"]).arg(&trace);
    traced.arg(std::env::current_exe().unwrap());
    traced.args(["--exact", "with_full_durability_nothing_is_acknowledged_before_the_disk_has_it"]);
    let ran = traced.env(TRACED, &place).output().unwrap_or_else(|error| {
        panic!("strace does not start ({error}); install it: apt-get install strace");
    });
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let (mut written, mut syncing, mut steps, mut early) = (false, false, 0, 0);
    for line in fs::read_to_string(&trace).unwrap().lines() {
        let is_log = line.contains("jobs.db-wal>");
        if line.contains("pwrite64(") && is_log {
            written = true;
        } else if line.contains("sync(") && is_log {
            // Another thread's call may be told in its middle; its end is a line of its own.
            syncing = line.contains("<unfinished");
            written &= syncing;
        } else if line.contains("sync resumed>") && syncing {
            (written, syncing) = (false, false);
        } else if line.contains("/acknowledged") {
            steps += 1;
            early += usize::from(written);
        }
    }
    assert_eq!(steps, 9, "every step was seen");
    early
}
