//! What a runner says of itself when it starts: to `tracing`, or to stderr where nobody listens.

use std::{fmt::Write, sync::Arc};

use jobs_core::{Attached, JobRecord, Link, Millis};
use jobs_schedule::duration;

use crate::{desk::Desk, node::Node};

/// The lines of the banner.
pub(crate) struct Banner(String);

impl Banner {
    pub(crate) fn new(node: &Node, store: &str) -> Self {
        let jobs = node.desks.len();
        let plural = if jobs == 1 { "" } else { "s" };
        Self(format!("jobs: {jobs} job{plural} on {} · store: {store}\n", node.name))
    }

    /// Adds a line per job, and what others hold.
    pub(crate) fn found(&mut self, node: &Node, attached: &Attached) {
        let widest =
            |column: fn(&Link) -> usize| node.desks.values().map(|desk| column(&desk.job.link)).max();
        let id = widest(|link| link.job.len()).unwrap_or(0).min(40);
        let when = widest(|link| schedule(link).len()).unwrap_or(0).min(40);
        for desk in node.desks.values() {
            let link = &desk.job.link;
            let mut line = format!("  {:id$}  {:when$}", link.job, schedule(link));
            if node.is_paused(&link.job) {
                line += "  paused";
            } else if let Some(next) = next(desk, attached, node.clock.now()) {
                let _ = write!(line, "  next {next}");
            }
            for word in words(desk) {
                let _ = write!(line, " · {word}");
            }
            self.0 += line.trim_end();
            self.0.push('\n');
        }
        let now = node.clock.now();
        for other in attached.others.iter().filter(|other| other.holds > 0 && other.until < now) {
            // Taken back when this runner has been here for one lease.
            let (items, name, wait) = (other.holds, &other.node.name, node.lease.as_secs());
            let _ = writeln!(self.0, "  {items} items held by a dead runner ({name}), back in {wait} s");
        }
    }

    /// Adds what waits for a job that nobody links: a handler that was taken out, or a runner that is not there.
    pub(crate) fn left(&mut self, jobs: &[JobRecord]) {
        for job in jobs.iter().filter(|job| !job.live && job.open() > 0) {
            let (items, id) = (job.open(), &job.link.job);
            let waits = if items == 1 { "item waits" } else { "items wait" };
            let _ = writeln!(self.0, "  {id}: {items} {waits}, and no runner links the job");
        }
    }

    /// To whoever listens; to stderr if nobody does.
    pub(crate) fn show(&self) {
        if tracing::dispatcher::has_been_set() {
            for line in self.0.lines() {
                tracing::info!(target: "jobs", "{line}");
            }
        } else {
            say(&self.0);
        }
    }
}

#[allow(clippy::print_stderr)]
fn say(text: &str) {
    eprint!("{text}");
}

fn schedule(link: &Link) -> String {
    match &link.schedule {
        Some(declared) if declared.instant.is_some() || declared.text.starts_with("every ") => {
            declared.text.to_string()
        }
        Some(declared) => format!("{} {}", declared.text, declared.tz),
        None => "on demand".into(),
    }
}

fn next(desk: &Arc<Desk>, attached: &Attached, now: Millis) -> Option<String> {
    let state = attached.schedules.get(&desk.job.id)?;
    let tick: Millis = desk.job.timetable.as_ref()?.next_after(state.cursor.max(now))?;
    Some(tick.to_string())
}

/// Retries and bounds, in words.
fn words(desk: &Desk) -> Vec<String> {
    let policy = &desk.job.policy;
    let mut words = Vec::new();
    let wait = duration::format(policy.waits.retry_delay);
    match policy.retries {
        0 => words.push("no retries".into()),
        1 => words.push(format!("1 retry after {wait}")),
        n => words.push(format!("{n} retries, {} from {wait}", policy.waits.backoff.as_str())),
    }
    if let Some(timeout) = policy.timeout {
        words.push(format!("timeout {}", duration::format(timeout)));
    }
    if desk.job.def.query.is_none() || policy.max_compute_time != std::time::Duration::from_secs(3_600) {
        words.push(format!("at most {} computing", duration::format(policy.max_compute_time)));
    }
    if desk.job.default_instance {
        words.push("default instance".into());
    }
    words
}
