//! The scripts: one for each operation, made of shared parts and the operation's own.
//!
//! A script is an atomic step of the server, and so is each operation. What several operations do alike stands in
//! `lua/shared`, a file for each concept; an operation takes the parts that it needs.

use std::{fmt::Write, sync::LazyLock};

use jobs_core::{
    DeadItem, ErrorGroup, FORMAT, Link, MAX_CRASHES, PAUSES, STEP, SkipReason, Token, UNDECODABLE_AFTER,
    Verdict,
};

/// The schema that this version writes, and the newest that it knows.
pub(crate) const SCHEMA: u32 = 1;

/// A script, by its text and by the hash that the server knows it by.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) hash: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let text = constants() + &parts.join("\n");
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

/// What the scripts have to know of the contract.
fn constants() -> String {
    let defaults = Link::new("");
    let json = |verdict| serde_json::to_string(&verdict).unwrap_or_default();
    let mut text = String::new();
    let mut constant = |name: &str, value: &dyn std::fmt::Display| {
        // Writing into a string does not fail.
        let _written = writeln!(text, "local {name} = {value}");
    };
    constant("SCHEMA", &SCHEMA);
    constant("FORMAT", &FORMAT);
    constant("STEP", &STEP);
    constant("MAX_NUMBER", &Token::MAX.0);
    constant("MAX_CRASHES", &MAX_CRASHES);
    constant("UNDECODABLE_AFTER", &UNDECODABLE_AFTER.as_millis());
    constant("MAX_ATTEMPTS", &DeadItem::MAX_ATTEMPTS);
    constant("MAX_GROUPS", &ErrorGroup::MAX);
    constant("PAUSES", &format!("[[{PAUSES}]]"));
    constant("MISSED", &format!("[[{}]]", json(Verdict::Missed)));
    constant("SKIPPED", &format!("[[{}]]", json(Verdict::Skipped(SkipReason::Overlap))));
    constant("KEEP_TICKS", &defaults.keep_ticks);
    constant("KEEP_RUNS", &defaults.keep_runs);
    constant("KEEP_DEAD", &defaults.keep_dead.as_millis());
    text
}

macro_rules! shared {
    ($($part:ident),*) => { [$(include_str!(concat!("lua/shared/", stringify!($part), ".lua"))),*] };
}

macro_rules! scripts {
    ($($name:ident = $file:literal: $parts:expr;)*) => { $(
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            let own = include_str!(concat!("lua/", $file, ".lua"));
            Script::new(&[$parts.as_slice(), &[own]].concat())
        });
    )* };
}

const TIME: [&str; 1] = shared![prelude];
const JOBS: [&str; 2] = shared![prelude, jobs];
const CELLS: [&str; 2] = shared![prelude, cells];
const RUNS: [&str; 3] = shared![prelude, jobs, runs];
const CHUNKS: [&str; 5] = shared![prelude, jobs, lines, chunks, runs];
const FILLING: [&str; 8] = shared![prelude, jobs, lines, chunks, runs, filling, leases, bodies];
const ITEMS: [&str; 9] = shared![prelude, jobs, lines, chunks, runs, filling, leases, items, bodies];
const GRANTING: [&str; 11] =
    shared![prelude, jobs, lines, chunks, runs, filling, leases, items, cells, sessions, granting];
const SESSIONS: [&str; 12] =
    shared![prelude, jobs, lines, chunks, runs, filling, leases, items, cells, sessions, takeover, sweeping];
const DECLARING: [&str; 13] = shared![
    prelude, jobs, lines, chunks, runs, filling, leases, items, cells, sessions, takeover, declaring,
    renaming
];
const LISTING: [&str; 4] = shared![prelude, jobs, cells, sessions];

scripts! {
    OPEN = "open": TIME;
    ATTACH = "attach": DECLARING;
    DETACH = "detach": SESSIONS;
    BEAT = "beat": SESSIONS;
    FIRE = "fire": GRANTING;
    PASS = "pass": JOBS;
    APPEND = "append": FILLING;
    SETTLE = "settle": GRANTING;
    COMPLETE = "complete": CHUNKS;
    CANCEL = "cancel": ITEMS;
    GRAVES = "graves": CHUNKS;
    REQUEUE = "requeue": ITEMS;
    DISCARD = "discard": SESSIONS;
    REAP = "reap": SESSIONS;
    PRUNE = "prune": SESSIONS;
    COMPLETABLE = "completable": TIME;
    CELLS_OF = "cells": CELLS;
    PUT = "put": CELLS;
    JOBS_OF = "jobs": LISTING;
    RUNS_OF = "runs": RUNS;
    ITEMS_OF = "items": SESSIONS;
    SESSIONS_OF = "sessions": LISTING;
    TICKS_OF = "ticks": JOBS;
    DEAD_OF = "dead": SESSIONS;
    PLANT = "plant": ITEMS;
}
