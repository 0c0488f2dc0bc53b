//! What the contract leaves open is made equal here, each with the sentence that leaves it.

use jobs_conformance::call::{Answer, Call};
use jobs_core::{Firing, Lease, Pruned, Reaped};

use crate::view::View;

/// The answer, without what the contract leaves open.
#[must_use]
pub fn equal(call: &Call, view: &View, answer: Answer) -> Answer {
    match answer {
        Answer::Settle(mut settled) => {
            settled.leases.iter_mut().for_each(|lease| asked_again(lease, view));
            // "A lease that was already settled in full may or may not be listed."
            let settlements = match call {
                Call::Settle(settle) => settle.settlements.as_slice(),
                _ => &[],
            };
            settled.lost.retain(|token| !view.is_settled(*token, settlements));
            // No order is promised.
            settled.lost.sort_unstable();
            settled.lost.dedup();
            settled.ended.sort_unstable();
            settled.ended.dedup();
            Answer::Settle(settled)
        }
        Answer::Fire(mut fired) => {
            for firing in &mut fired {
                if let Firing::Fired { lease: Some(lease), .. } = firing {
                    asked_again(lease, view);
                }
            }
            Answer::Fire(fired)
        }
        Answer::Attach(mut attached) => {
            // No order is promised of what was found beside the schedules.
            attached.others.sort_by_key(|other| other.session);
            attached.past.sort();
            attached.ahead.sort_by(|one, other| one.schedule.cmp(&other.schedule));
            attached.reaped = reaped(attached.reaped);
            Answer::Attach(attached)
        }
        Answer::Beat(mut pulse) => {
            // No order is promised.
            pulse.lost.sort_unstable();
            pulse.cancelled.sort_unstable();
            pulse.paused.sort();
            Answer::Beat(pulse)
        }
        Answer::Reap(done) => Answer::Reap(reaped(done)),
        Answer::Completable(mut runs) => {
            // No order is promised.
            runs.sort_unstable();
            Answer::Completable(runs)
        }
        Answer::Jobs(mut jobs) => {
            // No order is promised.
            jobs.sort_by(|one, other| one.link.job.cmp(&other.link.job));
            Answer::Jobs(jobs)
        }
        Answer::List(cells) if *call == Call::List(String::new()) => {
            // A store may keep what it answers to a repeated discard in a cell, or elsewhere.
            Answer::List(cells.into_iter().filter(|(name, _)| !name.starts_with("discarded/")).collect())
        }
        // What is past its time need not be there any more, so it need not be counted.
        Answer::Prune(pruned) => Answer::Prune(Pruned { removed: 0, ..pruned }),
        same => same,
    }
}

/// "A repeat gets the same leases", and whoever has appended under a lease has had the answer that carried it. So a repeat
/// may tell the lease as it was then, or as the append has left it.
fn asked_again(lease: &mut Lease, view: &View) {
    // "`None` for those that do not wait": a lease may still tell since when its items did.
    lease.chunk.header.waits_since = None;
    if view.held.iter().any(|held| held.lease.token == lease.token && held.seq > 0) {
        lease.cursor = None;
        lease.chunk.header.begin_anew();
    }
}

/// No order is promised of what a reap did.
fn reaped(mut reaped: Reaped) -> Reaped {
    reaped.nodes.sort_unstable();
    reaped.dead.sort_by_key(|(_, _, item, _)| *item);
    reaped.ended.sort_unstable();
    reaped.ended.dedup();
    reaped
}
