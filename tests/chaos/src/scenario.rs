//! What happens to the processes, and what is measured.

mod kill;
mod memory;
mod pages;
mod share;
mod stop;

use std::path::Path;

use jobs_runner::prelude::*;
use serde::Serialize;

use crate::oracle::Verdict;

/// How a scenario is played.
#[derive(Clone, Debug)]
pub struct Play<'a> {
    /// The program that plays a process under test.
    pub program: &'a Path,
    /// The store, `sqlite` or a URL.
    pub store: &'a str,
    /// How many faults there are, at least.
    pub faults: u64,
    /// Whether less is done, for every day.
    pub short: bool,
}

/// What came of a scenario: one line of JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Its name.
    pub scenario: &'static str,
    /// The store.
    pub store: String,
    /// What the logs say.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What else the scenario found wrong.
    pub wrong: Vec<String>,
}

impl Outcome {
    fn new(scenario: &'static str, play: &Play<'_>, verdict: Verdict) -> Self {
        let store = play.store.split(':').next().unwrap_or_default().to_owned();
        Self { scenario, store, verdict, wrong: Vec::new() }
    }

    /// Notes what else is wrong, unless it holds.
    fn demand(mut self, holds: bool, wrong: impl FnOnce() -> String) -> Self {
        if !holds {
            self.wrong.push(wrong());
        }
        self
    }

    /// Whether every promise was kept.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.verdict.is_clean() && self.wrong.is_empty()
    }
}

/// The names of all scenarios.
pub const NAMES: [&str; 7] = ["kill", "pages", "memory", "share2", "share4", "stop", "commit"];

/// Plays a scenario.
///
/// # Errors
/// If it is unknown, or could not be played to its end.
pub async fn play(name: &str, play: &Play<'_>) -> Result<Outcome> {
    match name {
        "kill" => kill::play(play).await,
        "pages" => pages::play(play).await,
        "memory" => memory::play(play).await,
        "share2" => share::play("share2", 2, play).await,
        "share4" => share::play("share4", 4, play).await,
        "stop" => stop::outside(play).await,
        "commit" => stop::inside_a_commit(play).await,
        _ => Err(format!("there is no scenario `{name}`; there are {}", NAMES.join(", ")).into()),
    }
}
