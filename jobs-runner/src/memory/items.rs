//! What becomes of items: appended by a query, settled by attempts, taken back from dead nodes.

use std::sync::Arc;

use jobs_core::{
    Append, Appended, Chunk, DeadItem, End, ErrorGroup, Failure, FailureKind, Header, ItemId, Lease, Millis,
    RunId, SessionId, Settle, Settled, Stage, Undecodable,
};

use super::{queue::Line, run::Fill, state::State};

impl State {
    pub(super) fn append(&mut self, append: Append, now: Millis) -> Appended {
        let Some(held) = self.leases.get(&append.token) else { return self.appended_last(&append) };
        let header = held.chunk.header.clone();
        let run = header.run().and_then(|run| self.runs.get_mut(&run)).filter(|run| !run.cancelled);
        let (Some(run), Stage::Fill) = (run, header.stage) else { return Appended::Lost };
        let Some(fill) = &mut run.fill else { return Appended::Lost };
        fill.under(append.token);
        if append.seq > fill.seq {
            return Appended::OutOfOrder { expected: fill.seq };
        }
        if append.seq < fill.seq {
            let id = run.id;
            return self.appended(id);
        }
        fill.seq += 1;

        let first = run.counts.total + fill.staged_items;
        let mut start = first;
        let chunks = append.bodies.into_iter().filter(|body| body.count() > 0).map(|body| {
            let chunk = Chunk { header: work_header(&header, &append.item_type, start, now), body };
            start += u64::from(chunk.count());
            chunk
        });
        let staged = append.page.is_none();
        let published = if staged {
            fill.staged.extend(chunks);
            if append.last { std::mem::take(&mut fill.staged) } else { Default::default() }
        } else {
            chunks.collect()
        };
        fill.staged_items = if append.last || !staged { 0 } else { start - run.counts.total };
        if let Some(cursor) = append.page {
            fill.cursor = cursor;
            // A stored page is progress: the attempts of the query start anew.
            if let Some(held) = self.leases.get_mut(&append.token) {
                held.chunk.header.attempt = 0;
            }
        }
        if append.last || !staged {
            run.counts.total = start;
            let found: u64 = published.iter().map(|chunk: &Chunk| u64::from(chunk.count())).sum();
            run.fresh += found;
        }
        if append.last {
            run.fill = None;
            run.filled = Some((append.token, append.seq));
        }
        let id = run.id;
        if !published.is_empty() {
            self.marks.work += 1;
            self.job(&header.job).queues.entry(Line::Work).or_default().publish(published);
            self.stand(&header.job, &Line::Work);
        }
        let answer = self.appended(id);
        if append.last {
            self.filled.insert(append.token, id);
            self.forget(append.token);
            self.review(id);
        }
        answer
    }

    /// The answer to an append under a lease that is no more: a repeat is answered as the first was.
    fn appended_last(&self, append: &Append) -> Appended {
        let run = self.filled.get(&append.token).and_then(|run| self.runs.get(run));
        match run.filter(|run| run.filled.is_some_and(|(_, last)| append.seq <= last)) {
            Some(run) => self.appended(run.id),
            None => Appended::Lost,
        }
    }

    fn appended(&self, run: RunId) -> Appended {
        let Some(run) = self.runs.get(&run) else { return Appended::Lost };
        let ready = self.jobs.get(&run.job).map_or(0, super::job::Job::ready);
        let staged = run.fill.as_ref().map_or(0, |fill| fill.staged_items);
        Appended::Stored { ready, total: run.counts.total + staged }
    }

    pub(super) fn settle(&mut self, settle: Settle, now: Millis) -> Settled {
        let Some(session) = self.sessions.get(&settle.session) else {
            // Its leases went with it.
            let lost = settle.settlements.iter().map(|s| s.token).collect();
            return Settled { lost, ..Settled::default() };
        };
        if let Some((n, answer)) = session.lanes.get(&settle.lane).filter(|(n, _)| *n >= settle.n) {
            let mut answer = if *n == settle.n { answer.clone() } else { Settled::default() };
            let held =
                |lease: &Lease| self.leases.get(&lease.token).is_some_and(|h| h.session == settle.session);
            answer.leases.retain(held);
            return answer;
        }
        let build = session.node.build.clone();
        let mut answer = Settled::default();
        let mut effects = settle.effects;
        effects.sort_by_key(|(of, _)| *of);
        let mut effects = effects.into_iter().peekable();
        for (index, settlement) in settle.settlements.into_iter().enumerate() {
            let token = settlement.token;
            let held = self.leases.get_mut(&token).filter(|held| held.session == settle.session);
            let stretches = held.map(|held| held.settle(settlement.from, settlement.to));
            let applied = stretches.as_ref().is_some_and(|stretches| !stretches.is_empty());
            match stretches {
                None if answer.lost.last() != Some(&token) => answer.lost.push(token),
                None => {}
                Some(stretches) => {
                    for mut chunk in stretches {
                        if let End::Undecodable(message) = &settlement.end {
                            note_undecodable(&mut chunk.header, &build, message, now);
                        }
                        self.end(chunk, settlement.end.clone(), &mut answer.ended, now);
                    }
                    if self.leases.get(&token).is_some_and(|held| held.open() == 0) {
                        self.forget(token);
                    }
                }
            }
            while let Some((_, effect)) = effects.next_if(|(of, _)| *of <= index) {
                if applied {
                    self.effect(effect, now);
                }
            }
        }
        self.promote(now);
        answer.leases = self.grant(settle.session, &settle.want, now);
        answer.next_due = self.next_due(settle.session);
        if let Some(session) = self.sessions.get_mut(&settle.session) {
            session.lanes.insert(settle.lane, (settle.n, answer.clone()));
        }
        answer
    }

    /// When the next item of a job that the session links is due.
    fn next_due(&self, session: SessionId) -> Option<Millis> {
        let session = self.sessions.get(&session)?;
        self.due.iter().find(|(_, job)| session.links.contains_key(job)).map(|(due, _)| *due)
    }

    /// Ends an attempt of the items of a chunk, which no lease covers any more.
    pub(super) fn end(&mut self, chunk: Chunk, end: End, over: &mut Vec<RunId>, now: Millis) {
        let run = chunk.header.run();
        let cancelled = run.and_then(|run| self.runs.get(&run)).is_some_and(|run| run.cancelled);
        let end = match end {
            // Nothing of a cancelled run is tried again.
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) if cancelled => {
                End::Cancelled
            }
            end => end,
        };
        if let End::Retry { failure, .. } | End::Dead(failure) = &end {
            self.failed(&chunk, failure);
        }
        if chunk.header.stage == Stage::Work {
            self.count(&chunk, &end);
        } else if chunk.header.stage == Stage::Fill {
            self.filled(&chunk.header, &end);
        }
        match end {
            End::Retry { at, .. } => {
                let header = &chunk.header;
                let header = Header {
                    attempt: header.attempt + 1,
                    due: at,
                    fresh: false,
                    suspect: false,
                    undecodable: None,
                    ..header.clone()
                };
                self.store(Chunk { header, ..chunk }, now);
            }
            End::Snooze { at } => {
                let header = Header {
                    due: at,
                    fresh: false,
                    suspect: false,
                    undecodable: None,
                    ..chunk.header.clone()
                };
                self.store(Chunk { header, ..chunk }, now);
            }
            End::Back | End::Undecodable(_) => self.store(chunk, now),
            End::Dead(_) if chunk.header.stage == Stage::Work => self.bury(&chunk, now),
            _ if chunk.header.attempt > 0 || chunk.header.crashes > 0 => self.forget_failures(&chunk),
            _ => {}
        }
        if let Some(run) = run
            && self.review(run)
            && over.last() != Some(&run)
        {
            over.push(run);
        }
    }

    /// Counts how the items of a chunk ended, if they did, and their attempts.
    fn count(&mut self, chunk: &Chunk, end: &End) {
        let n = u64::from(chunk.count());
        let Some(run) = chunk.header.run().and_then(|run| self.runs.get_mut(&run)) else { return };
        let attempted = match end {
            End::Done(_) | End::Retry { .. } | End::Discarded(_) => true,
            // Nothing was attempted of what a store kills.
            End::Dead(failure) => !matches!(failure.kind, FailureKind::Poison | FailureKind::Undecodable),
            _ => false,
        };
        if attempted && chunk.header.attempt > 0 {
            run.counts.retries += n;
        }
        if chunk.header.fresh && !matches!(end, End::Back | End::Undecodable(_)) {
            run.fresh -= n;
        }
        match end {
            End::Done(_) => run.counts.ok += n,
            End::Dead(_) => run.counts.dead += n,
            End::Discarded(_) => run.counts.discarded += n,
            End::Cancelled => run.counts.cancelled += n,
            End::Expired => run.counts.expired += n,
            End::Retry { .. } | End::Snooze { .. } | End::Undecodable(_) | End::Back => {}
        }
    }

    /// What the end of an attempt of the fill item means for its run.
    fn filled(&mut self, header: &Header, end: &End) {
        let Some(run) = header.run().and_then(|run| self.runs.get_mut(&run)) else { return };
        match end {
            End::Retry { .. } | End::Snooze { .. } | End::Back | End::Undecodable(_) => {
                // What was staged is dropped; what was published page by page stays, with the cursor.
                if let Some(fill) = &mut run.fill {
                    let cursor = fill.cursor.take();
                    *fill = Fill { cursor, ..Fill::default() };
                }
            }
            End::Dead(_) => {
                run.query_failed = true;
                run.fill = None;
            }
            _ => run.fill = None,
        }
    }

    fn failed(&mut self, chunk: &Chunk, failure: &Failure) {
        for item in (0..chunk.count()).map(|index| chunk.header.item(index)) {
            if let Some(run) = chunk.header.run().and_then(|run| self.runs.get_mut(&run)) {
                ErrorGroup::count_in(&mut run.errors, item, failure);
            }
            if chunk.header.stage == Stage::Work {
                let failures = self.job(&chunk.header.job).failures.entry(item).or_default();
                if failures.len() == DeadItem::MAX_ATTEMPTS {
                    failures.remove(0);
                }
                failures.push(failure.clone());
            }
        }
    }

    fn forget_failures(&mut self, chunk: &Chunk) {
        let job = self.job(&chunk.header.job);
        for index in 0..chunk.count() {
            job.failures.remove(&chunk.header.item(index));
        }
    }

    fn bury(&mut self, chunk: &Chunk, now: Millis) {
        for (index, payload) in (0..).zip(chunk.body.items()) {
            let id = chunk.header.item(index);
            let payload = serde_json::from_slice(payload)
                .unwrap_or_else(|_| String::from_utf8_lossy(payload).into_owned().into());
            let mut dead = DeadItem::new(id, &*chunk.header.job, payload);
            dead.run = chunk.header.run();
            let number = self.number(now).0;
            let job = self.job(&chunk.header.job);
            dead.attempts = job.failures.remove(&id).unwrap_or_default();
            job.dead.push_back((now, number));
            self.dead.insert(number, dead);
        }
    }

    /// Kills an item that nobody can decode, or that kills its nodes.
    pub(super) fn kill(
        &mut self,
        chunk: Chunk,
        kind: FailureKind,
        message: String,
        node: &str,
        over: &mut Vec<RunId>,
        now: Millis,
    ) -> (Arc<str>, Option<RunId>, ItemId, Failure) {
        let mut failure = Failure::new(kind, message, now.timestamp());
        failure.attempt = chunk.header.attempt + 1;
        failure.node = node.to_owned();
        let told = (chunk.header.job.clone(), chunk.header.run(), chunk.header.item(0), failure.clone());
        self.end(chunk, End::Dead(Box::new(failure)), over, now);
        told
    }
}

/// Notes that a build could not decode an item: it is not offered to it again.
fn note_undecodable(header: &mut Header, build: &Arc<str>, message: &str, now: Millis) {
    let none = || Undecodable { since: now, builds: Vec::new(), message: String::new() };
    let failed = header.undecodable.get_or_insert_with(none);
    message.clone_into(&mut failed.message);
    if !failed.builds.contains(build) {
        failed.builds.push(build.clone());
    }
}

/// The header of what a fill item's query found.
fn work_header(fill: &Header, item_type: &Arc<str>, start: u64, now: Millis) -> Header {
    Header {
        stage: Stage::Work,
        item_type: item_type.clone(),
        start,
        enqueued_at: now,
        attempt: 0,
        fresh: true,
        suspect: false,
        crashes: 0,
        redelivered: 0,
        undecodable: None,
        // A retried query does not put its items behind those of a later run.
        due: fill.tick.unwrap_or(fill.enqueued_at),
        ..fill.clone()
    }
}
