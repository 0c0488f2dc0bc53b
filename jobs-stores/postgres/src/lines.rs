//! Lines: queues of chunks of which all may be leased to the same sessions, so that the first of each speaks for it,
//! and looking for work looks at lines only.
//!
//! Every run has a line of its own for what its query found. While that is staged the line is hidden, and the last
//! append shows it: one row changes, whatever stands in the line.
//!
//! A line says where its first chunk stands, or stood: it is changed only when a chunk comes that stands before all
//! others, or when the first has another place than the one before it. So many that lease from one run at once do not
//! meet in its line. Who adds to a line holds it (`FOR KEY SHARE`), so that nobody removes it as empty meanwhile.

use std::sync::Arc;

use jobs_core::{FORMAT, Header, Link, RunId, Stage};
use sqlx::{Row, postgres::PgRow};

use crate::{
    chunks::place,
    fault::Done,
    step::{Step, sql},
};

/// Why chunks stand in different lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Fill and finish items: they count against no limit of the job.
    Control = 0,
    /// Items of the job.
    Work = 1,
    /// Items that a dead node held: one at a time, one per session.
    Suspect = 2,
    /// Items that certain builds could not decode.
    Aside = 3,
    /// Chunks of a newer format: for nobody here.
    Newer = 4,
    /// What a query has found so far.
    Staged = 5,
    /// What is for nobody any more, and still to be deleted.
    Dropped = 6,
}

impl Kind {
    fn of(header: &Header) -> Self {
        match header {
            Header { format, .. } if *format > FORMAT => Self::Newer,
            Header { undecodable: Some(_), .. } => Self::Aside,
            Header { suspect: true, .. } => Self::Suspect,
            Header { stage: Stage::Work, .. } => Self::Work,
            _ => Self::Control,
        }
    }
}

/// What tells the lines of a job apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    kind: Kind,
    run: i64,
    builds: String,
}

impl Key {
    /// Of the line that a chunk belongs in.
    pub(crate) fn of(header: &Header) -> Done<Self> {
        let kind = Kind::of(header);
        let run = if kind == Kind::Work && !header.tracked { header.number.cast_signed() } else { 0 };
        let builds = match &header.undecodable {
            Some(failed) if kind == Kind::Aside => serde_json::to_string(&failed.builds)?,
            _ => String::new(),
        };
        Ok(Self { kind, run, builds })
    }
}

/// A line as it is found in the order of all, with what the session that looks says of its job.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) name: Arc<str>,
    pub(crate) link: Option<Arc<Link>>,
    pub(crate) kind: i16,
    builds: String,
    rank: i64,
    number: i64,
    turn: i64,
    /// Of its first chunk, if there is one.
    pub(crate) first: Option<First>,
}

/// What the first chunk of a line is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First {
    pub(crate) stage: Stage,
    pub(crate) tracked: bool,
    pub(crate) suspect: bool,
    pub(crate) number: i64,
}

/// So many lines are looked at in one statement.
const LOOK: i64 = 16;

const IN_ORDER: &str = "
    SELECT l.id, l.job, name, link.link, kind, builds, l.rank, l.number, turn, r.stage, r.tracked, r.suspect,
           r.number AS first
    FROM line AS l JOIN job ON job.id = l.job LEFT JOIN link ON link.session = $2 AND link.job = name
    LEFT JOIN LATERAL (SELECT stage, tracked, suspect, number FROM ready WHERE line = l.id
                       ORDER BY rank, number, start, id LIMIT 1) AS r ON true
    WHERE l.ns = $1 AND l.rank IS NOT NULL AND (l.rank, turn, l.job, l.number, l.id) > ($3, $4, $5, $6, $7)
    ORDER BY l.rank, turn, l.job, l.number, l.id LIMIT $8";
const OF_JOB: &str = "
    SELECT l.id, l.job, name, link.link, kind, builds, l.rank, l.number, turn, r.stage, r.tracked, r.suspect,
           r.number AS first
    FROM line AS l JOIN job ON job.id = l.job LEFT JOIN link ON link.session = $2 AND link.job = name
    JOIN LATERAL (SELECT stage, tracked, suspect, number FROM ready WHERE line = l.id
                  ORDER BY rank, number, start, id LIMIT 1) AS r ON true
    WHERE l.job = $1 AND l.rank IS NOT NULL ORDER BY kind, l.rank, l.number, l.id";
const PUBLISH: &str = "
    UPDATE line SET kind = $2, rank = $4, number = $5,
        turn = coalesce((SELECT turn FROM line WHERE job = $3 AND rank = $4 LIMIT 1), nextval('turn'))
    WHERE id = $1";
/// Into a line that is there already. Chunks are never updated, so they are inserted anew.
pub(crate) const MOVE_CHUNKS: &str = "
    WITH moved AS (DELETE FROM ready WHERE line = $1 RETURNING *)
    INSERT INTO ready (line, rank, number, start, count, format, stage, tracked, suspect, body, at, header)
    SELECT $2, rank, number, start, count, format, stage, tracked, suspect, body, at, header FROM moved";
const DROP: &str =
    "UPDATE line SET kind = $2, run = id, builds = '', rank = NULL, number = NULL WHERE id = $1";

impl Line {
    fn read(row: &PgRow) -> Done<Self> {
        let link: Option<&str> = row.try_get("link")?;
        let first = match row.try_get::<Option<i16>, _>("stage")? {
            Some(stage) => Some(First {
                stage: stage_of(stage),
                tracked: row.try_get("tracked")?,
                suspect: row.try_get("suspect")?,
                number: row.try_get("first")?,
            }),
            None => None,
        };
        Ok(Self {
            id: row.try_get("id")?,
            job: row.try_get("job")?,
            name: row.try_get::<&str, _>("name")?.into(),
            link: link.map(serde_json::from_str).transpose()?.map(Arc::new),
            kind: row.try_get("kind")?,
            builds: row.try_get("builds")?,
            rank: row.try_get("rank")?,
            number: row.try_get("number")?,
            turn: row.try_get("turn")?,
            first,
        })
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind as i16
    }

    /// Whether nothing of this line is for that build.
    pub(crate) fn excludes(&self, build: &str) -> Done<bool> {
        if self.is(Kind::Aside) {
            let builds: Vec<String> = serde_json::from_str(&self.builds)?;
            return Ok(builds.iter().any(|failed| failed == build));
        }
        Ok(self.is(Kind::Newer))
    }
}

fn stage_of(stage: i16) -> Stage {
    match stage {
        0 => Stage::Fill,
        2 => Stage::Finish,
        _ => Stage::Work,
    }
}

impl Step {
    /// The first lines of all, or those after that one, and whether there may be more.
    pub(crate) async fn next_lines(&mut self, session: i64, after: Option<&Line>) -> Done<(Vec<Line>, bool)> {
        let least = i64::MIN;
        let (rank, turn, job, number, id) =
            after.map_or((least, least, least, least, least), |l| (l.rank, l.turn, l.job, l.number, l.id));
        let rows = self.all(sql!(IN_ORDER, self.ns, session, rank, turn, job, number, id, LOOK)).await?;
        let lines: Vec<Line> = rows.iter().map(Line::read).collect::<Done<_>>()?;
        let more = i64::try_from(lines.len()).is_ok_and(|found| found == LOOK);
        Ok((lines, more))
    }

    /// The lines of a job from which something may be leased, by kind.
    pub(crate) async fn lines_of(&mut self, job: i64, session: i64) -> Done<Vec<Line>> {
        let rows = self.all(sql!(OF_JOB, job, session)).await?;
        rows.iter().map(Line::read).collect()
    }

    /// How many items of a job are ready. Beyond a hundred thousand chunks nobody asks how many more there are.
    pub(crate) async fn ready(&mut self, job: i64) -> Done<u64> {
        let sql = "SELECT coalesce(sum(count), 0)::bigint FROM (
                       SELECT count FROM line JOIN ready ON ready.line = line.id
                       WHERE job = $1 AND line.rank IS NOT NULL LIMIT 100000) AS r";
        Ok(self.value::<i64>(sql!(sql, job)).await?.cast_unsigned())
    }

    /// The line that a chunk belongs in; one that is not there is made.
    pub(crate) async fn line_for(&mut self, job: i64, header: &Header) -> Done<i64> {
        self.line(job, &Key::of(header)?, place(header)).await
    }

    /// The line with this key, which stands no later than that place.
    pub(crate) async fn line(&mut self, job: i64, key: &Key, (rank, number): (i64, i64)) -> Done<i64> {
        let Key { kind, run, builds } = key;
        let sql = "SELECT line_1($1, $2, $3, $4, $5, $6, $7)";
        self.value(sql!(sql, self.ns, job, *kind as i16, run, builds, rank, number)).await
    }

    /// A hidden line, for what the query of a run finds.
    pub(crate) async fn new_staged(&mut self, job: i64, run: RunId) -> Done<i64> {
        let sql =
            "INSERT INTO line (ns, job, kind, run, builds, turn) VALUES ($1, $2, $3, $4, '', 0) RETURNING id";
        self.value(sql!(sql, self.ns, job, Kind::Staged as i16, run.number().cast_signed())).await
    }

    /// The line of what a run's query found.
    pub(crate) async fn line_of_run(&mut self, job: i64, run: RunId) -> Done<Option<i64>> {
        let sql = "SELECT id FROM line WHERE job = $1 AND kind = 1 AND run = $2 AND builds = '' FOR UPDATE";
        let found = self.one(sql!(sql, job, run.number().cast_signed())).await?;
        found.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// Shows what a query found: it is leased from now on.
    pub(crate) async fn publish(&mut self, line: i64, job: i64, run: RunId, at: (i64, i64)) -> Done<()> {
        self.marks.work += 1;
        match self.line_of_run(job, run).await? {
            None => {
                self.execute(sql!(PUBLISH, line, Kind::Work as i16, job, at.0, at.1)).await?;
            }
            // Some of it was published page by page before.
            Some(shown) => {
                self.execute(sql!(MOVE_CHUNKS, line, shown)).await?;
                self.execute(sql!("DELETE FROM line WHERE id = $1", line)).await?;
                self.restand(shown).await?;
            }
        }
        Ok(())
    }

    /// Puts a line where its first chunk stands now; one that is empty is no more.
    pub(crate) async fn restand(&mut self, line: i64) -> Done<()> {
        self.execute(sql!("SELECT restand_1($1)", line)).await?;
        Ok(())
    }

    /// Drops all that stands in a line, in one small step; it is deleted little by little.
    pub(crate) async fn drop_line(&mut self, line: i64) -> Done<()> {
        self.execute(sql!(DROP, line, Kind::Dropped as i16)).await?;
        self.dropped = true;
        Ok(())
    }
}
