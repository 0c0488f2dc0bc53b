//! All that can be read of a namespace, as JSON.

use jiff::Timestamp;
use jobs_core::{Cell, DeadFilter, JobRecord, ScheduleState, SessionRecord};
use serde_json::{Map, Value, json};

use crate::{
    kept::END,
    teller::{Teller, Told},
};

/// More items than any run has left.
const ITEMS: usize = 2_000;

/// Reads everything.
///
/// # Errors
/// What the store says.
pub async fn read(teller: &mut Teller<'_>) -> Told<Value> {
    let jobs = teller.ask(|store| store.jobs()).await?;
    let sessions = teller.ask(|store| store.sessions()).await?;
    let cells = teller.ask(|store| store.list("")).await?;
    let dead = teller.ask(|store| store.dead(DeadFilter::new().limit(1_000))).await?;
    let completable = teller.ask(|store| store.completable(1_000)).await?;
    let runs = teller.runs().await?;
    let mut items = Map::new();
    for run in &runs {
        let id = run.id;
        let mut of_run = teller.ask(|store| store.items(id, ITEMS)).await?;
        for item in &mut of_run {
            shorten(&mut item.payload);
        }
        if !of_run.is_empty() {
            items.insert(id.to_string(), serde_json::to_value(of_run)?);
        }
    }
    let mut ticks = Map::new();
    for job in jobs.iter().filter(|record| record.schedule.is_some()) {
        let schedule = job.link.job.clone();
        let verdicts = teller.ask(|store| store.ticks(&schedule, 1_000)).await?;
        ticks.insert(schedule.to_string(), serde_json::to_value(verdicts)?);
    }
    Ok(json!({
        "jobs": jobs.iter().map(job).collect::<Vec<_>>(),
        "sessions": sessions.iter().map(session).collect::<Vec<_>>(),
        "cells": cells.iter().map(|(name, found)| (name.clone(), cell(found))).collect::<Map<_, _>>(),
        "dead": dead,
        "completable": completable,
        "runs": runs,
        "items": items,
        "ticks": ticks,
    }))
}

/// Of a long text, its length says enough.
fn shorten(payload: &mut Value) {
    if let Value::String(text) = payload
        && text.len() > 1_000
    {
        *text = format!("{} bytes", text.len());
    }
}

fn job(record: &JobRecord) -> Value {
    json!({
        "link": record.link,
        "schedule": record.schedule.as_ref().map(schedule),
        "live": record.live,
        "ready": record.ready,
        "delayed": record.delayed,
        "in_flight": record.in_flight,
        "dead": record.dead,
    })
}

fn schedule(state: &ScheduleState) -> Value {
    json!({ "cursor": state.cursor, "waiting": state.waiting, "fingerprint": state.fingerprint })
}

fn session(record: &SessionRecord) -> Value {
    let SessionRecord { session, node, holds, until } = record;
    json!({ "session": session, "node": node, "holds": holds, "until": until })
}

fn cell(cell: &Cell) -> Value {
    let Cell { version, value, expires_at, owner } = cell;
    json!({ "version": version, "value": value, "expires_at": expires_at, "owner": owner })
}

/// Where what is found differs from what was kept, if it does: everything that was kept has to be found, and what is
/// found may have more fields than there were. Times may differ by so many milliseconds.
#[must_use]
pub fn difference(kept: &Value, found: &Value, slack: u64) -> Option<String> {
    match (kept, found) {
        (Value::Object(kept), Value::Object(found)) => kept.iter().find_map(|(name, kept)| {
            let differs = match found.get(name) {
                Some(found) => difference(kept, found, slack),
                None => Some(format!(" is gone: {kept}")),
            };
            differs.map(|differs| format!(".{name}{differs}"))
        }),
        (Value::Array(kept), Value::Array(found)) if kept.len() == found.len() => {
            let pairs = kept.iter().zip(found).enumerate();
            let mut differences = pairs.filter_map(|(n, (kept, found))| {
                difference(kept, found, slack).map(|differs| format!("[{n}]{differs}"))
            });
            differences.next()
        }
        (kept, found) if kept == found => None,
        (kept, found) => match (instant(kept), instant(found)) {
            (Some(then), Some(now)) if then.abs_diff(now) <= slack => None,
            _ => Some(format!(": it was {kept}, and is {found}")),
        },
    }
}

/// The time that a value names, in milliseconds: numbers of the store's source are far greater, and all others far less.
fn instant(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
        Value::Number(number) => number.as_i64().filter(|millis| (END.0 / 2..END.0 * 2).contains(millis)),
        _ => None,
    }
}
