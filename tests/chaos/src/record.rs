//! What a process under test notes outside the store: one file per process, one line of fixed length per fact.
//!
//! Each fact is one `write`, so that a killed process leaves whole ones, and all that it saw.

use std::{
    fs::{File, OpenOptions},
    io::{Result, Write},
    path::{Path, PathBuf},
};

use rustix::time::{ClockId, clock_gettime};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A handler began with an item.
    Begin = 1,
    /// It came to its end.
    End = 2,
    /// The store has acknowledged that items are done.
    Settled = 3,
    /// The store has said that the lease of items is lost.
    Lost = 4,
    /// A query was called, or its next page.
    Query = 5,
}

/// One fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub kind: Kind,
    /// Which job.
    pub job: u8,
    /// The process.
    pub pid: u32,
    /// When, in nanoseconds of the kernel's monotonic clock, which all processes of a host share.
    pub at: u64,
    /// The run.
    pub run: u64,
    /// The item, by its place in the run; the first of them, of a range.
    pub item: u64,
    /// The item's payload, the tick in milliseconds since 1970, or the end of the range.
    pub value: u64,
    /// The fencing token of the attempt that begins.
    pub token: u64,
}

const LENGTH: usize = 48;

impl Record {
    fn to_bytes(self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0] = self.kind as u8;
        bytes[1] = self.job;
        bytes[4..8].copy_from_slice(&self.pid.to_le_bytes());
        for (index, number) in [self.at, self.run, self.item, self.value, self.token].into_iter().enumerate()
        {
            bytes[8 + index * 8..16 + index * 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        let kind = match bytes.first()? {
            1 => Kind::Begin,
            2 => Kind::End,
            3 => Kind::Settled,
            4 => Kind::Lost,
            5 => Kind::Query,
            _ => return None,
        };
        Some(Self {
            kind,
            job: *bytes.get(1)?,
            pid: u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?),
            at: number(8)?,
            run: number(16)?,
            item: number(24)?,
            value: number(32)?,
            token: number(40)?,
        })
    }
}

/// The kernel's monotonic clock, in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Where this process notes what it sees.
#[derive(Debug)]
pub struct Log {
    file: File,
    pid: u32,
}

impl Log {
    /// A file of this process, in the directory of all.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(directory: &Path) -> Result<Self> {
        let pid = std::process::id();
        // A process id may come again.
        let path = directory.join(format!("{}-{pid}.log", now()));
        Ok(Self { file: OpenOptions::new().create_new(true).append(true).open(path)?, pid })
    }

    /// Notes a fact.
    ///
    /// # Panics
    /// If it cannot be written: without its log a process proves nothing.
    pub fn note(&self, kind: Kind, job: u8, run: u64, item: u64, value: u64) {
        self.note_with(kind, job, (run, item), value, 0);
    }

    /// Notes a fact, with the fencing token of the attempt.
    ///
    /// # Panics
    /// As [`note`](Self::note).
    #[expect(clippy::expect_used, reason = "without its log a process proves nothing")]
    pub fn note_with(&self, kind: Kind, job: u8, (run, item): (u64, u64), value: u64, token: u64) {
        let record = Record { kind, job, pid: self.pid, at: now(), run, item, value, token };
        (&self.file).write_all(&record.to_bytes()).expect("the log can be written");
    }
}

/// The logs of all processes, in the order of their starts; the facts of each in the order in which they happened.
///
/// # Errors
/// If one cannot be read.
pub fn read(directory: &Path) -> Result<Vec<Vec<Record>>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    let begun =
        |path: &PathBuf| -> Option<u64> { path.file_stem()?.to_str()?.split('-').next()?.parse().ok() };
    paths.sort_by_key(begun);
    let mut logs = Vec::new();
    for path in paths {
        logs.push(std::fs::read(path)?.chunks_exact(LENGTH).filter_map(Record::from_bytes).collect());
    }
    Ok(logs)
}

/// How many facts a process has noted so far.
///
/// # Errors
/// If its log cannot be read.
pub fn length(directory: &Path, pid: u32) -> Result<u64> {
    let ending = format!("-{pid}.log");
    let mut newest = None;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(begun) = name.strip_suffix(&ending).and_then(|begun| begun.parse::<u64>().ok())
            && newest.as_ref().is_none_or(|(other, _)| *other < begun)
        {
            newest = Some((begun, entry.metadata()?.len()));
        }
    }
    Ok(newest.map_or(0, |(_, length)| length / LENGTH as u64))
}
