//! Sessions that open: what they link, which declaration of a schedule is in force, and jobs under new names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jobs_core::{
    Ahead, Attach, Attached, Link, Millis, PutCell, STEP_RECORDS, SessionRecord,
    ledger::{self, Claim, Cursor, Patience, Yields},
    pause_cell,
};

use crate::{
    connection::Lock,
    fault::{Done, Fault},
    jobs::Jobs,
    records::{Move, Renamed},
    sessions::{SessionRow, links, session_key, written},
    step::{Step, most, sql},
};

const LOAD: &str = "
    SELECT * FROM session_2($1, $2, true) UNION ALL SELECT * FROM expired_2($1, $3, $4, $5)
    UNION ALL SELECT * FROM jobs_2($1, $6, $6, NULL, false, $3) UNION ALL SELECT * FROM attaching_2($1, $2, $6, $3)
    UNION ALL SELECT * FROM future_2($1, $3, $7)";

/// What is known when a session opens.
struct Opening<'a> {
    attach: &'a Attach,
    jobs: Jobs,
    /// What jobs are called now, by their former names.
    renamed: BTreeMap<Arc<str>, Arc<str>>,
    /// How the other live sessions link jobs.
    live: BTreeMap<Arc<str>, Vec<Link>>,
    /// Whether it is a repeat.
    again: bool,
    past: Vec<(Arc<str>, Millis)>,
}

impl Step {
    pub(crate) async fn attach(&mut self, attach: &Attach) -> Done<Attached> {
        let id = session_key(attach.session);
        let gone: Vec<i64> = attach.gone.iter().copied().map(session_key).collect();
        let names = attach.links.iter().flat_map(|link| [Some(&link.job), link.former()]);
        let names: BTreeSet<String> = names.flatten().map(ToString::to_string).collect();
        let names: Vec<String> = names.into_iter().collect();
        let step = most(STEP_RECORDS);
        let load = sql!(LOAD, self.ns, id, self.now.0, gone, step + 1, names, step);
        let mut facts = self.load(load).await?;
        let mut attached = Attached::default();
        let known = facts.one::<SessionRow>("session").map(|row| row.session());
        self.set_right(&mut facts);
        self.reap_expired(&mut facts, &mut attached.reaped).await?;
        let own: Vec<Link> = facts.read("own");
        let mut live = BTreeMap::<Arc<str>, Vec<Link>>::new();
        for link in facts.read::<Link>("live") {
            live.entry(link.job.clone()).or_default().push(link);
        }
        let mut opening = Opening {
            attach,
            jobs: Jobs::of(&mut facts),
            renamed: facts.read("renamed").into_iter().collect(),
            live,
            again: known.is_some() && own == sorted(&attach.links),
            past: known.as_ref().map(|known| known.past.clone()).unwrap_or_default(),
        };
        for link in &attach.links {
            self.open_link(&mut opening, link, &mut attached).await?;
        }
        attached.past.clone_from(&opening.past);
        let records: Vec<SessionRecord> =
            facts.read::<SessionRow>("other").iter().map(SessionRow::record).collect();
        let is_shown = |record: &SessionRecord| {
            record.session != attach.session && (record.until >= self.now || record.holds > 0)
        };
        attached.others = records.into_iter().filter(is_shown).collect();
        attached.others.retain(|other| !attach.gone.contains(&other.session) || attached.reaped.more);
        let session = ledger::Session::open(known.as_ref(), attach, opening.past.clone(), self.now);
        self.writes.session = Some(written(&session)?);
        if !opening.again {
            self.writes.links = Some(links(&attach.links)?);
        }
        opening.jobs.write(&mut self.writes)?;
        attached.reaped.ended = self.write().await?;
        Ok(attached)
    }

    async fn open_link(
        &mut self,
        opening: &mut Opening<'_>,
        link: &Link,
        attached: &mut Attached,
    ) -> Done<()> {
        let known = opening.jobs.known.get(&link.job).is_some_and(|job| !job.link.is_bare());
        if self.gives_way(opening, link).await? {
            return Ok(());
        }
        // A repeat changes nothing, for it may come after what others have said since; but for a declaration that nobody
        // declares any more, which an older one may follow now.
        if !opening.again {
            self.rename(opening, link).await?;
        }
        if !opening.again || !known {
            let job = opening.jobs.make(&link.job)?;
            job.link_changed = job.new || job.link != *link;
            job.link = link.clone();
        }
        self.declare(opening, link, attached)
    }

    /// Makes a declaration the current one, if it is new or a rollback, and looks whether its cursor is ahead.
    fn declare(&mut self, opening: &mut Opening<'_>, link: &Link, attached: &mut Attached) -> Done<()> {
        let Some(declared) = &link.schedule else { return Ok(()) };
        let now = self.now;
        let live = opening.live.get(&link.job).map(Vec::as_slice).unwrap_or_default();
        let job = opening.jobs.make(&link.job)?;
        let takes = match Cursor::claim(job.schedule.as_ref(), declared) {
            Claim::InForce => false,
            Claim::Takes => true,
            Claim::TakesIfAbandoned => {
                let current = job.schedule.as_ref().map(|cursor| cursor.fingerprint.clone());
                !live
                    .iter()
                    .any(|link| link.schedule.as_ref().map(|other| other.fingerprint.clone()) == current)
            }
        };
        if takes {
            job.schedule_changed = true;
            if let Some((past, missed)) = Cursor::declare(&mut job.schedule, declared, now) {
                job.verdicts.push(missed);
                opening.past.push((link.job.clone(), past));
            }
        }
        let Some(cursor) = &mut job.schedule else { return Ok(()) };
        let patience = Patience::with(cursor.cursor, now);
        if patience != Patience::None {
            let set_back = patience == Patience::SetBack;
            attached.ahead.push(Ahead { schedule: link.job.clone(), cursor: cursor.cursor, set_back });
            if set_back {
                let value = Some(serde_json::json!({ "cursor": cursor.cursor, "set_back": now }));
                cursor.set_back(now);
                job.schedule_changed = true;
                self.put_cell(&ledger::ahead_cell(&link.job), &PutCell { value, ..PutCell::default() })?;
            }
        }
        attached.schedules.insert(link.job.clone(), cursor.state());
        Ok(())
    }

    /// Whether a job gives way to its new name.
    async fn gives_way(&mut self, opening: &mut Opening<'_>, link: &Link) -> Done<bool> {
        let Some(mut name) = opening.renamed.get(&link.job).cloned() else { return Ok(false) };
        let mut seen = BTreeSet::new();
        while let Some(newer) = opening.renamed.get(&name).filter(|_| seen.insert(name.clone())) {
            name = newer.clone();
        }
        let live = opening.live.get(&name).map(Vec::as_slice).unwrap_or_default();
        let beside = opening.attach.links.iter().filter(|other| other.job == name);
        match ledger::yields(live.iter().chain(beside)) {
            Yields::GivesWay => Ok(true),
            Yields::TakesBack => {
                self.forget_new_name(opening, &link.job);
                self.move_job(opening, &name, &link.job).await?;
                Ok(false)
            }
            Yields::Parts => {
                self.forget_new_name(opening, &link.job);
                Ok(false)
            }
        }
    }

    /// Takes over what belongs to the job's former name, at once: were it left to nodes that still link the old name, a
    /// tick would fire under both. What they hold they settle by its token, as ever.
    async fn rename(&mut self, opening: &mut Opening<'_>, link: &Link) -> Done<()> {
        let Some(was) = link.former() else { return Ok(()) };
        self.forget_new_name(opening, &link.job);
        if opening.renamed.get(was) != Some(&link.job) {
            opening.renamed.insert(was.clone(), link.job.clone());
            self.writes.renamed.push(Renamed { was: was.to_string(), name: link.job.to_string() });
        }
        self.move_job(opening, was, &link.job).await
    }

    fn forget_new_name(&mut self, opening: &mut Opening<'_>, was: &Arc<str>) {
        if opening.renamed.remove(was).is_some() {
            self.writes.renamed_gone.push(was.to_string());
            self.writes.renamed.retain(|renamed| *renamed.was != **was);
        }
    }

    /// Moves all that belongs to a job to its other name: with the namespace held alone, for whoever knows the job by its
    /// number would go on under it.
    async fn move_job(&mut self, opening: &mut Opening<'_>, was: &Arc<str>, name: &Arc<str>) -> Done<()> {
        if !opening.jobs.known.contains_key(was) {
            // It may be the name of a job that this session does not link.
            let names = vec![was.to_string()];
            let load = sql!("SELECT * FROM jobs_2($1, $2, $2, NULL, false, $3)", self.ns, names, self.now.0);
            let found = Jobs::of(&mut self.load(load).await?);
            opening.jobs.known.extend(found.known);
        }
        let Some(from) = opening.jobs.known.get(was).cloned() else { return Ok(()) };
        if !matches!(self.lock, Lock::Alone) {
            return Err(Fault::Alone);
        }
        opening.jobs.known.remove(was);
        let to = opening.jobs.make(name)?;
        let from_id = from.id;
        let ticks = to.take_over(from);
        self.writes.moves.push(Move { from: from_id, to: to.id, ticks });
        let (was, name) = (pause_cell(was), pause_cell(name));
        self.writes.cells_renamed.push(Renamed { was, name });
        self.marks.work += 1;
        Ok(())
    }
}

fn sorted(links: &[Link]) -> Vec<Link> {
    let mut links = links.to_vec();
    links.sort_by(|a, b| a.job.cmp(&b.job));
    links
}
