//! Leases as they are granted: who may have them, how many, and under what suspicion.

use jobs_core::{Lease, SessionId, Stage};

use super::{
    journal::Journal,
    model::{self, LeaseFate},
};

impl Journal {
    pub(super) fn granted(&mut self, session: SessionId, lease: &Lease) {
        let here = self.here();
        if let Some(known) = self.model.leases.get(&lease.token) {
            // The answer to a repeat.
            if known.session != session || known.fate != LeaseFate::Open {
                self.report.fencing.push(format!("{here} the lease {} is granted again", lease.token.0));
            }
            return;
        }
        let header = &lease.chunk.header;
        let count = lease.chunk.count();
        if header.suspect {
            self.coverage.saw("suspect");
            let holds = |token| {
                let held: Option<&model::Lease> = self.model.leases.get(token);
                held.is_some_and(|held| held.header.suspect)
            };
            let open = self.model.sessions.get(&session).map(|s| s.open.clone()).unwrap_or_default();
            if count > 1 || open.iter().any(holds) {
                self.report.suspects.push(format!("{here} a suspect is not alone: {}", header.item(0)));
            }
        }
        for index in 0..count {
            let item = header.item(index);
            let key = (item.number(), header.stage, item.n());
            let known = self.model.item(key);
            let (held, ended) = (known.token, known.end);
            if let Some(ended) = ended {
                self.report.repeated.push(format!("{here} {item} is granted although it is {ended:?}"));
            }
            if let Some(held) = held {
                let text = format!("{here} {item} is granted although {} has it", held.0);
                self.report.fencing.push(text);
            }
            let known = self.model.item(key);
            let expected = (known.suspect, known.crashes);
            let attempts = known.attempt;
            known.token = Some(lease.token);
            if expected != (header.suspect, header.crashes) {
                let found = (header.suspect, header.crashes);
                let text = format!("{here} {item} is granted as {found:?} and should be {expected:?}");
                self.report.suspects.push(text);
            }
            if attempts != header.attempt {
                let text = format!("{here} {item} had {attempts} attempts and not {}", header.attempt);
                self.report.counts.push(text);
            }
        }
        self.of_run(lease);
        let settled = vec![false; count as usize];
        let (header, granted_at) = (header.clone(), self.now);
        let fate = LeaseFate::Open;
        self.model.leases.insert(lease.token, model::Lease { session, header, granted_at, settled, fate });
        match self.model.sessions.get_mut(&session) {
            Some(session) => drop(session.open.insert(lease.token)),
            None => self.report.fencing.push(format!("{here} {session} is no more and gets a lease")),
        }
        self.limits(lease);
    }

    /// Whether the run may have items by now.
    fn of_run(&mut self, lease: &Lease) {
        let here = self.here();
        let header = &lease.chunk.header;
        let Some(run) = header.run().and_then(|run| self.model.runs.get(&run)) else {
            self.report.staged.push(format!("{here} {} is of no run", header.item(0)));
            return;
        };
        if run.cancelled || self.model.is_paused(&header.job) {
            let text = format!("{here} {} of {} is granted", header.item(0), header.job);
            self.report.steering.push(format!("{text}, and it is paused or cancelled"));
        }
        if header.stage != Stage::Work {
            return;
        }
        let beyond = header.start + u64::from(lease.chunk.count()) > run.total;
        if !run.published || beyond {
            let text = format!("{here} {} of {} was not found by its query", header.item(0), header.job);
            self.report.staged.push(text);
        }
    }

    /// Items in flight over all sessions that are alive.
    fn limits(&mut self, lease: &Lease) {
        let header = &lease.chunk.header;
        let link = self.model.sessions.values().find_map(|session| session.links.get(&header.job));
        let (Some(link), Stage::Work) = (link, header.stage) else { return };
        let limit = if link.exclusive() { Some(1) } else { link.global_concurrency };
        let Some(limit) = limit else { return };
        let mut open = 0;
        for session in self.model.sessions.values().filter(|session| session.is_alive(self.now)) {
            let leases = session.open.iter().filter_map(|token| self.model.leases.get(token));
            let of_job = leases.filter(|l| l.header.job == header.job && l.header.stage == Stage::Work);
            open += of_job.map(|l| l.unsettled().len()).sum::<usize>();
        }
        if open > limit as usize {
            let here = self.here();
            self.report.limits.push(format!("{here} {open} of {} are in flight, {limit} may", header.job));
        }
    }
}
