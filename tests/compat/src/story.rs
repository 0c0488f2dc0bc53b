//! How a place comes to hold everything that a store keeps.
//!
//! The story is told in the twenty minutes before [`END`]. Who lives on when it ends: [`FIRST`], which
//! holds much, [`RENAMER`] and [`REAPER`]. [`DEAD`] has died a moment before, and nobody has noticed.

pub mod beside;
mod cells;
mod crashes;
mod filling;
mod items;
mod renaming;
pub mod ticks;

pub use renaming::renamed_links;

use jobs_conformance::Fixture;
use jobs_core::{Declaration, Link, Millis, SessionId};

use crate::{
    kept::{END, Kept},
    reading::read,
    teller::{Seat, Teller, Told},
};

/// A node that works, and lives on.
pub const FIRST: SessionId = SessionId(0xa1);
/// A node that has died, and that nobody has noticed: what it held is still its own.
pub const DEAD: SessionId = SessionId(0xb2);
/// A node that has taken over what others held, and lives on.
pub const REAPER: SessionId = SessionId(0xc3);
/// A node of a newer version of the program, which has renamed jobs and changed schedules, and lives on.
pub const RENAMER: SessionId = SessionId(0xd4);
/// A node that has ended in peace.
pub const GONE: SessionId = SessionId(0xe5);

/// A job with a query, every minute.
pub const FAN: &str = "shop.fan";
/// Its query has found a part of its items, all of which come at once.
pub const STAGED: &str = "shop.staged";
/// Its query is called page by page.
pub const PAGES: &str = "shop.pages";
/// A job without a query, one at a time.
pub const ONE: &str = "shop.one";
/// A tick of it waits for its last run.
pub const QUEUED: &str = "shop.queued";
/// Its items come before all others.
pub const URGENT: &str = "shop.urgent";
/// Two of its items may run at once over all nodes.
pub const LIMITED: &str = "batch.limited";
/// Its items killed their nodes.
pub const CRASHED: &str = "shop.crashed";
/// Its items cannot be decoded by the builds that have tried.
pub const OPAQUE: &str = "shop.opaque";
/// Its items are dead.
pub const FAILED: &str = "shop.failed";
/// Its runs were cancelled.
pub const CANCELLED: &str = "shop.cancelled";
/// Its run is over but for `on_finish`.
pub const FINISHING: &str = "shop.finishing";
/// Every item of its run has gone another way.
pub const RETRIED: &str = "shop.retried";
/// It is paused by its own name.
pub const PAUSED: &str = "shop.paused";
/// Its group is paused.
pub const ASLEEP: &str = "night.asleep";
/// Nobody links it any more, and its items wait.
pub const LEFT: &str = "shop.left";
/// What [`RENAMED`] was called.
pub const FORMER: &str = "shop.former";
/// A job with another name than it had.
pub const RENAMED: &str = "shop.renamed";
/// A job whose schedule has changed.
pub const CHANGED: &str = "shop.changed";
/// A job for one instant, which was past when it was first seen.
pub const ONCE: &str = "shop.once";
/// Items of every kind of text, and a large one.
pub const TEXTS: &str = "shop.texts";

/// The other namespace.
pub const OTHER: &str = "other";

/// The node of a session of the story.
#[must_use]
pub fn seat(session: SessionId) -> Seat {
    let (name, build, lease) = match session {
        FIRST => ("old-1", "1.0.0", 3_600),
        DEAD => ("old-2", "1.0.0", 30),
        REAPER => ("old-3", "1.0.0", 60),
        RENAMER => ("old-4", "1.1.0", 3_600),
        _ => ("old-5", "1.0.0", 60),
    };
    Seat { session, name, build, lease }
}

/// A job, with room for many items.
#[must_use]
pub fn link(job: &str) -> Link {
    let query = ![ONE, QUEUED, ASLEEP, ONCE].contains(&job);
    let scheduled = [FAN, ONE, QUEUED, ASLEEP, FORMER, RENAMED, CHANGED, PAUSED].contains(&job);
    let limit = (job == LIMITED).then_some(2);
    Link {
        was: (job == RENAMED).then(|| FORMER.into()),
        schedule: if job == ONCE { Some(an_instant()) } else { scheduled.then(|| declared("v1")) },
        query,
        item_type: Some("u64".into()),
        concurrency: 10_000,
        global_concurrency: limit,
        priority: if job == URGENT { 5 } else { 0 },
        ..Link::new(job)
    }
}

/// Jobs with this version's declarations.
#[must_use]
pub fn links(jobs: &[&str]) -> Vec<Link> {
    jobs.iter().map(|job| link(job)).collect()
}

/// The jobs of the version that [`FIRST`] runs.
pub const FIRST_LINKS: [&str; 18] = [
    FAN, STAGED, PAGES, ONE, QUEUED, URGENT, LIMITED, CRASHED, OPAQUE, FAILED, CANCELLED, FINISHING, PAUSED,
    ASLEEP, CHANGED, ONCE, RETRIED, TEXTS,
];

/// All jobs of the story.
pub const ALL: [&str; 21] = [
    FAN, STAGED, PAGES, ONE, QUEUED, URGENT, LIMITED, CRASHED, OPAQUE, FAILED, CANCELLED, FINISHING, PAUSED,
    ASLEEP, CHANGED, ONCE, RETRIED, TEXTS, LEFT, FORMER, RENAMED,
];

/// Every minute, as the version of this name declares it.
#[must_use]
pub fn declared(version: &str) -> Declaration {
    Declaration { text: "* * * * *".into(), tz: "UTC".into(), fingerprint: version.into(), instant: None }
}

fn an_instant() -> Declaration {
    let instant = Some(Millis(END.0 - 24 * 3_600_000));
    Declaration { text: "2026-03-01T09:00:00Z".into(), instant, ..declared("once") }
}

/// Fills an empty place.
///
/// # Errors
/// What the store says; if it does not go as the story is told.
pub async fn fill(place: &dyn Fixture) -> Told<Kept> {
    let mut kept = Kept::default();
    let mut teller = Teller::new(place, -1_200).await?;
    crashes::die(&mut teller, &mut kept).await?;
    teller.at(-600, &[]).await?;
    teller.attach(&seat(FIRST), &links(&FIRST_LINKS)).await?;
    teller.attach(&seat(GONE), &links(&[FORMER, LEFT])).await?;
    renaming::before(&mut teller, &mut kept).await?;
    ticks::fire(&mut teller, &mut kept).await?;
    items::work(&mut teller, &mut kept).await?;
    renaming::rename(&mut teller, &mut kept).await?;
    filling::stop_in_the_middle(&mut teller, &mut kept).await?;
    cells::write(&mut teller, &mut kept).await?;
    kept.reads.insert("jobs".to_owned(), at_the_end(&mut teller).await?);
    let mut other = Teller::new(place, 0).await?;
    other.enter(OTHER)?;
    cells::elsewhere(&mut other, &mut kept).await?;
    kept.reads.insert(OTHER.to_owned(), read(&mut other).await?);
    Ok(kept)
}

async fn at_the_end(teller: &mut Teller<'_>) -> Told<serde_json::Value> {
    teller.at(0, &[]).await?;
    read(teller).await
}
