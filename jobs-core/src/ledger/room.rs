//! The room of a session in one call: slots, and what each of them works off.

use std::{collections::BTreeMap, sync::Arc};

use crate::{JobWant, Link, Stage, Want};

/// What is left of a [`Want`] while a store leases, the same for every store.
#[derive(Debug)]
pub struct Room<'a> {
    /// Slots that nothing was leased for.
    slots: u32,
    /// Items that those slots can still take for which something was.
    begun: u32,
    wanted: BTreeMap<&'a str, &'a JobWant>,
    jobs: BTreeMap<Arc<str>, OfJob>,
}

/// The room of one job in it.
#[derive(Debug)]
struct OfJob {
    slots: u32,
    per_slot: u32,
    taken: u32,
}

impl OfJob {
    /// Items that the slots begun for this job can still take.
    fn begun(&self) -> u32 {
        (self.taken.div_ceil(self.per_slot) * self.per_slot).saturating_sub(self.taken)
    }
}

impl<'a> Room<'a> {
    /// All of it.
    #[must_use]
    pub fn new(want: &'a Want) -> Self {
        let wanted = want.jobs.iter().map(|wanted| (&*wanted.job, wanted)).collect();
        Self { slots: want.slots, begun: 0, wanted, jobs: BTreeMap::new() }
    }

    /// Whether there is room for anything.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.slots > 0 || self.begun > 0
    }

    fn of(&mut self, link: &Link) -> &mut OfJob {
        let wanted = self.wanted.get(&*link.job);
        self.jobs.entry(link.job.clone()).or_insert_with(|| {
            let (slots, per_slot) = match wanted {
                Some(wanted) if !link.is_limited() => (wanted.slots, wanted.per_slot.max(1)),
                Some(wanted) => (wanted.slots, 1),
                None => (link.concurrency, 1),
            };
            OfJob { slots, per_slot, taken: 0 }
        })
    }

    /// How many items of a job there is room for.
    pub fn left(&mut self, link: &Link, stage: Stage) -> u32 {
        if self.wanted.get(&*link.job).is_some_and(|wanted| wanted.per_slot == 0) {
            return 0;
        }
        let slots = self.slots;
        if stage != Stage::Work {
            return slots.min(1);
        }
        let room = self.of(link);
        let of_job = room.slots.saturating_mul(room.per_slot).saturating_sub(room.taken);
        of_job.min(slots.saturating_mul(room.per_slot).saturating_add(room.begun()))
    }

    /// So many items of a job are leased.
    pub fn take(&mut self, link: &Link, stage: Stage, n: u32) {
        if stage != Stage::Work {
            self.slots = self.slots.saturating_sub(1);
            return;
        }
        let room = self.of(link);
        let (slots, begun) = (room.taken.div_ceil(room.per_slot), room.begun());
        room.taken += n;
        let (more, left) = (room.taken.div_ceil(room.per_slot) - slots, room.begun());
        self.slots = self.slots.saturating_sub(more);
        self.begun = (self.begun + left).saturating_sub(begun);
    }
}
