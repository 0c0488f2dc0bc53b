//! Jobs that an operation holds, and what is written of them.

use std::{collections::BTreeMap, sync::Arc};

use jobs_core::{
    Link, RunId, TickInfo,
    ledger::{self, Cursor, InFlight},
};
use serde::Deserialize;

use crate::{
    facts::{Facts, readable},
    fault::{Done, Fault},
    records::{JobNew, JobWrite, TickChanged, TickNew},
    writes::Writes,
};

/// A job, and what decides about its ticks.
#[derive(Clone, Debug)]
pub(crate) struct OfJob {
    pub(crate) id: i64,
    /// Whether it is made by this operation.
    pub(crate) new: bool,
    /// How it was linked last.
    pub(crate) link: Link,
    pub(crate) schedule: Option<Cursor>,
    /// What the session says of it that the operation is for.
    pub(crate) linked: Option<Link>,
    /// The oldest run that holds its ticks.
    pub(crate) busy: Option<RunId>,
    pub(crate) in_flight: InFlight,
    /// Where the first of its fill and finish items stands, and the first of its work items.
    pub(crate) first: [Option<(i64, i64)>; 2],
    last_tick: Option<LastTick>,
    /// Verdicts that are still to be recorded.
    pub(crate) verdicts: Vec<TickInfo>,
    pub(crate) schedule_changed: bool,
    pub(crate) link_changed: bool,
}

#[derive(Deserialize)]
struct Row {
    id: i64,
    name: Arc<str>,
    link: String,
    schedule: Option<String>,
    linked: Option<String>,
    busy: Option<u64>,
    last_tick: Option<LastTick>,
    first_control: Option<(i64, i64)>,
    first_work: Option<(i64, i64)>,
    in_flight: Option<(u32, u32)>,
}

#[derive(Clone, Debug, Deserialize)]
struct LastTick {
    n: i64,
    info: String,
}

impl OfJob {
    fn new(id: i64, name: &Arc<str>) -> Self {
        Self {
            id,
            new: true,
            link: Link::new(name.clone()),
            schedule: None,
            linked: None,
            busy: None,
            in_flight: InFlight::default(),
            first: [None, None],
            last_tick: None,
            verdicts: Vec::new(),
            schedule_changed: false,
            link_changed: false,
        }
    }

    fn of(row: Row) -> (Arc<str>, Self) {
        let (all, of_runs) = row.in_flight.unwrap_or_default();
        let job = Self {
            new: false,
            link: readable(&row.link).unwrap_or_else(|| Link::new(row.name.clone())),
            schedule: row.schedule.as_deref().and_then(readable),
            linked: row.linked.as_deref().and_then(readable),
            busy: row.busy.map(RunId::new),
            in_flight: InFlight { all, of_runs },
            first: [row.first_control, row.first_work],
            last_tick: row.last_tick,
            ..Self::new(row.id, &row.name)
        };
        (row.name, job)
    }

    /// Takes over what a job had that is renamed to this one. Returns whether its schedule is among it: what this one has
    /// already, it keeps.
    pub(crate) fn take_over(&mut self, from: Self) -> bool {
        let takes = self.schedule.is_none() && from.schedule.is_some();
        if takes {
            self.schedule = from.schedule;
            self.last_tick = from.last_tick;
            self.verdicts = from.verdicts;
            self.schedule_changed = true;
        }
        takes
    }

    fn write(&self, name: &Arc<str>, writes: &mut Writes) -> Done<()> {
        let link = &self.link;
        if self.new {
            writes.jobs_new.push(JobNew {
                id: self.id,
                name: name.to_string(),
                link: serde_json::to_string(link)?,
                keep_runs: link.keep_runs,
                keep_ticks: link.keep_ticks,
            });
        }
        let mut write = JobWrite { id: self.id, ..JobWrite::default() };
        if self.link_changed && !self.new {
            write.link = Some(serde_json::to_string(link)?);
            write.keep_runs = Some(link.keep_runs);
            write.keep_ticks = Some(link.keep_ticks);
        }
        if self.schedule_changed {
            write.schedule = self.schedule.as_ref().map(serde_json::to_string).transpose()?;
        }
        let before: Option<TickInfo> = self.last_tick.as_ref().and_then(|last| readable(&last.info));
        let (changed, added) = ledger::merged(before, self.verdicts.iter().cloned());
        if let (Some(info), Some(last)) = (changed, &self.last_tick) {
            let info = serde_json::to_string(&info)?;
            writes.ticks_changed.push(TickChanged { job: self.id, n: last.n, info });
        }
        write.ticks = added.len();
        for info in added {
            writes.ticks.push(TickNew { job: self.id, info: serde_json::to_string(&info)? });
        }
        if write.link.is_some() || write.schedule.is_some() || write.ticks > 0 {
            writes.jobs.push(write);
        }
        Ok(())
    }
}

/// Jobs by their names.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    pub(crate) known: BTreeMap<Arc<str>, OfJob>,
    /// The numbers that jobs would get which are not there, and how the session links them.
    numbers: BTreeMap<Arc<str>, (i64, Option<Link>)>,
}

impl Jobs {
    pub(crate) fn of(facts: &mut Facts) -> Self {
        Self {
            known: facts.read::<Row>("job").into_iter().map(OfJob::of).collect(),
            numbers: facts.read("new").into_iter().map(number).collect(),
        }
    }

    /// A job, made if it is not there.
    pub(crate) fn make(&mut self, name: &Arc<str>) -> Done<&mut OfJob> {
        if !self.known.contains_key(name) {
            let (id, linked) = self.numbers.get(name).ok_or(Fault::Missing("the number of a job"))?;
            let job = OfJob { linked: linked.clone(), ..OfJob::new(*id, name) };
            self.known.insert(name.clone(), job);
        }
        self.known.get_mut(name).ok_or(Fault::Missing("a job"))
    }

    /// Writes what was changed.
    pub(crate) fn write(&self, writes: &mut Writes) -> Done<()> {
        self.known.iter().try_for_each(|(name, job)| job.write(name, writes))
    }
}

fn number((name, id, linked): (Arc<str>, i64, Option<String>)) -> (Arc<str>, (i64, Option<Link>)) {
    (name, (id, linked.as_deref().and_then(readable)))
}
