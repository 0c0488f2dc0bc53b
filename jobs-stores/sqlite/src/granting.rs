//! Leasing: which ready items a session gets.

use std::{rc::Rc, sync::Arc};

use jobs_core::{
    End, Header, Lease, Link, Millis, RunId, Stage, Want,
    ledger::{Head, InFlight, Pauses, QueueKey, QueueKind, Room, share},
};
use rusqlite::Row;

use crate::{
    bodies::Found,
    fault::Done,
    rows::{SessionRow, text},
    step::Step,
};

/// The first line of a kind of a job.
#[derive(Clone, Debug)]
struct QueueHead {
    line: i64,
    job: i64,
    key: QueueKey,
    rank: i64,
    number: i64,
    turn: i64,
}

/// Heads of jobs that the session does not link.
struct Strangers {
    seen: i64,
    most: i64,
}

/// What came of looking at a head.
enum Grant {
    Leased(Box<Lease>),
    /// Nothing of it is for this session now.
    Nothing,
    /// What stood there is in nobody's way any more.
    Again,
    /// A newer version wrote what stands there.
    Unreadable,
}

/// So many heads of jobs that the session does not link are passed over, or as many as it has links, if these are more. Then
/// only those of jobs that it links are looked for, which costs as much as there are links.
const STRANGERS: i64 = 16;

const AFTER: &str = "SELECT line, job, kind, builds, rank, number, turn FROM head
                     WHERE ns = ?1 AND aside = 0 AND (rank, turn, job, number, line) > (?2, ?3, ?4, ?5, ?6)
                     ORDER BY rank, turn, job, number, line";
const LINKED_AFTER: &str = "SELECT line, head.job, kind, builds, rank, number, turn
                            FROM link CROSS JOIN job ON job.ns = ?1 AND job.name = link.job
                                      CROSS JOIN head ON head.job = job.id
                            WHERE link.session = ?7 AND aside = 0
                                  AND (rank, turn, head.job, number, line) > (?2, ?3, ?4, ?5, ?6)
                            ORDER BY rank, turn, head.job, number, line LIMIT 1";
const BEHIND: &str = "SELECT id, job, kind, builds, rank, number, turn FROM line
                      WHERE job = ?1 AND kind = ?2 AND builds = ?3 AND rank IS NOT NULL AND id <> ?4
                      ORDER BY rank, number, id LIMIT 100";
const OF_JOB: &str =
    "SELECT line, job, kind, builds, rank, number, turn FROM head WHERE job = ?1 ORDER BY kind, rank, number";

impl QueueHead {
    /// Before all others.
    const NONE: (i64, i64, i64, i64, i64) = (i64::MIN, i64::MIN, i64::MIN, i64::MIN, i64::MIN);

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let key = QueueKey { kind: QueueKind::from_number(row.get(2)?), run: 0, builds: text(row, 3)? };
        Ok(Self {
            line: row.get(0)?,
            job: row.get(1)?,
            key,
            rank: row.get(4)?,
            number: row.get(5)?,
            turn: row.get(6)?,
        })
    }

    fn place(&self) -> (i64, i64, i64, i64, i64) {
        (self.rank, self.turn, self.job, self.number, self.line)
    }
}

impl Step<'_> {
    /// Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie.
    pub(crate) fn grant(&mut self, session: &SessionRow, want: &Want) -> Done<Vec<Lease>> {
        let mut room = Room::new(want);
        let mut leases = Vec::new();
        // What it held would not be counted: it has to be renewed first.
        if !session.state.is_alive(self.now) {
            return Ok(leases);
        }
        let pauses = self.pauses()?;
        self.look_at_resumed(&pauses)?;
        let mut passed = QueueHead::NONE;
        let mut strangers = Strangers { seen: 0, most: STRANGERS };
        while room.is_open() {
            let Some((head, link)) = self.next_head(session, passed, &mut strangers)? else { break };
            match self.grant_from(&head, &link, session, None, &pauses, &mut room)? {
                Grant::Leased(lease) => leases.push(*lease),
                Grant::Again if self.may_touch() => {}
                Grant::Unreadable => match self.grant_behind(&head, &link, session, &pauses, &mut room)? {
                    Some(lease) => leases.push(lease),
                    None => passed = head.place(),
                },
                // Nothing of this line for this session now; what follows it may still be had.
                Grant::Again | Grant::Nothing => passed = head.place(),
            }
        }
        Ok(leases)
    }

    /// The next head of a job that a session links.
    fn next_head(
        &mut self,
        session: &SessionRow,
        after: (i64, i64, i64, i64, i64),
        strangers: &mut Strangers,
    ) -> Done<Option<(QueueHead, Rc<Link>)>> {
        let conn = self.conn;
        let mut place = after;
        while strangers.seen < strangers.most {
            let (rank, turn, job, number, line) = place;
            let mut select = conn.prepare_cached(AFTER)?;
            let mut rows = select.query((self.ns, rank, turn, job, number, line))?;
            loop {
                let Some(row) = rows.next()? else { return Ok(None) };
                let head = QueueHead::read(row)?;
                place = head.place();
                let Some(name) = self.job_name(head.job)? else {
                    // What stands there has no job any more.
                    drop(rows);
                    self.drop_line(head.line)?;
                    break;
                };
                if let Some(link) = self.link(session.row, &name)? {
                    return Ok(Some((head, link)));
                }
                strangers.seen += 1;
                if strangers.seen == STRANGERS {
                    strangers.most = strangers.most.max(self.attached_links(session.row)?.unwrap_or(0));
                }
                if strangers.seen >= strangers.most {
                    break;
                }
            }
        }
        let (rank, turn, job, number, line) = after;
        let values = (self.ns, rank, turn, job, number, line, session.row);
        let Some(head) = self.one(LINKED_AFTER, values, QueueHead::read)? else { return Ok(None) };
        let name = self.job_name(head.job)?.unwrap_or_else(|| Arc::from(""));
        Ok(self.link(session.row, &name)?.map(|link| (head, link)))
    }

    /// Leases from the lines of a job that stand behind one that this version cannot read.
    fn grant_behind(
        &mut self,
        head: &QueueHead,
        link: &Link,
        session: &SessionRow,
        pauses: &Pauses,
        room: &mut Room<'_>,
    ) -> Done<Option<Lease>> {
        let values = (head.job, head.key.kind as i64, &head.key.builds, head.line);
        for behind in self.all(BEHIND, values, QueueHead::read)? {
            if let Grant::Leased(lease) = self.grant_from(&behind, link, session, None, pauses, room)? {
                return Ok(Some(*lease));
            }
        }
        Ok(None)
    }

    /// Leases the first item of a run that was just made, if there is room and nothing of its kind is before it.
    pub(crate) fn grant_first(
        &mut self,
        job: i64,
        run: RunId,
        session: &SessionRow,
        room: &mut Room<'_>,
    ) -> Done<Option<Lease>> {
        let Some(name) = self.job_name(job)? else { return Ok(None) };
        let Some(link) = self.link(session.row, &name)? else { return Ok(None) };
        if !session.state.is_alive(self.now) {
            return Ok(None);
        }
        let pauses = self.pauses()?;
        for head in self.all(OF_JOB, [job], QueueHead::read)? {
            let granted = self.grant_from(&head, &link, session, Some(run), &pauses, room)?;
            if let Grant::Leased(lease) = granted {
                return Ok(Some(*lease));
            }
        }
        Ok(None)
    }

    /// Leases from the front of a line: all that may be had of its first chunk. With `only`, of that run.
    fn grant_from(
        &mut self,
        head: &QueueHead,
        link: &Link,
        session: &SessionRow,
        only: Option<RunId>,
        pauses: &Pauses,
        room: &mut Room<'_>,
    ) -> Done<Grant> {
        if head.key.excludes(&session.state.node.build) {
            return Ok(Grant::Nothing);
        }
        if pauses.of(&link.job, self.now).is_some() {
            self.put_head_aside(head)?;
            return Ok(Grant::Again);
        }
        // Elsewhere than among work, a query or an end may stand first: those need no slot of the job.
        let work = head.key.kind != QueueKind::Control && room.left(link, Stage::Work) > 0;
        let other = head.key.kind != QueueKind::Work && room.left(link, Stage::Fill) > 0;
        if !work && !other {
            return Ok(Grant::Nothing);
        }
        let (chunk, mut piece) = match self.first_chunk(head.line)? {
            Found::There(first) => first,
            Found::Unreadable => return Ok(Grant::Unreadable),
            // The chunks of a line, or the line of a head, were deleted by hand.
            Found::Missing => {
                self.restand(head.line, head.job, None)?;
                self.execute("DELETE FROM head WHERE line = ?1 AND job = ?2", (head.line, head.job))?;
                return Ok(Grant::Again);
            }
        };
        if self.is_cancelled(&piece.header)? {
            self.take(&chunk, chunk.part.count)?;
            self.end(head.job, piece, End::Cancelled, &mut Vec::new())?;
            return Ok(Grant::Again);
        }
        if only.is_some() && piece.header.run() != only {
            return Ok(Grant::Nothing);
        }
        if piece.header.suspect && self.holds_suspect(session.row)? {
            return Ok(Grant::Nothing);
        }
        let first = Head::of(&piece.header, piece.part.count);
        let in_flight = match first.is_limited(link) {
            true => {
                self.limit(head.job, link)?;
                self.in_flight(head.job)?
            }
            false => InFlight::default(),
        };
        let n = share(room, link, &first, in_flight);
        if n == 0 {
            return Ok(Grant::Nothing);
        }
        piece.part.count = n;
        let Some(body) = self.body(&piece.part)? else {
            self.drop_chunk(&chunk)?;
            return Ok(Grant::Again);
        };
        room.take(link, first.stage, n);
        self.take(&chunk, n)?;
        self.served(head.job, head.rank)?;
        let lease = self.lease(session.row, head.job, piece, body)?;
        Ok(Grant::Leased(Box::new(lease)))
    }

    /// Whether the run of these items was cancelled, so that nothing of it is leased.
    fn is_cancelled(&mut self, header: &Header) -> Done<bool> {
        match header.run() {
            Some(run) => Ok(self.run(run)?.is_some_and(|run| run.run.is_cancelled())),
            None => Ok(false),
        }
    }

    /// From now on the leases of a job are found by it, if a link limits it over all sessions.
    pub(crate) fn limit(&mut self, id: i64, link: &Link) -> Done<()> {
        if link.is_limited()
            && self.job(id)?.is_some_and(|job| !job.limited)
            && let Some(job) = self.job_mut(id)?
        {
            job.limited = true;
            // What is in flight already counts.
            self.write_leases()?;
            self.execute("UPDATE lease SET limited = 1 WHERE job = ?1", [id])?;
        }
        Ok(())
    }

    /// Nobody looks at a head whose job is paused, until something becomes of a pause.
    fn put_head_aside(&mut self, head: &QueueHead) -> Done<()> {
        let sql = "UPDATE head SET aside = 1 WHERE job = ?1 AND kind = ?2 AND builds = ?3";
        self.execute(sql, (head.job, head.key.kind as i64, &head.key.builds))?;
        Ok(())
    }

    /// Looks again at the jobs of pauses that have expired since somebody did.
    fn look_at_resumed(&mut self, pauses: &Pauses) -> Done<()> {
        let expired = pauses.0.iter().filter_map(|(_, cell)| cell.expires_at).filter(|at| *at <= self.now);
        let Some(last) = expired.max() else { return Ok(()) };
        if self.cache.resumed.get(&self.ns).is_none_or(|seen: &Millis| *seen < last) {
            self.execute("UPDATE head SET aside = 0 WHERE ns = ?1 AND aside = 1", [self.ns])?;
            self.cache.resumed.insert(self.ns, last);
        }
        Ok(())
    }
}
