//! The scripts: one for each operation, made of shared parts and the operation's own.
//!
//! A script is an atomic step of the server, and so is each operation. What several operations do alike stands in
//! `lua/shared`, a file for each concept; an operation takes the parts that it needs.

use std::{collections::BTreeMap, sync::LazyLock};

use jobs_core::{
    DeadItem, ErrorGroup, FORMAT, Link, MAX_CRASHES, PAUSES, STEP, STEP_RECORDS, SkipReason, Stage, Token,
    Trigger, UNDECODABLE_AFTER, Verdict,
    ledger::{GONE, QueueKind, REPEATED, SET_BACK, SUPERSEDED, Session, ahead_cell, poison_message},
};

use crate::{
    headers::stage_number,
    request::{millis, name_of},
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
    /// The operation's own part is a function of its own, for a function of Lua has room for 200 names.
    fn new(shared: &[&str], own: &str) -> Self {
        let text = with_constants(&format!("{}\nreturn (function()\n{own}\nend)()\n", shared.join("\n")));
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

/// What the scripts have to know of the contract: each name stands for its value wherever a script has it.
static CONSTANTS: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let defaults = Link::new("");
    let json = |verdict| format!("[[{}]]", serde_json::to_string(&verdict).unwrap_or_default());
    let triggers = Trigger::ALL.iter().filter_map(|trigger| name_of(trigger).ok());
    let triggers: String = triggers.map(|name| format!(" {name} = true,")).collect();
    let kind = |kind: QueueKind| (kind as i16).to_string();
    BTreeMap::from([
        ("SCHEMA", SCHEMA.to_string()),
        ("FORMAT", FORMAT.to_string()),
        ("STEP", STEP.to_string()),
        ("STEP_RECORDS", STEP_RECORDS.to_string()),
        ("SUPERSEDED", SUPERSEDED.to_string()),
        ("SET_BACK", SET_BACK.as_millis().to_string()),
        ("REPEATED", REPEATED.as_millis().to_string()),
        ("LEFT_AT", format!("'{}'", millis(Session::LEFT))),
        ("GONE_AT", format!("'{}'", millis(Session::GONE))),
        ("AHEAD", format!("[[{}]]", ahead_cell(""))),
        // A `%` stands for how many nodes died.
        ("POISON", format!("[[{}]]", poison_message(0).replacen('0', "%", 1))),
        ("GONE", format!("[[{GONE}]]")),
        ("TRIGGERS", format!("{{{triggers} }}")),
        ("MAX_NUMBER", Token::MAX.0.to_string()),
        ("MAX_CRASHES", MAX_CRASHES.to_string()),
        ("UNDECODABLE_AFTER", UNDECODABLE_AFTER.as_millis().to_string()),
        ("MAX_ATTEMPTS", DeadItem::MAX_ATTEMPTS.to_string()),
        ("MAX_GROUPS", ErrorGroup::MAX.to_string()),
        ("OTHERS", format!("[[{}]]", ErrorGroup::OTHERS)),
        ("PAUSES", format!("[[{PAUSES}]]")),
        ("MISSED", json(Verdict::Missed)),
        ("SKIPPED", json(Verdict::Skipped(SkipReason::Overlap))),
        ("KEEP_TICKS", defaults.keep_ticks.to_string()),
        ("KEEP_RUNS", defaults.keep_runs.to_string()),
        ("KEEP_DEAD", defaults.keep_dead.as_millis().to_string()),
        ("CONTROL", kind(QueueKind::Control)),
        ("WORK_LINE", kind(QueueKind::Work)),
        ("SUSPECT", kind(QueueKind::Suspect)),
        ("ASIDE", kind(QueueKind::Aside)),
        ("NEWER", kind(QueueKind::Newer)),
        ("STAGED", kind(QueueKind::Staged)),
        ("FILL", stage_number(Stage::Fill).to_string()),
        ("WORK", stage_number(Stage::Work).to_string()),
        ("FINISH", stage_number(Stage::Finish).to_string()),
    ])
});

/// A script with its constants written out.
fn with_constants(text: &str) -> String {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_of_name) {
        let (before, from) = rest.split_at(start);
        let (name, after) = from.split_at(from.find(|c| !is_of_name(c)).unwrap_or(from.len()));
        written.push_str(before);
        written.push_str(CONSTANTS.get(name).map_or(name, |value| value));
        rest = after;
    }
    written + rest
}

macro_rules! shared {
    ($($part:ident),*) => { [$(include_str!(concat!("lua/shared/", stringify!($part), ".lua"))),*] };
}

macro_rules! scripts {
    ($($name:ident = $file:literal: $parts:expr;)*) => { $(
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            let own = include_str!(concat!("lua/", $file, ".lua"));
            Script::new(&$parts, own)
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
const CANCELLING: [&str; 9] = shared![prelude, jobs, lines, chunks, runs, filling, leases, items, cancelling];
const SESSIONS: [&str; 12] =
    shared![prelude, jobs, lines, chunks, runs, filling, leases, items, cells, sessions, takeover, sweeping];
const SHOWING: [&str; 11] =
    shared![prelude, jobs, lines, chunks, runs, filling, leases, items, cells, sessions, cancelling];
const REAPING: [&str; 14] = shared![
    prelude, jobs, lines, chunks, runs, filling, leases, items, cells, sessions, takeover, cancelling,
    renaming, auditing
];
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
    CANCEL = "cancel": CANCELLING;
    GRAVES = "graves": CHUNKS;
    REQUEUE = "requeue": ITEMS;
    DISCARD = "discard": SESSIONS;
    REAP = "reap": REAPING;
    PRUNE = "prune": SESSIONS;
    COMPLETABLE = "completable": TIME;
    CELLS_OF = "cells": CELLS;
    PUT = "put": CELLS;
    JOBS_OF = "jobs": LISTING;
    RUNS_OF = "runs": RUNS;
    ITEMS_OF = "items": SHOWING;
    SESSIONS_OF = "sessions": LISTING;
    TICKS_OF = "ticks": JOBS;
    DEAD_OF = "dead": SESSIONS;
    PLANT = "plant": ITEMS;
}
