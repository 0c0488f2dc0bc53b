//! One operation in its transaction: it loads facts, the ledger decides, and all that follows is written in one call.

use std::collections::{BTreeMap, HashMap};

use jobs_core::{Marks, Millis, RunId, ledger};
use sqlx::{
    Postgres,
    postgres::{PgArguments, PgRow},
    query::Query,
};

use crate::{
    connection::{Lent, Lock},
    facts::Facts,
    fault::{Done, Fault},
    jobs::Jobs,
    pieces::Piece,
    runs::{OfRun, tally},
    writes::Writes,
};

/// A statement with its values.
macro_rules! sql {
    ($text:expr $(, $value:expr)* $(,)?) => { sqlx::query::<sqlx::Postgres>($text)$(.bind($value))* };
}
pub(crate) use sql;

pub(crate) type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// A transaction, what it has read, and what it is going to write. Nothing of it outlives the transaction.
pub(crate) struct Step {
    pub(crate) conn: Lent,
    /// What the transaction holds besides rows.
    pub(crate) lock: Lock,
    /// The namespace.
    pub(crate) ns: i32,
    /// The store's time.
    pub(crate) now: Millis,
    /// Whether statements stay prepared in the session.
    pub(crate) prepared: bool,
    /// What those who wait are told when it is committed.
    pub(crate) marks: Marks,
    pub(crate) writes: Writes,
    /// Runs that are held.
    pub(crate) runs: BTreeMap<RunId, OfRun>,
    /// What is counted of runs.
    pub(crate) tallies: BTreeMap<RunId, ledger::Tally>,
    /// Payloads that were read, by the numbers of their bodies.
    pub(crate) payloads: HashMap<i64, Vec<u8>>,
    /// Failed attempts that were read, as JSON, by the run and the number of the item.
    pub(crate) failures: HashMap<(i64, i64), Vec<String>>,
    /// Whether something was dropped in one piece, and is still to be deleted.
    pub(crate) dropped: bool,
    /// Whether rows of counts were deleted when they were read, and are still to be written.
    taken_out: bool,
}

const WRITE: &str = "SELECT * FROM write_2($1, $2, $3::jsonb, $4)";

impl Step {
    pub(crate) fn new(conn: Lent, lock: Lock, ns: i32, now: Millis, prepared: bool) -> Self {
        Self {
            conn,
            lock,
            ns,
            now,
            prepared,
            marks: Marks::default(),
            writes: Writes::default(),
            runs: BTreeMap::new(),
            tallies: BTreeMap::new(),
            payloads: HashMap::new(),
            failures: HashMap::new(),
            dropped: false,
            taken_out: false,
        }
    }

    /// Runs a statement, and returns its rows.
    pub(crate) async fn rows(&mut self, statement: Statement<'_>) -> Done<Vec<PgRow>> {
        let prepared = self.prepared;
        Ok(statement.persistent(prepared).fetch_all(self.conn.get()?).await?)
    }

    /// Loads facts; runs, payloads and failures among them are kept here.
    pub(crate) async fn load(&mut self, statement: Statement<'_>) -> Done<Facts> {
        let mut facts = Facts::of(&self.rows(statement).await?)?;
        let (runs, unread) = OfRun::all(&mut facts);
        self.taken_out |= !unread.is_empty() || runs.iter().any(|of| of.changed);
        self.runs.extend(runs.into_iter().map(|of| (of.run.id, of)));
        self.writes.tallies.extend(unread);
        for fact in facts.take("body") {
            if let (Some(id), Some(items)) = (fact.read(), fact.items) {
                self.payloads.insert(id, items);
            }
        }
        for row in facts.read::<FailureRow>("failure") {
            self.failures.entry((row.number, row.item)).or_default().push(row.failure);
        }
        Ok(facts)
    }

    /// What is to be written, in the form in which it is sent; `None` if nothing is.
    pub(crate) fn sent(&mut self) -> Done<Option<(String, Vec<Vec<u8>>)>> {
        self.taken_out = false;
        for (id, counted) in std::mem::take(&mut self.tallies) {
            match self.runs.get_mut(&id) {
                Some(of) => {
                    of.run.add(counted);
                    of.changed = true;
                }
                None if counted.is_empty() => {}
                None => self.writes.tallies.push(tally(id, &counted)?),
            }
        }
        for of in self.runs.values().filter(|of| of.changed) {
            self.marks.runs += u64::from(of.write(&mut self.writes)?);
        }
        std::mem::take(&mut self.writes).sent()
    }

    /// Writes all that was decided. Returns the runs that have ended by it.
    pub(crate) async fn write(&mut self) -> Done<Vec<RunId>> {
        let known = self.over();
        let Some((text, blobs)) = self.sent()? else { return Ok(known) };
        let mut facts = self.load(sql!(WRITE, self.ns, self.now.0, text, blobs)).await?;
        Ok(self.ended(&mut facts, known))
    }

    /// Writes the counts whose rows were deleted when they were read, if the operation has written nothing.
    pub(crate) async fn restore_tallies(&mut self) -> Done<()> {
        if self.taken_out {
            self.write().await?;
        }
        Ok(())
    }

    /// Runs that are held and have ended.
    pub(crate) fn over(&self) -> Vec<RunId> {
        let mut over = Vec::new();
        for (id, of) in &self.runs {
            let counts = self.tallies.get(id);
            let mut run = of.run.clone();
            counts.cloned().into_iter().for_each(|tally| run.add(tally));
            if run.has_ended() {
                over.push(*id);
            }
        }
        over
    }

    /// Those and the runs that have ended by what was written.
    pub(crate) fn ended(&mut self, facts: &mut Facts, known: Vec<RunId>) -> Vec<RunId> {
        let mut ended = known;
        self.marks.runs += facts.take("trailing").len() as u64;
        for id in facts.read::<u64>("over") {
            self.marks.runs += 1;
            ended.push(RunId::new(id));
        }
        ended.sort_unstable();
        ended.dedup();
        ended
    }

    /// Stores items: ready, or waiting for their time.
    pub(crate) fn store(&mut self, job: i64, piece: &Piece) -> Done<()> {
        self.marks.work += 1;
        if piece.header.due > self.now {
            self.writes.delayed(job, piece)
        } else {
            self.writes.ready(job, piece)
        }
    }

    /// Drops what a store has put somewhere in one piece; it is deleted little by little.
    pub(crate) fn drop_line(&mut self, line: i64) {
        self.writes.dropped.push(line);
        self.dropped = true;
    }

    /// Stores a ready chunk as it is.
    pub(crate) async fn plant(&mut self, chunk: &jobs_core::Chunk) -> Done<()> {
        let names = vec![chunk.header.job.to_string()];
        let load = sql!("SELECT * FROM jobs_2($1, $2, $2, NULL, false, $3)", self.ns, names, self.now.0);
        let mut jobs = Jobs::of(&mut self.load(load).await?);
        let job = jobs.make(&chunk.header.job)?.id;
        jobs.write(&mut self.writes)?;
        for piece in self.pieces(&chunk.header, &[&chunk.body])? {
            self.store(job, &piece)?;
        }
        self.write().await?;
        Ok(())
    }

    /// A run that is held.
    pub(crate) fn run(&mut self, id: RunId) -> Option<&mut OfRun> {
        self.runs.get_mut(&id)
    }

    /// The number of a namespace; one that nobody has used yet gets one.
    pub(crate) async fn namespace_id(&mut self, name: &str) -> Done<i32> {
        use sqlx::Row;
        let find = "SELECT id FROM namespace WHERE name = $1";
        if let Some(row) = self.rows(sql!(find, name)).await?.pop() {
            return Ok(row.try_get(0)?);
        }
        self.rows(sql!("INSERT INTO namespace (name) VALUES ($1) ON CONFLICT DO NOTHING", name)).await?;
        let row = self.rows(sql!(find, name)).await?.pop();
        Ok(row.ok_or(Fault::Missing("a namespace that was just made"))?.try_get(0)?)
    }
}

#[derive(serde::Deserialize)]
struct FailureRow {
    number: i64,
    item: i64,
    failure: String,
}

/// A limit as Postgres takes it.
pub(crate) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
