//! Leasing: which ready items a session gets.

use jobs_core::{Lease, Link, Room, RunId, Stage, Token, Want};
use sqlx::Row;

use crate::{
    chunks::newest,
    fault::Done,
    leases::stage,
    lines::{First, Kind, Line},
    sessions::Session,
    step::{Step, sql},
};

/// What came of looking at a line.
enum Granted {
    /// Nothing of it for this session now; what follows it may still be had.
    Nothing,
    /// All that may be had of it now.
    All,
    /// Some of it, and perhaps there is more.
    Some,
}

const TAKE: &str = "SELECT * FROM take_1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

impl Step {
    /// Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie.
    pub(crate) async fn grant(&mut self, session: &Session, want: &Want) -> Done<Vec<Lease>> {
        let (mut room, mut leases, mut passed) = (Room::new(want), Vec::new(), None);
        // What it held would not be counted: it has to be renewed first.
        if !session.is_alive(self.now) {
            return Ok(leases);
        }
        while room.is_open() {
            let (lines, mut more) = self.next_lines(session.row, passed.as_ref()).await?;
            for line in lines {
                if !room.is_open() {
                    break;
                }
                match self.grant_from(&line, session, None, &mut room, &mut leases).await? {
                    Granted::Nothing | Granted::All => passed = Some(line),
                    // What is first may be another now.
                    Granted::Some => {
                        more = true;
                        break;
                    }
                }
            }
            if !more {
                break;
            }
        }
        Ok(leases)
    }

    /// Leases the first item of a run that was just made, if there is room and nothing of the job is before it.
    pub(crate) async fn grant_first(
        &mut self,
        job: i64,
        run: RunId,
        session: &Session,
        room: &mut Room<'_>,
    ) -> Done<Option<Lease>> {
        if !session.is_alive(self.now) {
            return Ok(None);
        }
        let mut kind = None;
        let mut leases = Vec::new();
        for line in self.lines_of(job, session.row).await? {
            // Of each kind, the first alone.
            if kind.replace(line.kind) != Some(line.kind) {
                self.grant_from(&line, session, Some(run), room, &mut leases).await?;
            }
            if !leases.is_empty() {
                break;
            }
        }
        Ok(leases.pop())
    }

    /// Leases from the front of a line. With `only`, of that run.
    async fn grant_from(
        &mut self,
        line: &Line,
        session: &Session,
        only: Option<RunId>,
        room: &mut Room<'_>,
        leases: &mut Vec<Lease>,
    ) -> Done<Granted> {
        let Some(link) = &line.link else { return Ok(Granted::Nothing) };
        let Some(first) = line.first else {
            self.restand(line.id).await?;
            return Ok(Granted::Nothing);
        };
        let only = only.map(|run| run.number().cast_signed());
        if only.is_some_and(|only| only != first.number)
            || line.excludes(&session.node.build)?
            || self.paused(&line.name).await?.is_some()
            || (line.is(Kind::Suspect) && self.holds_suspect(session.row).await?)
        {
            return Ok(Granted::Nothing);
        }
        let alone = first.stage != Stage::Work || first.suspect;
        let n = room.left(link, first.stage).min(if alone { 1 } else { u32::MAX });
        let n = if n > 0 && first.stage == Stage::Work {
            n.min(self.room_over_all(line.job, link, first.tracked).await?)
        } else {
            n
        };
        if n == 0 {
            return Ok(Granted::Nothing);
        }
        let before = leases.len();
        self.take(line, first, session.row, n, alone, only, leases).await?;
        let taken: u32 = leases[before..].iter().map(|lease| lease.chunk.count()).sum();
        for lease in &leases[before..] {
            room.take(link, first.stage, lease.chunk.count());
        }
        Ok(match taken {
            0 => Granted::Nothing,
            taken if taken == n && !alone => Granted::All,
            _ => Granted::Some,
        })
    }

    /// Leases at most `n` items from the front of a line.
    #[expect(clippy::too_many_arguments, reason = "it is one call of a function of the schema")]
    async fn take(
        &mut self,
        line: &Line,
        first: First,
        session: i64,
        n: u32,
        alone: bool,
        only: Option<i64>,
        leases: &mut Vec<Lease>,
    ) -> Done<()> {
        let n = i32::try_from(n).unwrap_or(i32::MAX);
        let First { stage: of_stage, tracked, suspect, .. } = first;
        let (id, now, of_stage) = (line.id, self.now.0, stage(of_stage));
        let statement = sql!(TAKE, id, session, n, alone, of_stage, tracked, suspect, newest(), only, now);
        self.job_names(line.job, &line.name);
        for row in self.all(statement).await? {
            let mut lease = self.read_lease(line.job, &row).await?;
            if let (Some(run), Stage::Fill) = (lease.chunk.header.run(), first.stage) {
                lease.cursor = self.begin_filling(run, lease.token).await?;
            }
            debug_assert_eq!(lease.token, Token(row.try_get::<i64, _>("token")?.cast_unsigned()));
            leases.push(lease);
        }
        Ok(())
    }

    /// How many more items of a job may be in flight over all sessions.
    async fn room_over_all(&mut self, job: i64, link: &Link, tracked: bool) -> Done<u32> {
        if !link.is_limited() {
            return Ok(u32::MAX);
        }
        self.execute(sql!("SELECT FROM job WHERE id = $1 FOR NO KEY UPDATE", job)).await?;
        let mut room = u32::MAX;
        if let Some(limit) = link.global_concurrency {
            room = limit.saturating_sub(self.in_flight(job, false).await?);
        }
        // Only runs are exclusive; what was enqueued one by one is not.
        if link.exclusive() && !tracked {
            room = room.min(1_u32.saturating_sub(self.in_flight(job, true).await?));
        }
        Ok(room)
    }
}
