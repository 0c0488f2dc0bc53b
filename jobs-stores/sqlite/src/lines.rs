//! Lines: queues of chunks of which all may be leased to the same sessions, so that the first of each speaks for it,
//! and looking for work looks at lines only.
//!
//! Every run has a line of its own for what its query found. While that is staged the line is hidden, and the last
//! append shows it: one row changes, whatever stands in the line.

use jobs_core::{FORMAT, Header, RunId, Stage};
use rusqlite::Row;

use crate::{fault::Done, step::Step};

/// Why chunks stand in different lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub(crate) fn of(header: &Header) -> Self {
        match header {
            Header { format, .. } if *format > FORMAT => Self::Newer,
            Header { undecodable: Some(_), .. } => Self::Aside,
            Header { suspect: true, .. } => Self::Suspect,
            Header { stage: Stage::Work, .. } => Self::Work,
            _ => Self::Control,
        }
    }
}

/// A line as it is found in the order of all.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) kind: i64,
    pub(crate) builds: String,
    pub(crate) rank: i64,
    pub(crate) number: i64,
    pub(crate) turn: i64,
}

const FIRST: &str = "SELECT id, job, kind, builds, rank, number, turn FROM line
                     WHERE ns = ?1 AND rank IS NOT NULL ORDER BY rank, turn, job, number, id LIMIT 1";
const NEXT: &str = "SELECT id, job, kind, builds, rank, number, turn FROM line
                    WHERE ns = ?1 AND rank IS NOT NULL AND (rank, turn, job, number, id) > (?2, ?3, ?4, ?5, ?6)
                    ORDER BY rank, turn, job, number, id LIMIT 1";
const OF_JOB: &str = "SELECT id, job, kind, builds, rank, number, turn FROM line
                      WHERE job = ?1 AND rank IS NOT NULL ORDER BY kind, rank, number";

impl Line {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            job: row.get(1)?,
            kind: row.get(2)?,
            builds: row.get(3)?,
            rank: row.get(4)?,
            number: row.get(5)?,
            turn: row.get(6)?,
        })
    }

    pub(crate) fn is(&self, kind: Kind) -> bool {
        self.kind == kind as i64
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

impl Step<'_> {
    /// The first line of all, or the one after that.
    pub(crate) fn next_line(&self, after: Option<&Line>) -> Done<Option<Line>> {
        match after {
            None => self.one(FIRST, [self.ns], Line::read),
            Some(Line { rank, turn, job, number, id, .. }) => {
                self.one(NEXT, (self.ns, rank, turn, job, number, id), Line::read)
            }
        }
    }

    /// The lines of a job from which something may be leased, by kind.
    pub(crate) fn lines_of(&self, job: i64) -> Done<Vec<Line>> {
        self.all(OF_JOB, [job], Line::read)
    }

    /// How many items of a job are ready.
    pub(crate) fn ready(&self, job: i64) -> Done<u64> {
        let sql = "SELECT coalesce(sum(items), 0) FROM line WHERE job = ?1 AND rank IS NOT NULL";
        Ok(self.one(sql, [job], |row| row.get::<_, i64>(0))?.unwrap_or(0).cast_unsigned())
    }

    /// The line that a chunk belongs in; one that is not there is made, and stands nowhere yet.
    pub(crate) fn line_for(&mut self, job: i64, header: &Header) -> Done<i64> {
        let kind = Kind::of(header);
        let run = if kind == Kind::Work && !header.tracked { header.number.cast_signed() } else { 0 };
        let builds = match &header.undecodable {
            Some(failed) if kind == Kind::Aside => serde_json::to_string(&failed.builds)?,
            _ => String::new(),
        };
        match self.find_line(job, kind, run, &builds)? {
            Some(id) => Ok(id),
            None => self.new_line(job, kind, run, &builds),
        }
    }

    fn find_line(&self, job: i64, kind: Kind, run: i64, builds: &str) -> Done<Option<i64>> {
        let sql = "SELECT id FROM line WHERE job = ?1 AND kind = ?2 AND run = ?3 AND builds = ?4";
        self.one(sql, (job, kind as i64, run, builds), |row| row.get(0))
    }

    /// A line in which nothing stands.
    pub(crate) fn new_line(&mut self, job: i64, kind: Kind, run: i64, builds: &str) -> Done<i64> {
        let id = self.id()?;
        let sql = "INSERT INTO line VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, NULL, 0, 0)";
        self.execute(sql, (id, self.ns, job, kind as i64, run, builds))?;
        Ok(id)
    }

    /// The line of what a run's query found.
    pub(crate) fn line_of_run(&mut self, job: i64, run: RunId) -> Done<Option<i64>> {
        self.find_line(job, Kind::Work, run.number().cast_signed(), "")
    }

    /// More items stand in a line: at its head, if they come before all others.
    pub(crate) fn joined(&mut self, line: i64, job: i64, at: (i64, i64), items: u32) -> Done<()> {
        let sql = "UPDATE line SET items = items + ?2 WHERE id = ?1 RETURNING rank, number";
        let head = self.one(sql, (line, items), |row| {
            Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
        match head {
            Some((Some(rank), Some(number))) if (rank, number) <= at => Ok(()),
            _ => self.head(line, job, at),
        }
    }

    /// Puts the head of a line where its first chunk stands.
    pub(crate) fn head(&mut self, line: i64, job: i64, (rank, number): (i64, i64)) -> Done<()> {
        // The lines of a job that tie have one turn, so that among them the older run comes first.
        let sql = "SELECT turn FROM line WHERE job = ?1 AND rank = ?2 LIMIT 1";
        let turn = match self.one(sql, (job, rank), |row| row.get(0))? {
            Some(turn) => turn,
            None => self.id()?,
        };
        let sql = "UPDATE line SET rank = ?2, number = ?3, turn = ?4 WHERE id = ?1";
        self.execute(sql, (line, rank, number, turn))?;
        Ok(())
    }

    /// Items were taken from the front of a line. `exhausted`: the whole of its first chunk.
    pub(crate) fn taken(&mut self, line: &Line, items: u32, exhausted: bool) -> Done<()> {
        self.execute("UPDATE line SET items = items - ?2 WHERE id = ?1", (line.id, items))?;
        if exhausted {
            self.restand(line.id, line.job, Some((line.rank, line.number)))?;
        }
        // Only of jobs that tie does it matter who was served last.
        let tie = "SELECT 1 FROM line WHERE ns = ?1 AND rank = ?2 AND job <> ?3";
        if self.is_any(tie, (self.ns, line.rank, line.job))? {
            let turn = self.id()?;
            self.execute(
                "UPDATE line SET turn = ?3 WHERE job = ?1 AND rank = ?2",
                (line.job, line.rank, turn),
            )?;
        }
        Ok(())
    }

    /// Puts a line where its first chunk stands now; one that is empty is no more.
    pub(crate) fn restand(&mut self, line: i64, job: i64, stood: Option<(i64, i64)>) -> Done<()> {
        let sql = "SELECT rank, number FROM chunk WHERE line = ?1 AND line > 0 ORDER BY rank, number, place LIMIT 1";
        match self.one(sql, [line], |row| Ok((row.get(0)?, row.get(1)?)))? {
            Some(place) if stood == Some(place) => Ok(()),
            Some(place) => self.head(line, job, place),
            None => {
                self.execute("DELETE FROM line WHERE id = ?1", [line])?;
                Ok(())
            }
        }
    }

    /// Counts a line's items anew, and puts it where its first chunk stands.
    pub(crate) fn recount(&mut self, line: i64, job: i64) -> Done<()> {
        let sql =
            "UPDATE line SET items = (SELECT coalesce(sum(count), 0) FROM chunk WHERE line = ?1 AND line > 0)
                   WHERE id = ?1";
        self.execute(sql, [line])?;
        self.restand(line, job, None)
    }

    /// Shows what a query found: it is leased from now on.
    pub(crate) fn publish(
        &mut self,
        line: i64,
        job: i64,
        run: RunId,
        at: (i64, i64),
        items: u64,
    ) -> Done<()> {
        self.marks.work += 1;
        match self.line_of_run(job, run)? {
            None => {
                let sql = "UPDATE line SET kind = ?2, items = ?3 WHERE id = ?1";
                self.execute(sql, (line, Kind::Work as i64, items.cast_signed()))?;
                self.head(line, job, at)
            }
            // Some of it was published page by page before.
            Some(shown) => {
                self.execute("UPDATE chunk SET line = ?2 WHERE line = ?1 AND line > 0", (line, shown))?;
                self.execute("DELETE FROM line WHERE id = ?1", [line])?;
                self.recount(shown, job)
            }
        }
    }

    /// Drops all that stands in a line, in one small step; it is deleted little by little.
    pub(crate) fn drop_line(&mut self, line: i64) -> Done<()> {
        let sql =
            "UPDATE line SET kind = ?2, run = id, builds = '', rank = NULL, number = NULL WHERE id = ?1";
        self.execute(sql, (line, Kind::Dropped as i64))?;
        self.cache.set_dirty(true);
        Ok(())
    }
}
