//! What happens to the processes, and what is measured.

mod clocks;
mod crowd;
mod deploy;
mod far;
mod future;
mod kill;
mod memory;
mod much;
mod outage;
mod pages;
mod partition;
mod refused;
mod restore;
mod server;
mod share;
mod stop;

use std::{future::Future, path::Path, pin::Pin, time::Duration};

use jobs_runner::prelude::*;
use serde::Serialize;

use crate::{backend::Kind, oracle::Verdict};

/// How a scenario is played.
#[derive(Clone, Debug)]
pub struct Play<'a> {
    /// The program that plays a process under test.
    pub program: &'a Path,
    /// The store.
    pub store: Kind,
    /// How many faults there are, at least, where they are counted.
    pub faults: u64,
    /// How long trouble lasts, where it is not counted.
    pub seconds: u64,
    /// Whether less is done, for every day.
    pub short: bool,
    /// The program of an earlier version, which is replaced and comes back in a deploy.
    pub old: Option<&'a Path>,
}

/// The longest that a call of a store may take, on a machine that has time; a test may find one that has none.
const CALL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));
/// The same of a script of Redis, which keeps everybody else waiting.
const SCRIPT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// What came of a scenario: one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub scenario: &'static str,
    /// The store.
    pub store: &'static str,
    /// What the logs say.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What else the scenario found wrong.
    pub wrong: Vec<String>,
}

impl Outcome {
    fn new(scenario: &'static str, play: &Play<'_>, verdict: Verdict) -> Self {
        Self { scenario, store: play.store.name(), verdict, wrong: Vec::new() }
    }

    /// Notes what else is wrong, unless it holds.
    fn demand(mut self, holds: bool, wrong: impl FnOnce() -> String) -> Self {
        if !holds {
            self.wrong.push(wrong());
        }
        self
    }

    /// Demands that no call of the store took long.
    fn demand_short_calls(mut self, play: &Play<'_>) -> Self {
        let bound = |(long, short): (Duration, Duration)| if play.short { short } else { long }.as_millis();
        for (operation, took) in &self.verdict.longest_ms {
            if u128::from(*took) > bound(CALL) {
                self.wrong.push(format!("a call of `{operation}` took {took} ms"));
            }
        }
        let script = self.verdict.script_ms.unwrap_or(0);
        self.demand(u128::from(script) <= bound(SCRIPT), || format!("a script took {script} ms"))
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.wrong.is_empty()
    }
}

/// How a scenario is played.
type Played = for<'a> fn(&'a Play<'a>) -> Pin<Box<dyn Future<Output = Result<Outcome>> + 'a>>;

/// Which stores a scenario is for.
type On = fn(Kind) -> bool;

/// Every scenario: its name, the stores that it is for, and how it is played.
const ALL: [(&str, On, Played); 24] = [
    ("kill", any, |play| Box::pin(kill::alone(play))),
    ("kill4", any, |play| Box::pin(kill::among_four(play))),
    ("pages", any, |play| Box::pin(pages::play(play))),
    ("memory", any, |play| Box::pin(memory::play(play))),
    ("share2", any, |play| Box::pin(share::play("share2", 2, play))),
    ("share4", any, |play| Box::pin(share::play("share4", 4, play))),
    ("stop", any, |play| Box::pin(stop::outside(play))),
    ("commit", a_file, |play| Box::pin(stop::inside_a_commit(play))),
    ("server", a_server, |play| Box::pin(server::killed(play))),
    ("everysec", redis, |play| Box::pin(server::killed_unsynced(play))),
    ("cut", a_server, |play| Box::pin(server::cut(play))),
    ("outage", a_server, |play| Box::pin(outage::play(play))),
    ("partition", a_server, |play| Box::pin(partition::play(play))),
    ("clocks", a_server, |play| Box::pin(clocks::shifted(play))),
    ("step", any, |play| Box::pin(clocks::stepped(play))),
    ("promote", redis, |play| Box::pin(restore::promoted(play))),
    ("backup", any, |play| Box::pin(restore::restored(play))),
    ("deploy", any, |play| Box::pin(deploy::play(play))),
    ("crowd", any, |play| Box::pin(crowd::at_once(play))),
    ("far", a_server, |play| Box::pin(far::play(play))),
    ("much", any, |play| Box::pin(much::play(play))),
    ("future", any, |play| Box::pin(future::play(play))),
    ("refused", any, |play| Box::pin(refused::play(play))),
    ("ticks", any, |play| Box::pin(crowd::a_thousand_ticks(play))),
];

fn any(_: Kind) -> bool {
    true
}

fn a_file(kind: Kind) -> bool {
    !kind.is_served()
}

fn a_server(kind: Kind) -> bool {
    kind.is_served()
}

fn redis(kind: Kind) -> bool {
    kind == Kind::Redis
}

/// The names of the scenarios of a store.
#[must_use]
pub fn names(kind: Kind) -> Vec<&'static str> {
    ALL.iter().filter(|(_, on, _)| on(kind)).map(|(name, ..)| *name).collect()
}

/// Plays a scenario.
///
/// # Errors
/// If the store has none of that name, or it could not be played to its end.
pub async fn play(name: &str, play: &Play<'_>) -> Result<Outcome> {
    let found = ALL.iter().find(|(known, on, _)| *known == name && on(play.store));
    match found {
        Some((.., played)) => played(play).await,
        None => {
            let (store, known) = (play.store.name(), names(play.store).join(", "));
            Err(format!("there is no scenario `{name}` for {store}; there are {known}").into())
        }
    }
}
