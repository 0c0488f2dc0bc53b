//! How long the calls of a store take, noted outside of it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::{Result, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jobs_conformance::{
    Handle,
    call::{Call, Outcome, perform},
};
use jobs_core::{BoxFuture, Store, Wakeups};

use crate::record;

/// Where a process notes its longest calls: a line whenever one of its operation took longer than each before.
#[derive(Debug)]
pub struct Durations {
    noted: Mutex<Noted>,
}

#[derive(Debug)]
struct Noted {
    file: File,
    longest: BTreeMap<&'static str, Duration>,
}

impl Durations {
    /// A file of this process, in the directory of all.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(directory: &Path) -> Result<Self> {
        let path = directory.join(format!("{}-{}.calls", record::now(), std::process::id()));
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        Ok(Self { noted: Mutex::new(Noted { file, longest: BTreeMap::new() }) })
    }

    /// Notes a call.
    #[expect(clippy::expect_used, reason = "without its notes a process proves nothing")]
    fn note(&self, operation: &'static str, took: Duration) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = noted.longest.entry(operation).or_default();
        if took <= *longest {
            return;
        }
        *longest = took;
        let mut line = String::new();
        // Writing into a string does not fail.
        let _written = writeln!(line, "{operation} {}", took.as_millis());
        noted.file.write_all(line.as_bytes()).expect("durations can be written");
    }
}

/// The longest call of each operation over all processes, in milliseconds.
///
/// # Errors
/// If a file cannot be read.
pub fn read(directory: &Path) -> Result<BTreeMap<String, u64>> {
    let mut longest = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "calls") {
            continue;
        }
        for line in std::fs::read_to_string(path)?.lines() {
            let Some((operation, took)) = line.split_once(' ') else { continue };
            let known: &mut u64 = longest.entry(operation.to_owned()).or_default();
            *known = took.parse().unwrap_or(0).max(*known);
        }
    }
    Ok(longest)
}

/// A store whose calls are timed.
pub struct Timed {
    inner: Arc<dyn Store>,
    durations: Arc<Durations>,
}

impl Timed {
    /// Asks this store, and notes how long it takes to answer, or to refuse.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, durations: Arc<Durations>) -> Self {
        Self { inner, durations }
    }
}

impl Handle for Timed {
    fn handle(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let operation = call.operation();
            let began = Instant::now();
            let outcome = perform(&*self.inner, call).await;
            self.durations.note(operation, began.elapsed());
            outcome
        })
    }

    fn wakeups(&self) -> Wakeups {
        self.inner.wakeups()
    }

    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        self.inner.namespace(name)
    }
}
