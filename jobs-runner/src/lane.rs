//! Calls of `settle` in one numbered series, each call acknowledging those before it.

use std::{sync::Arc, time::Duration};

use jobs_core::{End, Millis, STEP_RECORDS, Settle, Settled, Settlement, Token, Want, notice};

use crate::{
    batch::{Batch, fitting, halves},
    event::Event,
    lease::Revoked,
    leases::Granted,
    node::Node,
    refusal::Refusal,
    tries::Tries,
};

/// The numbers of the lanes of a runner: the dispatcher's, and that of what it has set aside.
const DISPATCHER: u32 = 0;
const ASIDE: u32 = 1;

/// One series of calls.
pub(crate) struct Lane {
    node: Arc<Node>,
    number: u32,
    /// The number of the last call.
    n: u64,
    /// The number of the next one, if it was made before, and when it was for the first time, by this machine's uptime: it may
    /// have been done then.
    made: Option<(u64, Duration)>,
    batch: Batch,
}

/// What a series of calls came to.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) leases: Vec<Granted>,
    pub(crate) next_due: Option<Millis>,
}

/// Settlements that go into one call.
#[derive(Debug, Default)]
pub(crate) struct Part {
    settlements: Vec<Settlement>,
    /// Whether it is the death of an item, in place of an end that the store refused.
    instead: bool,
    /// Whether a call of it was too much: the next one has one try.
    failed: bool,
}

/// Why a part was not settled.
enum Unsettled {
    Refused(Refusal),
    /// The store has not answered, although it answers others.
    TooMuch,
}

impl Lane {
    /// The dispatcher's.
    pub(crate) fn of_dispatcher(node: Arc<Node>) -> Self {
        Self::numbered(node, DISPATCHER)
    }

    /// That of what was set aside.
    pub(crate) fn of_aside(node: Arc<Node>) -> Self {
        Self::numbered(node, ASIDE)
    }

    fn numbered(node: Arc<Node>, number: u32) -> Self {
        Self { node, number, n: 0, made: None, batch: Batch::of_at_most(STEP_RECORDS) }
    }

    /// Settles all of these, in as many calls as it takes, and leases with the last of them. What the store refuses is
    /// found by halves, and ends as dead with the reason; what it does not answer, although it answers others, is set
    /// aside, and cut in halves there. Nothing else waits for either.
    pub(crate) async fn settle(&mut self, settlements: Vec<Settlement>, want: &Want) -> Answer {
        self.settle_part(Part { settlements, ..Part::default() }, want.clone()).await
    }

    /// The same for a part that was set aside.
    pub(crate) async fn settle_part(&mut self, part: Part, mut want: Want) -> Answer {
        let mut answer = Answer::default();
        let mut parts = vec![part];
        while let Some(part) = parts.pop() {
            let part = part.cut(self.batch.size(), &mut parts);
            let wanted = if parts.is_empty() { std::mem::take(&mut want) } else { Want::default() };
            let leases = wanted.slots > 0;
            if part.settlements.is_empty() && !leases {
                continue;
            }
            match self.call(&part, wanted.clone()).await {
                Ok((settled, asked)) => {
                    if !settled.leases.is_empty() {
                        // Without being asked to, if this repeats a call that was done and not answered.
                        want = Want::default();
                    }
                    self.acknowledge(&part, &settled);
                    self.node.ending.put(settled.ended);
                    answer.leases.extend(settled.leases.into_iter().map(|lease| Granted { lease, asked }));
                    answer.next_due = settled.next_due;
                }
                // What was wanted may be what was refused, or what takes too long: it is asked for by itself.
                Err(unsettled) if leases && !part.settlements.is_empty() => {
                    want = wanted;
                    let failed = matches!(unsettled, Unsettled::TooMuch);
                    parts.extend([Part::default(), Part { failed, ..part }]);
                }
                Err(unsettled) => parts.extend(self.smaller(part, unsettled)),
            }
        }
        answer
    }

    /// One call, again and again until it is answered, or shown to be too much. With the answer, when a call of this number
    /// was made first: what it leases may be as old.
    async fn call(&mut self, part: &Part, want: Want) -> Result<(Settled, Duration), Unsettled> {
        let (node, session, lane, n) = (self.node.clone(), self.node.session, self.number, self.n + 1);
        let (settlements, count) = (part.settlements.clone(), part.settlements.len());
        let settle = Settle { session, lane, n, settlements, effects: Vec::new(), want };
        // It may be done although it was not answered. Its first part goes under the same number then, as its repeat; what
        // is no part of it has the next one.
        let has_parts = match self.number {
            ASIDE => count > 1,
            _ => count > 0 && settle.want.slots > 0,
        };
        let next = if has_parts { self.n } else { n };
        let began = node.env.uptime();
        let first = self.made.filter(|(made, _)| *made == n).map_or(began, |(_, first)| first);
        self.made = Some((n, first));
        let mut tries = if part.failed { Tries::of_a_part(began) } else { Tries::from(began) };
        loop {
            let asked = node.env.uptime();
            let call = node.store.settle(settle.clone());
            let answer = match self.number {
                ASIDE => node.ask_again(call).await,
                _ => node.ask_or_refusal(call).await,
            };
            match answer {
                Ok(Some(settled)) => {
                    self.n = n;
                    self.batch.took(count, node.env.uptime().saturating_sub(asked));
                    return Ok((settled, first));
                }
                Ok(None) => tries.failed(),
                Err(refusal) => {
                    self.n = if tries.have_failed() { next } else { self.n };
                    return Err(Unsettled::Refused(refusal));
                }
            }
            if tries.are_too_many(&node) {
                self.batch.failed(count);
                self.n = next;
                return Err(Unsettled::TooMuch);
            }
            tries.rest(&node).await;
        }
    }

    /// What is tried instead of a part that was not settled, the last first.
    fn smaller(&self, part: Part, unsettled: Unsettled) -> Vec<Part> {
        let failed = matches!(unsettled, Unsettled::TooMuch);
        let Part { mut settlements, instead, .. } = part;
        if failed && self.number != ASIDE && !settlements.is_empty() {
            // Nothing else waits for it here.
            self.node.aside.put(Part { settlements, instead, failed });
            return Vec::new();
        }
        if settlements.len() > 1 {
            return halves(settlements).map(|settlements| Part { settlements, instead, failed }).into();
        }
        match (settlements.pop(), unsettled) {
            (None, Unsettled::TooMuch) => {
                notice::warn(
                    "lease",
                    "the store does not answer when it is asked for work; it is asked again",
                );
                Vec::new()
            }
            (None, Unsettled::Refused(refusal)) => {
                notice::warn("lease", format_args!("the store refused to lease: {refusal}"));
                Vec::new()
            }
            (Some(one), Unsettled::TooMuch) => {
                self.node.aside.put(Part { settlements: vec![one], instead, failed });
                Vec::new()
            }
            (Some(one), Unsettled::Refused(refusal)) => self.refused(one, instead, &refusal),
        }
    }

    /// What is tried instead of a settlement that the store refused: the halves of its range, and for a single item its
    /// death with the reason.
    fn refused(&self, one: Settlement, instead: bool, refusal: &Refusal) -> Vec<Part> {
        let node = &self.node;
        if one.to - one.from > 1 {
            let middle = one.from + (one.to - one.from) / 2;
            let parts = [Settlement { from: middle, ..one.clone() }, Settlement { to: middle, ..one }];
            return parts.map(|part| Part { settlements: vec![part], instead, failed: false }).into();
        }
        if instead || !node.leases.holds(one.token) {
            // Once its other items are settled, no heartbeat names its lease, and the store takes it back.
            node.leases.settled(one.token, one.to - one.from);
            notice::warn("refused", format_args!("the store refused how an item ended: {refusal}"));
            return Vec::new();
        }
        let dead = refusal.instead(&one, &node.name, node.clock.now());
        vec![Part { settlements: vec![dead], instead: true, failed: false }]
    }

    /// Forgets what the store has settled, and what it says is lost.
    fn acknowledge(&self, part: &Part, settled: &Settled) {
        let node = &self.node;
        for settlement in &part.settlements {
            if part.instead && !settled.lost.contains(&settlement.token) {
                self.report_death(settlement);
            }
            node.leases.settled(settlement.token, settlement.to - settlement.from);
        }
        settled.lost.iter().for_each(|token| self.lose(*token));
    }

    fn report_death(&self, settlement: &Settlement) {
        let (Some(held), End::Dead(failure)) = (self.node.leases.get(settlement.token), &settlement.end)
        else {
            return;
        };
        let (job, run, item) = (held.header.job.to_string(), held.run(), held.item(settlement.from));
        self.node.bus.say(Event::ItemDead { job, run, item, failure: (**failure).clone() });
    }

    fn lose(&self, token: Token) {
        let node = &self.node;
        let Some(held) = node.leases.let_go(token) else { return };
        let (job, run, item) = (held.header.job.to_string(), held.run(), held.item(0));
        node.bus.say(Event::LeaseLost { job, run, item });
        held.revoke(Revoked::Lost);
        node.attempts.cancel(|other| other.token == token);
    }
}

impl Part {
    /// How many items it is of.
    pub(crate) fn items(&self) -> usize {
        self.settlements.iter().map(|settlement| (settlement.to - settlement.from) as usize).sum()
    }

    /// The first of its settlements, which write so many records at the most; the others go back among those that wait.
    fn cut(mut self, most: usize, waiting: &mut Vec<Self>) -> Self {
        let first = fitting(self.settlements.iter().map(records), most).max(1);
        if first < self.settlements.len() {
            let settlements = self.settlements.split_off(first);
            waiting.push(Self { settlements, ..self });
        }
        self
    }
}

/// How many records an end writes: an item that dies leaves its lease, and is listed in several places with its failures.
fn records(settlement: &Settlement) -> usize {
    match settlement.end {
        End::Dead(_) => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use jobs_core::{Failure, FailureKind};

    use super::*;

    #[test]
    fn a_part_is_cut_where_it_writes_too_much() {
        let dead = || End::Dead(Box::new(Failure::new(FailureKind::Error, "no", Millis(0).timestamp())));
        let ends = [End::Done(None), dead(), dead(), End::Back];
        let one = |(n, end): (u32, End)| Settlement { token: Token(1), from: n, to: n + 1, end };
        let part = || Part { settlements: (0..).zip(ends.clone()).map(one).collect(), ..Part::default() };
        let cut = |most| {
            let mut waiting = Vec::new();
            let first = part().cut(most, &mut waiting);
            (first.settlements.len(), waiting.iter().map(|part| part.settlements.len()).collect::<Vec<_>>())
        };
        assert_eq!(cut(10), (4, vec![]));
        assert_eq!(cut(9), (3, vec![1]));
        assert_eq!(cut(5), (2, vec![2]));
        assert_eq!(cut(1), (1, vec![3]), "there is always something in it");
    }
}
