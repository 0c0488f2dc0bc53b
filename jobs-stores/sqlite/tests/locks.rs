//! The locks that keep several processes on one file from harming each other. POSIX drops all of a process's locks on a
//! file when the process closes any descriptor of it, so nothing but SQLite may ever open the file.

#![cfg(target_os = "linux")] // The kernel's table of locks is read.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests, and one of them is the other process"
)]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use common::{File, attach, filled};
use jobs_conformance::{
    Fixture, Handle, Wrapper,
    call::{Call, Outcome, perform},
    check, rules,
};
use jobs_core::{BoxError, BoxFuture, RunFilter, Store, StoreError, Wakeups};
use jobs_sqlite::{SqliteOptions, SqliteStore};

/// Whether this process holds a lock on the file, as every connection to it does for as long as it is open. A lock that
/// was dropped does not come back by itself, and the table may change while it is read: so it is read a few times.
fn is_locked(path: &Path) -> bool {
    (0..20).any(|_| is_listed(path))
}

fn is_listed(path: &Path) -> bool {
    let inode = path.metadata().unwrap().ino().to_string();
    let process = std::process::id().to_string();
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|lock| {
        let fields: Vec<&str> = lock.split_whitespace().collect();
        let posix = fields.get(1) == Some(&"POSIX");
        let of_file = fields.get(5).is_some_and(|file| file.rsplit(':').next() == Some(&*inode));
        posix && of_file && fields.get(4) == Some(&&*process)
    })
}

#[tokio::test]
async fn a_second_opening_leaves_the_locks_of_the_first() {
    let file = File::new();
    let first = file.open().await;
    attach(&first, 1).await;
    assert!(is_locked(&file.path()), "an open store holds its lock");
    let second = file.open().await;
    assert!(is_locked(&file.path()), "a second opening takes the lock of nobody");
    drop(second);
    let other = SqliteStore::at(file.directory.path().join("none/jobs.db")).await;
    assert!(matches!(other, Err(StoreError::BadUrl { .. })));
    assert!(is_locked(&file.path()));
    drop(first);
}

/// Looks after every call whether the process still holds its lock.
struct Watched {
    store: SqliteStore,
    path: PathBuf,
}

impl Watched {
    fn look(&self, after: &str) -> Result<(), StoreError> {
        if is_locked(&self.path) {
            Ok(())
        } else {
            Err(StoreError::Backend(format!("no lock {after}").into()))
        }
    }
}

impl Handle for Watched {
    fn handle(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let name = format!("after {call:?}");
            let answer = perform(&self.store, call).await?;
            self.look(&name)?;
            Ok(answer)
        })
    }

    fn wakeups(&self) -> Wakeups {
        self.store.wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        self.store.namespace(name)
    }
}

struct Place(File);

impl Fixture for Place {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        let options = self.0.options().clock_offset(offset);
        let path = self.0.path();
        Box::pin(async move {
            let watched = Watched { store: SqliteStore::open(options).await?, path };
            watched.look("after opening")?;
            let store: Arc<dyn Store> = Arc::new(Wrapper(watched));
            Ok(store)
        })
    }
}

#[test]
fn no_call_of_the_suite_drops_the_locks() {
    for rule in rules() {
        check(rule, &|| Box::new(Place(File::new()))).unwrap();
    }
}

const ASKED: &str = "JOBS_SQLITE_TEST_OPENS_TWICE";

/// What the other process does: it opens the file twice, as a runner and a client do, and tells each run that was
/// acknowledged. It goes on at each line that it reads.
async fn acknowledge_runs(path: PathBuf) {
    let runner = SqliteStore::open(SqliteOptions::new(&path)).await.unwrap();
    attach(&runner, 1).await;
    let client = SqliteStore::open(SqliteOptions::new(&path)).await.unwrap();
    let mut request = 0;
    loop {
        for _ in 0..20 {
            request += 1;
            filled(&runner, 1, request, 10).await;
        }
        assert_eq!(client.runs(RunFilter::new().limit(1)).await.unwrap().value.len(), 1);
        println!("acknowledged {request}");
        std::io::stdout().flush().unwrap();
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }
}

/// Waits until the other process has acknowledged more, and says how many runs it has in all.
fn acknowledged(output: &mut impl BufRead) -> usize {
    loop {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "the other process ended");
        if let Some((_, count)) = line.split_once("acknowledged ") {
            return count.trim().parse().unwrap();
        }
    }
}

/// Opens and closes the file in a process of its own, as an operator does who looks into it.
fn look_from_outside(path: &Path) {
    let looked = Command::new("sqlite3").arg(path).arg("SELECT count(*) FROM run").status();
    assert!(looked.expect("install the program `sqlite3`").success());
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

#[tokio::test]
async fn a_file_that_one_process_opened_twice_loses_nothing() {
    if let Some(path) = std::env::var_os(ASKED) {
        return acknowledge_runs(path.into()).await;
    }
    let file = File::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_file_that_one_process_opened_twice_loses_nothing", "--nocapture"]);
    command.env(ASKED, file.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let mut input = child.0.stdin.take().unwrap();
    let mut count = acknowledged(&mut output);
    for _ in 0..3 {
        look_from_outside(&file.path());
        writeln!(input).unwrap();
        count = acknowledged(&mut output);
    }
    drop(child);
    let store = tokio::time::timeout(Duration::from_secs(30), file.open()).await.unwrap();
    let kept = store.runs(RunFilter::new().limit(1_000)).await.unwrap().value.len();
    assert_eq!((kept, count), (count, 80), "every run that was acknowledged is there");
    drop(store);
    assert!(common::is_whole(&file.path()));
}
