//! The sessions, jobs, ticks and items that the rules are told with.

use std::time::Duration;

use jobs_core::{
    Attach, Attached, Body, BodyWriter, Cause, Declaration, Failure, FailureKind, Fire, IfBusy, Lease, Link,
    Millis, Node, ScheduleState, SessionId, Trigger, Verdict, Want,
};

use crate::violation::{Broken, Check};

/// How long a session of the suite lives without a beat.
pub(crate) const LEASE: Duration = Duration::from_secs(600);
/// A step of time that no lease notices.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// More than a lease.
pub(crate) const LONG: Duration = Duration::from_secs(660);

/// Three sessions.
pub(crate) const A: SessionId = SessionId(0xa);
pub(crate) const B: SessionId = SessionId(0xb);
pub(crate) const C: SessionId = SessionId(0xc);

/// A job with a query, a second one, and one without.
pub(crate) const FAN: &str = "suite.fan";
pub(crate) const FAN_TOO: &str = "suite.fan_too";
pub(crate) const ONE: &str = "suite.one";

/// The declaration that jobs of the suite have at first.
pub(crate) const DECLARED: &str = "declared";

/// A session of a node and a build of their own, named for the session.
pub(crate) fn attach(session: SessionId, links: &[Link]) -> Attach {
    let name = format!("node-{session}");
    let node = Node { name, build: format!("build-{session}").into(), ..Node::default() };
    Attach { session, lease: LEASE, node, links: links.to_vec(), gone: Vec::new() }
}

/// A job of the suite, on a schedule and with room for many items.
pub(crate) fn link(job: &str) -> Link {
    Link { schedule: Some(declared(DECLARED)), query: job != ONE, concurrency: 1_000, ..Link::new(job) }
}

pub(crate) fn declared(fingerprint: &str) -> Declaration {
    Declaration { text: "* * * * *".into(), tz: "UTC".into(), fingerprint: fingerprint.into(), instant: None }
}

/// So many free slots, of which a job may take what it links.
pub(crate) fn slots(slots: u32) -> Want {
    Want { slots, jobs: Vec::new() }
}

/// A tick of a job, decided from this state, with nothing passed over.
pub(crate) fn tick(job: &str, state: &ScheduleState, tick: Millis, if_busy: IfBusy) -> Fire {
    let cause = Cause::Tick {
        schedule: job.into(),
        fingerprint: state.fingerprint.clone(),
        cursor: state.cursor,
        tick,
        at: tick,
        verdict: Verdict::Fired,
        trigger: Trigger::Schedule,
        passed: Vec::new(),
    };
    Fire {
        job: job.into(),
        cause,
        if_busy,
        priority: 0,
        query: job != ONE,
        exclusive: job == ONE,
        item_type: "()".into(),
    }
}

/// Where the schedule of a job stands, as its attach said.
pub(crate) fn state_of(attached: &Attached, job: &str) -> Check<ScheduleState> {
    let state = attached.schedules.get(job).cloned();
    state.ok_or_else(|| Broken(format!("attach answers with the schedule of `{job}`, and did not")))
}

/// The numbers in a range as items, ten to a body.
pub(crate) fn bodies(items: std::ops::Range<u64>) -> Check<Vec<Body>> {
    let written = |error: serde_json::Error| Broken(format!("a number is JSON, and was not: {error}"));
    let (mut writer, mut bodies) = (BodyWriter::default(), Vec::new());
    for item in items {
        bodies.extend(writer.push(&item).map_err(written)?);
        if item % 10 == 9 {
            bodies.extend(writer.finish());
        }
    }
    bodies.extend(writer.finish());
    Ok(bodies)
}

/// The items of a lease, as the numbers that were appended.
pub(crate) fn numbers(lease: &Lease) -> Vec<u64> {
    lease.chunk.body.items().filter_map(|item| serde_json::from_slice(item).ok()).collect()
}

/// The items of all leases, in their order.
pub(crate) fn all_numbers(leases: &[Lease]) -> Vec<u64> {
    leases.iter().flat_map(numbers).collect()
}

/// A failure that says this.
pub(crate) fn failure(message: &str, now: Millis) -> Box<Failure> {
    Box::new(Failure::new(FailureKind::Error, message, now.timestamp()))
}
