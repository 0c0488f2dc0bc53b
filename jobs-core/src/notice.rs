//! Warnings, also where nobody listens: without a `tracing` subscriber they go to stderr, and not without end.
//!
//! For runners and stores; not for users.

use std::{
    collections::BTreeMap,
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Of one kind, so many are shown in a minute.
const SHOWN: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);

/// Says what a person should know of. `kind` is what it is counted under: of one kind, 20 a minute are shown.
pub fn warn(kind: &'static str, text: impl Display) {
    tracing::warn!(target: "jobs", "{text}");
    if is_unheard() {
        show(kind, text);
    }
}

/// Whether a warning would be lost: no `tracing` subscriber has been set.
#[must_use]
pub fn is_unheard() -> bool {
    !tracing::dispatcher::has_been_set()
}

/// Shows a warning on stderr, unless many of its kind were.
#[allow(clippy::print_stderr)]
pub fn show(kind: &'static str, text: impl Display) {
    static SEEN: Mutex<BTreeMap<&'static str, (Instant, u32)>> = Mutex::new(BTreeMap::new());
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, shown) = seen.entry(kind).or_insert_with(|| (Instant::now(), 0));
    if since.elapsed() > MINUTE {
        (*since, *shown) = (Instant::now(), 0);
    }
    *shown += 1;
    match *shown {
        n if n < SHOWN => eprintln!("jobs: {text}"),
        SHOWN => eprintln!(
            "jobs: {text}; more of these are not shown for a minute: set a tracing subscriber to see all"
        ),
        _ => {}
    }
}
