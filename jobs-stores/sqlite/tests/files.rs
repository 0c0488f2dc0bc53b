//! What is where the store should be: nothing, another version's file, somebody else's, a damaged one, one that cannot be
//! written, one that is full, one that goes away.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::fs;

use common::{File, append, attach, done, filled, fire, is_whole, numbers, settle};
use jobs_core::{Appended, RunFilter, Store, StoreError};
use jobs_sqlite::{Durability, SqliteOptions, SqliteStore};

async fn refused(options: SqliteOptions) -> StoreError {
    match SqliteStore::open(options).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let file = File::new();
    for durability in [Durability::Normal, Durability::Full] {
        let options = file.options().durability(durability).namespace(format!("{durability:?}"));
        let store = SqliteStore::open(options.clone()).await.unwrap();
        attach(&store, 1).await;
        let run = filled(&store, 1, 7, 2_500).await;
        assert_eq!(settle(&store, 1, 1, Vec::new(), 10).await.unwrap().len(), 1);
        drop(store);
        let store = SqliteStore::open(options).await.unwrap();
        assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.total, 2_500);
        let leases = settle(&store, 1, 2, Vec::new(), 5).await.unwrap();
        assert_eq!(numbers(&leases), [10, 11, 12, 13, 14]);
        let again = settle(&store, 1, 2, Vec::new(), 5).await.unwrap();
        assert_eq!(leases, again, "a repeat is answered alike, over a restart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_an_empty_place_at_once() {
    let file = File::new();
    let opening: Vec<_> = (0..8)
        .map(|session| {
            let options = file.options();
            tokio::spawn(async move {
                let store = SqliteStore::open(options).await.unwrap();
                attach(&store, session).await;
            })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap();
    }
    assert_eq!(file.open().await.sessions().await.unwrap().value.len(), 8);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let file = File::new();
    drop(file.open().await);
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    conn.execute_batch("PRAGMA user_version = 99").unwrap();
    let error = refused(file.options()).await;
    assert!(matches!(error, StoreError::NewerSchema { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_as_it_is() {
    let file = File::new();
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    conn.execute_batch("CREATE TABLE song (name TEXT)").unwrap();
    drop(conn);
    let before = fs::read(file.path()).unwrap();
    let error = refused(file.options()).await;
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert_eq!(fs::read(file.path()).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_as_it_is() {
    let file = File::new();
    let text = "a letter, and a long one. ".repeat(1_000);
    fs::write(file.path(), &text).unwrap();
    let error = refused(file.options()).await;
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
    let error = refused(SqliteOptions::new(file.directory.path())).await;
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_called_so() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    filled(&store, 1, 1, 5_000).await;
    drop(store);
    // Whoever opens it next finds all of it in the file itself.
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(conn);
    let mut bytes = fs::read(file.path()).unwrap();
    bytes[4_096..].fill(0xa5);
    fs::write(file.path(), bytes).unwrap();
    let error = match SqliteStore::open(file.options()).await {
        Ok(store) => store.runs(RunFilter::new()).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told() {
    let file = File::new();
    let error = refused(SqliteOptions::new(file.directory.path().join("none/jobs.db"))).await;
    assert!(error.to_string().contains("its directory does not exist"), "{error}");
}

#[tokio::test]
async fn a_full_disk_fails_one_operation_and_harms_nothing() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    let (run, lease) = fire(&store, 1, 1).await.unwrap();
    let token = lease.unwrap().token;
    append(&store, token, 0, 0..1_000, false).await.unwrap();
    drop(store);
    let pages = fs::metadata(file.path()).unwrap().len().div_ceil(4_096) + 40;
    let store = SqliteStore::open(file.options().max_pages(u32::try_from(pages).unwrap())).await.unwrap();
    let mut seq = 1;
    let error = loop {
        match append(&store, token, seq, 0..10_000, false).await {
            Ok(appended) => assert!(matches!(appended, Appended::Stored { .. }), "{appended:?}"),
            Err(error) => break error,
        }
        seq += 1;
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    // Neighbours in one commit do not suffer.
    let (beat, full) = tokio::join!(
        store.beat(jobs_core::Beat {
            session: jobs_core::SessionId(1),
            held: None,
            as_of: jobs_core::Millis::MAX,
            reconnected: false,
        }),
        append(&store, token, seq, 0..10_000, false),
    );
    assert!(beat.unwrap().value.alive);
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    drop(store);
    assert!(is_whole(&file.path()));
    let store = file.open().await;
    append(&store, token, seq, 0..10_000, true).await.unwrap();
    let total = store.run(run).await.unwrap().value.unwrap().counts.total;
    assert_eq!(total, 1_000 + (seq - 1) * 10_000 + 10_000, "with room again it goes on where it was");
}

#[tokio::test]
async fn a_body_that_was_not_stored_is_not_taken_for_another() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    let (_, lease) = fire(&store, 1, 1).await.unwrap();
    let token = lease.unwrap().token;
    drop(store);
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    let pages = conn.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap() + 60;
    drop(conn);
    let store = SqliteStore::open(file.options().max_pages(u32::try_from(pages).unwrap())).await.unwrap();
    // What does not fit was written in part, under numbers that are given out again.
    append(&store, token, 0, 100_000..200_000, false).await.unwrap_err();
    append(&store, token, 0, 0..2_000, true).await.unwrap();
    let leases = settle(&store, 1, 1, Vec::new(), 2_000).await.unwrap();
    assert_eq!(numbers(&leases), (0..2_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn room_that_is_not_needed_any_more_is_given_back() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    filled(&store, 1, 1, 100_000).await;
    let pages = || {
        let conn = rusqlite::Connection::open(file.path()).unwrap();
        conn.query_row("PRAGMA page_count", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let (full, mut leases, mut n) = (pages(), Vec::new(), 0);
    while n == 0 || !leases.is_empty() {
        n += 1;
        leases = settle(&store, 1, n, leases.iter().map(done).collect(), 10_000).await.unwrap();
    }
    for _ in 0..10 {
        store.prune(100).await.unwrap();
    }
    assert!(pages() < full / 2, "{} pages of {full}", pages());
}

#[tokio::test]
async fn a_deleted_file_is_told_and_not_written_to() {
    let file = File::new();
    let store = file.open().await;
    attach(&store, 1).await;
    for end in ["", "-wal", "-shm"] {
        fs::remove_file(format!("{}{end}", file.path().display())).unwrap();
    }
    let error = fire(&store, 1, 1).await.unwrap_err();
    assert!(error.to_string().contains("was deleted while it was open"), "{error}");
    let error = store.runs(RunFilter::new()).await.unwrap_err();
    assert!(error.to_string().contains("was deleted while it was open"), "{error}");
    assert!(!file.path().exists(), "it is not made anew by itself");
}

#[tokio::test]
async fn a_file_that_was_replaced_is_opened_instead() {
    let (file, backup) = (File::new(), File::new());
    let other = backup.open().await;
    attach(&other, 2).await;
    let run = filled(&other, 2, 1, 3).await;
    drop(other);
    let conn = rusqlite::Connection::open(backup.path()).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(conn);
    let store = file.open().await;
    attach(&store, 1).await;
    for end in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{end}", file.path().display())).unwrap();
    }
    fs::rename(backup.path(), file.path()).unwrap();
    assert_eq!(settle(&store, 2, 1, Vec::new(), 9).await.unwrap().len(), 1);
    assert_eq!(store.run(run).await.unwrap().value.unwrap().counts.total, 3);
}

/// As another user: root may write everything.
#[cfg(unix)]
#[tokio::test]
async fn a_file_that_cannot_be_written_is_told() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};

    const ASKED: &str = "JOBS_SQLITE_TEST_READ_ONLY";
    if let Some(path) = std::env::var_os(ASKED) {
        let error = refused(SqliteOptions::new(path)).await;
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error}");
        return;
    }
    let file = File::new();
    drop(file.open().await);
    fs::set_permissions(file.directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o444)).unwrap();
    // The test program may be where nobody else may look.
    let program = File::new();
    fs::set_permissions(program.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = program.directory.path().join("again");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let mut again = std::process::Command::new(copy);
    again.args(["--exact", "a_file_that_cannot_be_written_is_told"]).env(ASKED, file.path()).current_dir("/");
    if is_root() {
        again.uid(65_534).gid(65_534);
    }
    let ended = again.output().unwrap();
    fs::set_permissions(file.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
}

#[cfg(unix)]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
