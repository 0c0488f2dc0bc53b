//! The dispatcher's calls of `settle`: one numbered series, each call acknowledging those before it.

use std::{sync::Arc, time::Duration};

use jobs_core::{Millis, STEP_RECORDS, Settle, Settled, Settlement, Want, notice};

use crate::{
    batch::{Batch, halves, is_too_much},
    event::Event,
    lease::Revoked,
    leases::Granted,
    node::Node,
    refusal::Refusal,
};

/// The number of the lane: the dispatcher has one.
const LANE: u32 = 0;

/// The dispatcher's lane.
pub(crate) struct Lane {
    node: Arc<Node>,
    /// The number of the last call.
    n: u64,
    batch: Batch,
}

/// What a series of calls came to.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) leases: Vec<Granted>,
    pub(crate) next_due: Option<Millis>,
}

/// Settlements that go into one call.
#[derive(Debug)]
struct Part {
    settlements: Vec<Settlement>,
    /// Whether they are what is settled instead of what the store refused.
    instead: bool,
}

/// Why a part was not settled.
enum Unsettled {
    Refused(Refusal),
    TooMuch,
}

impl Lane {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node, n: 0, batch: Batch::of_at_most(STEP_RECORDS) }
    }

    /// Settles all of these, in as many calls as it takes, and leases with the last of them. What the store refuses is
    /// found by halves, and ends as dead with the reason: nothing else waits for it.
    pub(crate) async fn settle(&mut self, settlements: Vec<Settlement>, want: &Want) -> Answer {
        let mut answer = Answer::default();
        let mut parts = Vec::new();
        let mut rest = settlements;
        while rest.len() > self.batch.size() {
            let next = rest.split_off(self.batch.size());
            parts.push(Part { settlements: std::mem::replace(&mut rest, next), instead: false });
        }
        parts.push(Part { settlements: rest, instead: false });
        parts.reverse();
        while let Some(part) = parts.pop() {
            let want = if parts.is_empty() { want.clone() } else { Want::default() };
            match self.call(&part, want).await {
                Ok((settled, asked)) => {
                    acknowledge(&self.node, &part.settlements, &settled);
                    self.node.ending.put(settled.ended);
                    answer.leases.extend(settled.leases.into_iter().map(|lease| Granted { lease, asked }));
                    answer.next_due = settled.next_due;
                }
                Err(unsettled) => parts.extend(self.smaller(part, unsettled)),
            }
        }
        answer
    }

    /// One call, again and again until it is answered.
    async fn call(&mut self, part: &Part, want: Want) -> Result<(Settled, Duration), Unsettled> {
        let (node, session, n) = (self.node.clone(), self.node.session, self.n + 1);
        let (settlements, count) = (part.settlements.clone(), part.settlements.len());
        let settle = Settle { session, lane: LANE, n, settlements, effects: Vec::new(), want };
        let (mut wait, mut failures) = (Duration::from_millis(10), 0);
        loop {
            let asked = node.env.uptime();
            match node.ask_or_refusal(node.store.settle(settle.clone())).await {
                Ok(Some(settled)) => {
                    self.n = n;
                    self.batch.took(count, node.env.uptime().saturating_sub(asked));
                    return Ok((settled, asked));
                }
                Ok(None) => failures += 1,
                Err(refusal) => return Err(Unsettled::Refused(refusal)),
            }
            if count > 1 && is_too_much(failures, &node) {
                self.batch.failed(count);
                return Err(Unsettled::TooMuch);
            }
            node.env.sleep(node.env.about(wait)).await;
            wait = (wait * 2).min(Duration::from_secs(1));
        }
    }

    /// What is tried instead of a part that was not settled, the last first. The first half goes under the same number:
    /// if the call was done after all, it is its repeat.
    fn smaller(&self, part: Part, unsettled: Unsettled) -> Vec<Part> {
        let Part { settlements, instead } = part;
        if settlements.len() > 1 {
            return halves(settlements).map(|settlements| Part { settlements, instead }).into();
        }
        let Unsettled::Refused(refusal) = unsettled else { return Vec::new() };
        let node = &self.node;
        let one = settlements.first().filter(|_| !instead);
        let Some((one, held)) = one.and_then(|one| Some((one, node.leases.get(one.token)?))) else {
            let text = format_args!("the store refused to settle and lease: {}", refusal.0);
            notice::warn("refused", text);
            return Vec::new();
        };
        let dead = refusal.instead(one, &node.name, node.clock.now());
        if let jobs_core::End::Dead(failure) = &dead.end {
            let (job, run, item) = (held.header.job.to_string(), held.run(), held.item(one.from));
            node.bus.say(Event::ItemDead { job, run, item, failure: (**failure).clone() });
        }
        vec![Part { settlements: vec![dead], instead: true }]
    }
}

/// Forgets what the store has settled, and what it says is lost.
fn acknowledge(node: &Node, settlements: &[Settlement], settled: &Settled) {
    for settlement in settlements {
        node.leases.settled(settlement.token, settlement.to - settlement.from);
    }
    for token in &settled.lost {
        let Some(held) = node.leases.let_go(*token) else { continue };
        let (job, run, item) = (held.header.job.to_string(), held.run(), held.item(0));
        node.bus.say(Event::LeaseLost { job, run, item });
        held.revoke(Revoked::Lost);
        node.attempts.cancel(|other| other.token == *token);
    }
}
