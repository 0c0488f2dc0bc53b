//! One deliberately wrong store per rule: a wrapper that keeps every promise but one.
//!
//! A suite that nothing fails is worth nothing. Each [`Lie`] here is told on top of a store that keeps the rules,
//! and the suite has to say which rule is broken:
//!
//! ```
//! # fn place() -> Box<dyn jobs_conformance::Fixture> { unimplemented!() }
//! # fn example() {
//! let missed = jobs_conformance::wrong::missed(&|| place());
//! assert!(missed.is_empty(), "{missed:#?}");
//! # }
//! ```

mod bounds;
mod cells;
mod clock;
mod dead;
mod deploys;
mod filling;
mod ids;
mod items;
mod leasing;
mod liar;
mod runs;
mod sessions;
mod ticks;

use std::sync::{Arc, Mutex};

use jobs_core::{BoxError, BoxFuture, Chunk, Store};

pub use liar::Lie;
use liar::{Kind, Liar, Notes};

use crate::{Fixture, Violation, Wrapper, check, rules};

/// Every lie; at least one per rule.
pub fn lies() -> impl Iterator<Item = &'static Lie> {
    [
        ticks::LIES,
        filling::LIES,
        items::LIES,
        leasing::LIES,
        sessions::LIES,
        runs::LIES,
        ids::LIES,
        cells::LIES,
        clock::LIES,
        bounds::LIES,
        dead::LIES,
        deploys::LIES,
    ]
    .into_iter()
    .flatten()
}

/// The rules that the suite says are broken, when this lie is told on top of a store.
#[must_use]
pub fn broken(lie: &'static Lie, fixture: &dyn Fn() -> Box<dyn Fixture>) -> Vec<Violation> {
    let wrong = told(lie, fixture);
    rules().iter().filter_map(|rule| check(rule, &wrong).err()).collect()
}

/// The lies that the suite does not notice or calls by another rule's name, and the rules that none is told of.
/// Empty for a suite that is worth its time, if the store itself keeps the rules.
#[must_use]
pub fn missed(fixture: &dyn Fn() -> Box<dyn Fixture>) -> Vec<String> {
    let untold = rules().iter().filter(|rule| lies().all(|lie| lie.rule != rule.name));
    let untold = untold.map(|rule| format!("no store is wrong about `{}`", rule.name));
    let unnamed = lies().filter(|lie| !is_noticed(lie, fixture)).map(|lie| {
        let others: Vec<_> = broken(lie, fixture).iter().map(|violation| violation.rule).collect();
        format!("a store that {} is not said to break `{}`, but {others:?}", lie.how, lie.rule)
    });
    unnamed.chain(untold).collect()
}

/// The lies that their own rule does not notice.
#[must_use]
pub fn unnoticed(fixture: &dyn Fn() -> Box<dyn Fixture>) -> Vec<String> {
    let unnoticed = lies().filter(|lie| !is_noticed(lie, fixture));
    unnoticed.map(|lie| format!("`{}` does not notice a store that {}", lie.rule, lie.how)).collect()
}

/// A lie about a race, or about time, may be true by chance on a machine that is busy: it is told so often.
const TOLD: usize = 3;

/// Whether the rule that a lie breaks says so.
fn is_noticed(lie: &'static Lie, fixture: &dyn Fn() -> Box<dyn Fixture>) -> bool {
    let rule = rules().iter().find(|rule| rule.name == lie.rule);
    rule.is_some_and(|rule| (0..TOLD).any(|_| check(rule, &told(lie, fixture)).is_err()))
}

/// Places in which a lie is told.
fn told(lie: &'static Lie, fixture: &dyn Fn() -> Box<dyn Fixture>) -> impl Fn() -> Box<dyn Fixture> {
    move || Box::new(Wrong { inner: fixture(), lie, notes: Arc::default() })
}

/// A place in which a lie is told.
struct Wrong {
    inner: Box<dyn Fixture>,
    lie: &'static Lie,
    notes: Arc<Mutex<Notes>>,
}

impl Fixture for Wrong {
    fn connect(&self, offset: i64) -> BoxFuture<'_, Result<Arc<dyn Store>, BoxError>> {
        Box::pin(async move {
            let inner = self.inner.connect(offset).await?;
            let store: Arc<dyn Store> = Arc::new(Wrapper(Liar::new(inner, self.lie, self.notes.clone())));
            Ok(store)
        })
    }

    fn plant(&self, mut chunk: Chunk) -> Option<BoxFuture<'_, Result<(), BoxError>>> {
        if let Kind::Plants(plants) = self.lie.kind {
            plants(&mut chunk);
        }
        self.inner.plant(chunk)
    }
}
