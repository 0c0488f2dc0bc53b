//! A store that is sent every operation twice.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jobs_core::{BoxFuture, Cancellation, Completion, Fire, Firing, Passing, Store, StoreError, Wakeups};

use crate::call::{Answer, Call, Handle, Outcome, perform};

/// When the second copy of an operation arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Never: each operation is sent once.
    None,
    /// At once; both must be answered alike, where the contract says so.
    AtOnce,
    /// After so many operations that follow: the first copy was delayed behind the second, which was answered.
    Late(usize),
}

impl Copies {
    /// The ways in which the suite sends operations.
    pub const ALL: [Self; 4] = [Self::None, Self::AtOnce, Self::Late(1), Self::Late(3)];

    /// What is said of it when a rule breaks.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "each operation sent once",
            Self::AtOnce => "each operation sent twice in a row",
            Self::Late(_) => "each operation sent again after those that follow it",
        }
    }
}

/// What was sent and not yet sent again, and what was answered differently. Shared by all connections of a test.
#[derive(Debug, Default)]
pub struct Wire {
    delayed: Mutex<VecDeque<(usize, Call)>>,
    differs: Mutex<Option<String>>,
}

impl Wire {
    /// What was answered differently the second time, if anything was.
    #[must_use]
    pub fn differs(&self) -> Option<String> {
        lock(&self.differs).clone()
    }

    /// Delivers every delayed copy: none is delayed over a step of time, or past the end of its session.
    ///
    /// # Errors
    /// What the store says.
    pub async fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.deliver(store, usize::MAX).await
    }

    async fn deliver(&self, store: &dyn Store, passed: usize) -> Result<(), StoreError> {
        let mut due = Vec::new();
        lock(&self.delayed).retain_mut(|(left, call)| {
            *left = left.saturating_sub(passed);
            if *left == 0 {
                due.push(call.clone());
            }
            *left > 0
        });
        for call in due {
            perform(store, call).await?;
        }
        Ok(())
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store that is sent every operation twice.
pub struct Twice {
    inner: Arc<dyn Store>,
    copies: Copies,
    wire: Arc<Wire>,
}

impl std::fmt::Debug for Twice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Twice")
            .field("copies", &self.copies)
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}

impl Twice {
    /// Sends to this store.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, copies: Copies, wire: Arc<Wire>) -> Self {
        Self { inner, copies, wire }
    }
}

impl Handle for Twice {
    fn handle(&self, call: Call) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            if matches!(call, Call::Detach(_)) {
                self.wire.flush(&*self.inner).await?;
            }
            let reply = perform(&*self.inner, call.clone()).await?;
            self.wire.deliver(&*self.inner, 1).await?;
            let copy = copy(&call, &reply.value, self.copies);
            match (self.copies, copy) {
                (Copies::AtOnce, Some(copy)) => {
                    let again = perform(&*self.inner, copy).await?;
                    if let Some(differs) = compare(&reply.value, &again.value) {
                        lock(&self.wire.differs).get_or_insert(differs);
                    }
                }
                (Copies::Late(after), Some(copy)) => lock(&self.wire.delayed).push_back((after, copy)),
                _ => {}
            }
            Ok(reply)
        })
    }

    fn wakeups(&self) -> Wakeups {
        self.inner.wakeups()
    }

    /// Of what goes to another namespace each operation is sent once.
    fn namespace(&self, name: &str) -> Option<Arc<dyn Store>> {
        self.inner.namespace(name)
    }
}

/// The copy that may arrive as well without changing anything: of what was refused a copy may still be accepted
/// later, so it is not sent.
fn copy(call: &Call, answer: &Answer, copies: Copies) -> Option<Call> {
    match (call, answer) {
        (Call::Fire(session, fires, want), Answer::Fire(fired)) => {
            let made = |firing: &Firing| matches!(firing, Firing::Fired { .. });
            let made: Vec<Fire> = fires
                .iter()
                .zip(fired)
                .filter(|(_, firing)| made(firing))
                .map(|(fire, _)| fire.clone())
                .collect();
            let all = made.len() == fires.len();
            (!made.is_empty() && (all || copies != Copies::AtOnce))
                .then(|| Call::Fire(*session, made, want.clone()))
        }
        (Call::Pass(_), Answer::Pass(passed)) => {
            passed.iter().all(|passing| *passing == Passing::Passed).then(|| call.clone())
        }
        (Call::Append(_), Answer::Append(jobs_core::Appended::Stored { .. }))
        | (Call::Attach(_) | Call::Detach(_) | Call::Settle(_) | Call::Reap(_), _) => Some(call.clone()),
        (Call::Beat(_), Answer::Beat(pulse)) => pulse.alive.then(|| call.clone()),
        (Call::Complete(_), Answer::Complete(ends)) => {
            ends.iter().all(|end| matches!(end, Completion::Completed(_))).then(|| call.clone())
        }
        (Call::Cancel(_), Answer::Cancel(Cancellation::Cancelled { .. })) => Some(call.clone()),
        (Call::Requeue(_), Answer::Requeue(Some(_))) | (Call::Discard(..), _) => Some(call.clone()),
        // What creates a cell would create it again after it was removed.
        (Call::PutIf(_, expected, _), Answer::PutIf(Ok(_))) => {
            (copies == Copies::AtOnce || *expected > 0).then(|| call.clone())
        }
        _ => None,
    }
}

/// How the answer to a repeat differs from what the contract says it is.
fn compare(first: &Answer, again: &Answer) -> Option<String> {
    let same = match (first, again) {
        (Answer::Attach(first), Answer::Attach(again)) => {
            (&first.schedules, &first.past) == (&again.schedules, &again.past)
        }
        (Answer::Append(first), Answer::Append(again)) => match (first, again) {
            (
                jobs_core::Appended::Stored { total: first, .. },
                jobs_core::Appended::Stored { total: again, .. },
            ) => first == again,
            _ => first == again,
        },
        (Answer::Beat(first), Answer::Beat(again)) => {
            (first.alive, &first.lost) == (again.alive, &again.lost)
        }
        (Answer::Fire(first), Answer::Fire(again)) => first == again,
        (Answer::Settle(first), Answer::Settle(again)) => first == again,
        (Answer::Complete(first), Answer::Complete(again)) => {
            let alike = |(first, again): (&Completion, &Completion)| match (first, again) {
                (Completion::Completed(first), Completion::Already(again)) => first == again,
                _ => false,
            };
            first.len() == again.len() && first.iter().zip(again).all(alike)
        }
        (Answer::Pass(_), Answer::Pass(again)) => {
            again.iter().all(|passing| matches!(passing, Passing::Already(_) | Passing::Passed))
        }
        (Answer::Requeue(first), Answer::Requeue(again)) => first == again,
        (Answer::Discard(first), Answer::Discard(again)) => first == again,
        (Answer::PutIf(_), Answer::PutIf(again)) => again.is_err() || *again == Ok(0),
        _ => true,
    };
    (!same).then(|| format!("a repeat was answered differently: first {first:?}, then {again:?}"))
}
