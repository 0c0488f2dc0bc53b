//! Leasing: which ready items a session gets.

use jobs_core::{FORMAT, Header, Lease, Link, Room, RunId, Stage, Want};

use crate::{
    fault::Done,
    lines::{Kind, Line},
    sessions::Session,
    step::Step,
};

impl Step<'_> {
    /// Leases what a session wants: highest priority first, then earliest due, in turns between jobs that tie.
    pub(crate) fn grant(&mut self, session: &Session, want: &Want) -> Done<Vec<Lease>> {
        let (mut room, mut leases, mut passed) = (Room::new(want), Vec::new(), None);
        // What it held would not be counted: it has to be renewed first.
        if !session.is_alive(self.now) {
            return Ok(leases);
        }
        while room.is_open() {
            let Some(line) = self.next_line(passed.as_ref())? else { break };
            match self.grant_from(&line, session, None, &mut room)? {
                Some(lease) => leases.push(lease),
                // Nothing of this line for this session now; what follows it may still be had.
                None => passed = Some(line),
            }
        }
        Ok(leases)
    }

    /// Leases the first item of a run that was just made, if there is room and nothing of the job is before it.
    pub(crate) fn grant_first(
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
        for line in self.lines_of(job)? {
            // Of each kind, the first alone.
            if kind.replace(line.kind) != Some(line.kind)
                && let Some(lease) = self.grant_from(&line, session, Some(run), room)?
            {
                return Ok(Some(lease));
            }
        }
        Ok(None)
    }

    /// Leases from the front of a line: all that may be had of its first chunk. With `only`, of that run.
    fn grant_from(
        &mut self,
        line: &Line,
        session: &Session,
        only: Option<RunId>,
        room: &mut Room<'_>,
    ) -> Done<Option<Lease>> {
        let name = self.job_name(line.job)?;
        let Some(link) = self.link(session.row, &name)? else { return Ok(None) };
        // As a rule nothing is paused, and all that stands in a line is for everybody.
        if line.excludes(&session.node.build)? || self.paused(&name)?.is_some() {
            return Ok(None);
        }
        let Some(chunk) = self.first_chunk(line.id)? else { return Ok(None) };
        let mut piece = self.piece(&chunk)?;
        let Header { stage, tracked, suspect, format, .. } = piece.header;
        // Where a newer version put it, it is for the newer version.
        if format > FORMAT || (only.is_some() && piece.header.run() != only) {
            return Ok(None);
        }
        if line.is(Kind::Suspect) && self.holds_suspect(session.row)? {
            return Ok(None);
        }
        let alike = if stage != Stage::Work || suspect { 1 } else { piece.part.count };
        let n = room.left(&link, stage).min(alike);
        if n == 0 {
            return Ok(None);
        }
        let n = if stage == Stage::Work { n.min(self.room_over_all(line.job, &link, tracked)?) } else { n };
        if n == 0 {
            return Ok(None);
        }
        room.take(&link, stage, n);
        self.take(line, &chunk, n)?;
        piece.part.count = n;
        self.lease(session.row, line.job, piece).map(Some)
    }

    /// How many more items of a job may be in flight over all sessions.
    fn room_over_all(&mut self, job: i64, link: &Link, tracked: bool) -> Done<u32> {
        self.limit(job, link)?;
        let mut room = u32::MAX;
        if let Some(limit) = link.global_concurrency {
            room = limit.saturating_sub(self.in_flight(job, false)?);
        }
        // Only runs are exclusive; what was enqueued one by one is not.
        if link.exclusive() && !tracked {
            room = room.min(1_u32.saturating_sub(self.in_flight(job, true)?));
        }
        Ok(room)
    }
}
