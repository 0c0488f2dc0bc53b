//! The jobs and sessions of all sequences.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use jobs_core::{Attach, Declaration, Link, Millis, Node, Overlap, SessionId};

use crate::time;

/// A query whose items are many.
pub const FAN: &str = "g.fan";
/// A query that is called page by page.
pub const PAGE: &str = "g.page";
/// A query whose items are limited over all sessions.
pub const LIMITED: &str = "g.limited";
/// A job without a query: one attempt at a time.
pub const ONE: &str = "g.one";
/// A job without a query whose runs may overlap.
pub const OVERLAPS: &str = "h.overlaps";
/// The name that the first query has after a deploy.
pub const RENAMED: &str = "h.fan";

/// All jobs.
pub const JOBS: [&str; 6] = [FAN, PAGE, LIMITED, ONE, OVERLAPS, RENAMED];

/// How long a session lives without a beat. It ends in five seconds: see [`time`].
pub const LEASE: Duration = Duration::from_secs(605);

/// Whether a query finds the items of a job.
#[must_use]
pub fn has_query(job: &str) -> bool {
    !matches!(job, ONE | OVERLAPS)
}

/// How a job is linked by some deploy.
#[must_use]
pub fn link(job: &str, rng: &mut Rng) -> Link {
    let fingerprint = ["first", "first", "first", "second", "third"][rng.usize(..5)];
    let instant =
        (job == OVERLAPS && rng.bool()).then(|| Millis(time::START + 600_000 * rng.i64(0..3) + time::TICK));
    let declaration = Declaration {
        text: "* * * * *".into(),
        tz: "UTC".into(),
        fingerprint: if instant.is_some() { "instant".into() } else { fingerprint.into() },
        instant,
    };
    Link {
        was: (job == RENAMED && rng.u8(..3) > 0).then(|| FAN.into()),
        schedule: (job != OVERLAPS || rng.u8(..4) > 0).then_some(declaration),
        query: has_query(job),
        overlap: if job == OVERLAPS { Overlap::Allow } else { Overlap::Skip },
        concurrency: [1, 3, 50][rng.usize(..3)],
        global_concurrency: (job == LIMITED).then_some(2),
        keep_runs: [1, 3, 100][rng.usize(..3)],
        keep_ticks: [1, 3, 100][rng.usize(..3)],
        keep_dead: Duration::from_secs([2_005, 100_005][rng.usize(..2)]),
        ..Link::new(job)
    }
}

/// A session that opens. It is of one of three builds; now and then it has renamed a job, if that `renames`.
#[must_use]
pub fn attach(session: SessionId, rng: &mut Rng, renames: bool) -> Attach {
    let node = Node {
        name: format!("node-{session}"),
        host: "host".to_owned(),
        build: Arc::from(format!("build-{}", rng.u8(..3))),
        ..Node::default()
    };
    let linked =
        JOBS.iter().filter(|job| rng.u8(..10) < if **job == RENAMED { u8::from(renames) } else { 8 });
    let jobs: Vec<&str> = linked.copied().collect();
    let links = jobs.into_iter().map(|job| link(job, rng)).collect();
    Attach { session, lease: LEASE, node, links, gone: Vec::new() }
}
