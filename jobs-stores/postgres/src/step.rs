//! One operation in its transaction.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jobs_core::{Cell, Marks, Millis, RunId, Token};
use sqlx::{
    Decode, Postgres, Row, Type,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::{
    chunks::New,
    connection::Lent,
    fault::{Done, Fault},
    jobs::Job,
    runs::Run,
    tallies::Tally,
};

/// A statement with its values.
macro_rules! sql {
    ($text:expr $(, $value:expr)* $(,)?) => { sqlx::query::<sqlx::Postgres>($text)$(.bind($value))* };
}
pub(crate) use sql;

pub(crate) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A transaction, and what it has read and is still to write. Nothing of it outlives the transaction.
pub(crate) struct Step {
    pub(crate) conn: Lent,
    /// The namespace.
    pub(crate) ns: i32,
    /// The store's time.
    pub(crate) now: Millis,
    /// Whether statements stay prepared in the session.
    pub(crate) prepared: bool,
    /// What those who wait are told when it is committed.
    pub(crate) marks: Marks,
    pub(crate) pauses: Option<Arc<Vec<(String, Cell)>>>,
    pub(crate) jobs: BTreeMap<i64, Job>,
    pub(crate) job_ids: HashMap<Arc<str>, i64>,
    /// Names that no job has.
    pub(crate) no_jobs: HashSet<Arc<str>>,
    /// What jobs are called now, by their former names; none while nobody has asked.
    pub(crate) renamed: Option<HashMap<String, Arc<str>>>,
    /// The jobs that were changed.
    pub(crate) dirty_jobs: BTreeSet<i64>,
    /// Runs that are locked, and the changed ones still to be written.
    pub(crate) runs: BTreeMap<RunId, Run>,
    /// What is still to be counted.
    pub(crate) tallies: BTreeMap<RunId, Tally>,
    /// What is still to be stored: ready, or waiting for its time.
    pub(crate) new: Vec<New>,
    /// Whether there are effects that were committed with their items; none while nobody has looked.
    pub(crate) recorded: Option<bool>,
    /// Whether something was stored that waits for its time.
    pub(crate) delayed: bool,
    /// How many items of which bodies have ended.
    pub(crate) ended: BTreeMap<i64, i32>,
    /// Whether something was dropped in one piece, and is still to be deleted.
    pub(crate) dropped: bool,
}

impl Step {
    pub(crate) fn new(conn: Lent, ns: i32, now: Millis, prepared: bool) -> Self {
        Self {
            conn,
            ns,
            now,
            prepared,
            marks: Marks::default(),
            delayed: false,
            recorded: None,
            pauses: None,
            jobs: BTreeMap::new(),
            job_ids: HashMap::new(),
            no_jobs: HashSet::new(),
            renamed: None,
            dirty_jobs: BTreeSet::new(),
            runs: BTreeMap::new(),
            tallies: BTreeMap::new(),
            new: Vec::new(),
            ended: BTreeMap::new(),
            dropped: false,
        }
    }

    /// Writes what is still to be written.
    pub(crate) async fn finish(&mut self) -> Done<()> {
        self.flush().await?;
        self.write_tallies().await?;
        self.write_runs().await?;
        self.write_jobs().await
    }

    /// Stores what is to be stored, so that it can be found.
    pub(crate) async fn flush(&mut self) -> Done<()> {
        self.write_new().await?;
        self.write_ended().await
    }

    /// The next number of the source.
    pub(crate) async fn number(&mut self) -> Done<Token> {
        let number: i64 = self.value(sql!("SELECT number_1($1)", self.now.0)).await?;
        Ok(Token(number.cast_unsigned()))
    }

    /// The number of a namespace; one that nobody has used yet gets one.
    pub(crate) async fn namespace_id(&mut self, name: &str) -> Done<i32> {
        let find = "SELECT id FROM namespace WHERE name = $1";
        if let Some(row) = self.one(sql!(find, name)).await? {
            return Ok(row.try_get(0)?);
        }
        self.execute(sql!("INSERT INTO namespace (name) VALUES ($1) ON CONFLICT DO NOTHING", name)).await?;
        self.value(sql!(find, name)).await
    }

    /// Runs a statement, and says how many rows it has changed.
    pub(crate) async fn execute(&mut self, statement: Statement<'_>) -> Done<u64> {
        let prepared = self.prepared;
        let done = statement.persistent(prepared).execute(self.conn.get()?).await?;
        Ok(done.rows_affected())
    }

    /// The first row.
    pub(crate) async fn one(&mut self, statement: Statement<'_>) -> Done<Option<PgRow>> {
        let prepared = self.prepared;
        Ok(statement.persistent(prepared).fetch_optional(self.conn.get()?).await?)
    }

    /// All rows.
    pub(crate) async fn all(&mut self, statement: Statement<'_>) -> Done<Vec<PgRow>> {
        let prepared = self.prepared;
        Ok(statement.persistent(prepared).fetch_all(self.conn.get()?).await?)
    }

    /// The first column of the first row.
    pub(crate) async fn value<T>(&mut self, statement: Statement<'_>) -> Done<T>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        let row = self.one(statement).await?.ok_or(Fault::Missing("a row that is always there"))?;
        Ok(row.try_get(0)?)
    }

    /// The first column of all rows.
    pub(crate) async fn values<T>(&mut self, statement: Statement<'_>) -> Done<Vec<T>>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        self.all(statement).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Whether there is a row.
    pub(crate) async fn is_any(&mut self, statement: Statement<'_>) -> Done<bool> {
        Ok(self.one(statement).await?.is_some())
    }
}

/// A number of the source, or one that was cast for Postgres, which has no unsigned ones.
pub(crate) fn unsigned(row: &PgRow, column: &str) -> Done<u64> {
    Ok(row.try_get::<i64, _>(column)?.cast_unsigned())
}

/// A count of items.
pub(crate) fn count(row: &PgRow, column: &str) -> Done<u32> {
    Ok(row.try_get::<i32, _>(column)?.cast_unsigned())
}

/// A limit as Postgres takes it.
pub(crate) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
