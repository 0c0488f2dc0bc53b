//! The room of a session in one call: slots, and what each of them works off.

use std::{collections::BTreeMap, sync::Arc};

use crate::{JobWant, Link, STEP_RECORDS, Stage, Want};

/// What is left of a [`Want`] while a store leases. Redis and Postgres keep the same in their scripts.
#[derive(Debug)]
pub struct Room<'a> {
    /// Slots that nothing was leased for.
    slots: u32,
    /// Items that those slots can still take for which something was.
    begun: u32,
    wanted: BTreeMap<&'a str, &'a JobWant>,
    jobs: BTreeMap<Arc<str>, OfJob>,
    /// Leases that one step may still grant.
    leases: usize,
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
        Self { slots: want.slots, begun: 0, wanted, jobs: BTreeMap::new(), leases: STEP_RECORDS }
    }

    /// Whether there is room for anything, and this step may grant another lease.
    #[must_use]
    pub fn is_open(&self) -> bool {
        (self.slots > 0 || self.begun > 0) && self.leases > 0
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
        self.leases = self.leases.saturating_sub(1);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn link(job: &str, concurrency: u32) -> Link {
        Link { query: true, concurrency, ..Link::new(job) }
    }

    fn want(slots: u32, jobs: &[(&str, u32, u32)]) -> Want {
        let job = |(job, slots, per_slot): &(&str, u32, u32)| JobWant {
            job: (*job).into(),
            slots: *slots,
            per_slot: *per_slot,
        };
        Want { slots, jobs: jobs.iter().map(job).collect() }
    }

    #[test]
    fn a_job_has_the_slots_it_links_unless_the_session_says_otherwise() {
        let want = want(10, &[("a.b", 2, 1), ("a.none", 5, 0)]);
        let mut room = Room::new(&want);
        assert_eq!(room.left(&link("a.b", 4), Stage::Work), 2);
        assert_eq!(room.left(&link("a.c", 4), Stage::Work), 4);
        assert_eq!(room.left(&link("a.d", 40), Stage::Work), 10, "the process has no more");
        for stage in [Stage::Work, Stage::Fill, Stage::Finish] {
            assert_eq!(room.left(&link("a.none", 4), stage), 0, "nothing of it is wanted");
        }
    }

    #[test]
    fn each_slot_works_off_several_items() {
        let want = want(2, &[("a.b", 3, 10), ("a.c", 3, 10)]);
        let mut room = Room::new(&want);
        let first = link("a.b", 3);
        let second = link("a.c", 3);
        assert_eq!(room.left(&first, Stage::Work), 20, "two slots");
        room.take(&first, Stage::Work, 4);
        assert_eq!(room.left(&first, Stage::Work), 16, "six in the slot that was begun, ten in the other");
        assert_eq!(room.left(&second, Stage::Work), 10, "a slot works for one job");
        room.take(&second, Stage::Work, 10);
        assert_eq!(room.left(&second, Stage::Work), 0);
        assert!(room.is_open(), "six fit in the slot that was begun");
        assert_eq!(room.left(&first, Stage::Work), 6);
        room.take(&first, Stage::Work, 6);
        assert!(!room.is_open());
    }

    #[test]
    fn what_is_limited_is_leased_without_a_store_of_more() {
        let want = want(10, &[("a.b", 3, 10)]);
        let limited = Link { global_concurrency: Some(100), ..link("a.b", 3) };
        assert_eq!(Room::new(&want).left(&limited, Stage::Work), 3);
    }

    #[test]
    fn a_query_takes_a_slot_of_the_process_and_none_of_its_job() {
        let want = want(2, &[]);
        let mut room = Room::new(&want);
        let job = link("a.b", 1);
        assert_eq!(room.left(&job, Stage::Fill), 1);
        room.take(&job, Stage::Fill, 1);
        assert_eq!(room.left(&job, Stage::Work), 1);
        room.take(&job, Stage::Finish, 1);
        assert_eq!(
            (room.left(&job, Stage::Work), room.left(&job, Stage::Fill), room.is_open()),
            (0, 0, false)
        );
    }

    #[test]
    fn one_step_grants_so_many_leases_at_the_most() {
        let want = want(u32::MAX, &[]);
        let mut room = Room::new(&want);
        for _ in 0..STEP_RECORDS {
            assert!(room.is_open());
            room.take(&link("a.b", u32::MAX), Stage::Work, 1);
        }
        assert!(!room.is_open(), "the rest is for the next call");
    }
}
