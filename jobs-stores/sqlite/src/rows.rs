//! Rows as they are remembered: what the ledger knows of them, and where they are kept.

use std::{fmt::Display, sync::Arc, time::Duration};

use jobs_core::{
    Counts, Link, Millis, RunId, SessionId, Token,
    ledger::{Cursor, Lane, Run, Session},
    notice,
};
use rusqlite::{Row, types::ValueRef};
use serde::de::DeserializeOwned;

/// Reads what is stored as JSON. What this version cannot read is reported, and left alone by whoever asked.
pub(crate) fn parsed<T: DeserializeOwned>(what: impl Display, text: &str) -> Option<T> {
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let text = format!("{what} in the store's file cannot be read, and is left alone: {error}");
            notice::warn("sqlite-unreadable", text);
            None
        }
    }
}

/// A column of text, whatever somebody has put there.
pub(crate) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    })
}

/// The number of a run.
pub(crate) fn run_id(row: &Row<'_>) -> rusqlite::Result<RunId> {
    row.get(0).map(|id: i64| RunId::new(id.cast_unsigned()))
}

/// The same, as SQLite keeps it.
pub(crate) fn run_key(run: RunId) -> i64 {
    run.number().cast_signed()
}

/// A limit, as SQLite takes it.
pub(crate) fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

#[derive(Debug)]
pub(crate) struct JobRow {
    pub(crate) name: Arc<str>,
    /// How it was linked last.
    pub(crate) link: Link,
    /// Whether anybody ever linked it with a limit over all sessions.
    pub(crate) limited: bool,
    pub(crate) schedule: Option<Cursor>,
    /// Whether there is a schedule that this version cannot read.
    pub(crate) unreadable: bool,
    /// When the first chunk is due that waits for its time.
    pub(crate) next_due: Option<Millis>,
    /// How many verdict records there are.
    pub(crate) ticks: i64,
    /// How many finished runs there are.
    pub(crate) finished: i64,
    /// Whether the link is to be written.
    pub(crate) relinked: bool,
    /// Whether the schedule is to be written.
    pub(crate) moved: bool,
}

impl JobRow {
    pub(crate) const COLUMNS: &str = "name, link, limited, schedule, next_due, ticks, finished";

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let name: Arc<str> = text(row, 0)?.into();
        let link = parsed(format_args!("how the job {name} is linked"), &text(row, 1)?);
        let written = !matches!(row.get_ref(3)?, ValueRef::Null);
        let schedule = match written {
            true => parsed(format_args!("the schedule of the job {name}"), &text(row, 3)?),
            false => None,
        };
        Ok(Self {
            link: link.unwrap_or_else(|| Link::new(name.clone())),
            name,
            limited: row.get(2)?,
            unreadable: written && schedule.is_none(),
            schedule,
            next_due: row.get::<_, Option<i64>>(4)?.map(Millis),
            ticks: row.get(5)?,
            finished: row.get(6)?,
            relinked: false,
            moved: false,
        })
    }
}

#[derive(Debug)]
pub(crate) struct RunRow {
    pub(crate) job: i64,
    pub(crate) run: Run,
    /// Grows with each run that is completed.
    pub(crate) finished: Option<i64>,
    /// What the indexes say.
    pub(crate) busy: bool,
    pub(crate) ended: bool,
    /// Whether more than the counts is to be written.
    pub(crate) changed: bool,
}

impl RunRow {
    pub(crate) const COLUMNS: &str = "id, job, total, ok, retries, dead, discarded, expired, cancelled, fresh, filled, \
                                      busy, ended, finished, cursor, record";

    /// A run; `None` if this version cannot read it.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Option<Self>> {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let id = RunId::new(number(0)?);
        let Some(record) = parsed(format_args!("the record of the run {id}"), &text(row, 15)?) else {
            return Ok(None);
        };
        let counts = Counts {
            total: number(2)?,
            ok: number(3)?,
            retries: number(4)?,
            dead: number(5)?,
            discarded: number(6)?,
            expired: number(7)?,
            cancelled: number(8)?,
        };
        let filled = row.get::<_, Option<i64>>(10)?.map(|token| Token(token.cast_unsigned()));
        let run = Run { id, counts, fresh: number(9)?, filled, cursor: row.get(14)?, record };
        Ok(Some(Self {
            job: row.get(1)?,
            run,
            finished: row.get(13)?,
            busy: row.get(11)?,
            ended: row.get(12)?,
            changed: false,
        }))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    /// Its number in the file.
    pub(crate) row: i64,
    pub(crate) state: Session,
}

impl SessionRow {
    pub(crate) const COLUMNS: &str = "id, session, lease, until, connected_at, node, past";

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state = Session {
            id: SessionId(row.get::<_, i64>(1)?.cast_unsigned()),
            lease: Duration::from_millis(row.get::<_, i64>(2)?.cast_unsigned()),
            until: Millis(row.get(3)?),
            connected_at: Millis(row.get(4)?),
            node: parsed("the node of a session", &text(row, 5)?).unwrap_or_default(),
            past: parsed("what a session found when it opened", &text(row, 6)?).unwrap_or_default(),
        };
        Ok(Self { row: row.get(0)?, state })
    }
}

/// The last call of a lane.
#[derive(Clone, Debug)]
pub(crate) struct LaneRow {
    pub(crate) n: u64,
    pub(crate) answer: Lane,
}
