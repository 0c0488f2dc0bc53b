//! The thread that owns the connection that writes. Operations that come at once share a commit.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use jobs_core::{Marks, StoreError, notice};
use rusqlite::Connection;

use crate::{
    cache::Cache,
    connection::{Opened, open_writer},
    fault::{Done, Fault},
    hook::Hook,
    namespaces::Namespaces,
    operation::Write,
    options::SqliteOptions,
    schema,
    step::Step,
    transaction::Transaction,
};

/// The most operations in one commit.
const MAX_OPERATIONS: usize = 256;
/// The most bytes in one commit, but for the operation that passes it.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How often somebody who waits hears of what another process did.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many chunks of what was dropped are swept between two groups.
const SWEEP: usize = 32;

pub(crate) type Operation = Box<dyn Write>;

pub(crate) struct Writer {
    options: SqliteOptions,
    spaces: Arc<Namespaces>,
    hook: Arc<Hook>,
    opened: Opened,
    cache: Cache,
    /// What `PRAGMA data_version` said last: another number, and another connection has written.
    version: Option<i64>,
    /// Whether the schema was looked at since.
    examined: bool,
}

/// Why a group was not committed.
enum Lost {
    /// It was rolled back, and some of it may go through alone.
    Group,
    /// Nothing can be done.
    All(Fault),
}

impl Writer {
    pub(crate) fn open(options: SqliteOptions, spaces: Arc<Namespaces>, hook: Arc<Hook>) -> Done<Self> {
        let opened = open_writer(&options)?;
        Ok(Self { options, spaces, hook, opened, cache: Cache::default(), version: None, examined: false })
    }

    /// Works until nobody is left who could send something.
    pub(crate) fn work(mut self, operations: &Receiver<Operation>) {
        loop {
            let first = match operations.recv_timeout(LOOK_EVERY) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.look();
                    self.sweep();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut size = first.size();
            let mut group = vec![first];
            while group.len() < MAX_OPERATIONS
                && size < MAX_BYTES
                && let Ok(next) = operations.try_recv()
            {
                size += next.size();
                group.push(next);
            }
            self.commit(group);
            self.sweep();
        }
    }

    /// Whether another process has written, for those who wait.
    fn look(&mut self) {
        if !self.spaces.are_awaited() {
            return;
        }
        if let Ok(version) = data_version(&self.opened.conn)
            && self.version.replace(version).is_some_and(|seen| seen != version)
        {
            self.cache.clear();
            self.examined = false;
            self.spaces.raise_all();
        }
    }

    /// Does a group and answers it.
    fn commit(&mut self, mut group: Vec<Operation>) {
        let done = self.reopen_if_replaced().map_err(Lost::All).and_then(|()| self.attempt(&mut group));
        match done {
            Ok(failures) => {
                for (operation, failed) in group.into_iter().zip(failures) {
                    operation.answer(failed);
                }
            }
            Err(Lost::All(fault)) => {
                let error = fault.told(&self.options.path);
                for operation in group {
                    operation.answer(Some(error.clone()));
                }
            }
            // One of them needs more room than there is, or the like: the others shall not suffer for it.
            Err(Lost::Group) => {
                for operation in group {
                    self.commit(vec![operation]);
                }
            }
        }
    }

    /// One transaction. Gives for each operation why it failed, if it did.
    fn attempt(&mut self, group: &mut [Operation]) -> Result<Vec<Option<StoreError>>, Lost> {
        let Self { options, spaces, hook, opened: Opened { conn, place }, cache, version, examined } = self;
        let location = options.path.display().to_string();
        let transaction = Transaction::begin(conn, &location).map_err(Lost::All)?;
        let foreign = catch_up(conn, &location, cache, version, examined).map_err(Lost::All)?;
        let alone = group.len() == 1;
        let (mut failures, mut marks) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for operation in group.iter_mut() {
            match single(conn, cache, operation, alone) {
                Ok(more) => {
                    marks.push(more);
                    failures.push(None);
                }
                Err(fault) => {
                    if alone {
                        cache.forget();
                        return Err(Lost::All(fault));
                    }
                    cache.forget_operation();
                    // Of some errors SQLite rolls back everything.
                    if conn.is_autocommit() || roll_back(conn).is_err() {
                        cache.forget();
                        return Err(Lost::Group);
                    }
                    marks.push(Marks::default());
                    failures.push(Some(fault.told(&options.path)));
                }
            }
        }
        let written = cache.write_source(conn);
        hook.act();
        let committed = written.and_then(|()| transaction.commit()).and_then(|()| place.check());
        if let Err(fault) = committed {
            cache.forget();
            return Err(if alone { Lost::All(fault) } else { Lost::Group });
        }
        for (operation, more) in group.iter().zip(marks) {
            operation.space().raise(more);
        }
        if foreign {
            spaces.raise_all();
        }
        Ok(failures)
    }

    /// A file that was put in the place of the one that was open, from a backup say, is opened instead.
    fn reopen_if_replaced(&mut self) -> Done<()> {
        if self.opened.place.is_replaced() {
            self.opened = open_writer(&self.options)?;
            self.cache.forget();
            self.version = None;
            self.examined = false;
            let path = self.options.path.display();
            notice::warn(
                "sqlite-replaced",
                format!("the store's file {path} was replaced; the new one is used"),
            );
        }
        Ok(())
    }

    /// Deletes some of what was dropped in one piece: a query's staged items, or what waited of a cancelled run.
    fn sweep(&mut self) {
        if !self.cache.is_dirty() {
            return;
        }
        let Self { options, spaces, opened: Opened { conn, .. }, cache, version, examined, .. } = self;
        let location = options.path.display().to_string();
        let swept = Transaction::begin(conn, &location).and_then(|transaction| {
            if catch_up(conn, &location, cache, version, examined)? {
                spaces.raise_all();
            }
            let left = crate::dropped::sweep(conn, &mut cache.bodies, SWEEP)?;
            transaction.commit()?;
            Ok(left)
        });
        match swept {
            Ok(left) => self.cache.set_dirty(left),
            // It is tried again after the next group.
            Err(fault) => {
                self.cache.forget();
                let text = format!("what was dropped from the store could not be deleted yet: {fault}");
                notice::warn("sqlite-sweep", text);
            }
        }
    }
}

/// One operation, in a savepoint unless the transaction is its own.
fn single(conn: &Connection, cache: &mut Cache, operation: &mut Operation, alone: bool) -> Done<Marks> {
    if !alone {
        conn.prepare_cached("SAVEPOINT operation")?.execute([])?;
    }
    let space = operation.space().clone();
    let mut step = Step::new(conn, cache, &space.name, operation.now())?;
    operation.run(&mut step)?;
    step.finish()?;
    let marks = step.marks;
    if !alone {
        conn.prepare_cached("RELEASE operation")?.execute([])?;
    }
    Ok(marks)
}

/// Forgets what another connection may have changed, and says whether one has written. It may have brought the file to
/// a schema that this version does not know: then nothing is written any more.
fn catch_up(
    conn: &Connection,
    location: &str,
    cache: &mut Cache,
    version: &mut Option<i64>,
    examined: &mut bool,
) -> Done<bool> {
    let seen = data_version(conn)?;
    let foreign = version.replace(seen) != Some(seen);
    if foreign {
        cache.clear();
        *examined = false;
    }
    if !*examined {
        schema::keep_up(conn, location)?;
        *examined = true;
    }
    Ok(foreign)
}

fn roll_back(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch("ROLLBACK TO operation; RELEASE operation")
}

fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
