//! What the operations of the contract are answered.

use std::time::Duration;

use jobs_core::{
    Ahead, Appended, Attached, Cancellation, Cell, Completion, Firing, Header, ItemInfo, Passing, Pruned,
    Pulse, Requeued, RunId, Settled,
};
use serde_json::Value;

use crate::{
    headers::{self, lease},
    reply::{List, Read, session},
    reports,
};

/// A dead item that is to be tried again.
pub(crate) struct Grave {
    /// Its number in the order of deaths.
    pub(crate) number: String,
    pub(crate) item: String,
    pub(crate) header: Header,
    pub(crate) payload: Vec<u8>,
}

/// What no answer says: another version's scripts, or another program's keys.
fn strange<T>(answer: &str) -> Read<T> {
    Err(format!("the server gave the answer `{answer}`, which this version does not know").into())
}

pub(crate) fn attached(mut of: List) -> Read<Attached> {
    let schedules = of.lists(|mut one| Ok((one.text()?.into(), reports::schedule(one.list()?)?)))?;
    let past = of.lists(|mut one| Ok((one.text()?.into(), one.millis()?)))?;
    let reaped = reports::reaped(of.list()?)?;
    let others = of.list()?.readable(reports::session)?;
    let ahead = of.lists(|mut one| {
        Ok(Ahead { schedule: one.text()?.into(), cursor: one.millis()?, set_back: one.flag()? })
    })?;
    Ok(Attached { schedules: schedules.into_iter().collect(), past, reaped, others, ahead })
}

pub(crate) fn pulse(mut of: List) -> Read<Pulse> {
    if !of.flag()? {
        return Ok(Pulse::default());
    }
    let (lost, cancelled) = (of.each(List::token)?, of.each(List::run_id)?);
    let paused = of.lists(|mut pause| Ok((pause.text()?, note(&pause.json().unwrap_or_default()))))?;
    Ok(Pulse { alive: true, lost, cancelled, paused })
}

/// What the cell of a pause notes.
fn note(cell: &Value) -> String {
    cell.get("note").and_then(Value::as_str).unwrap_or_default().to_owned()
}

pub(crate) fn firing(mut of: List) -> Read<Firing> {
    match &*of.text()? {
        "fired" => {
            let (run, leased) = (of.run_id()?, of.list()?);
            let lease = if leased.is_empty() { None } else { Some(lease(leased)?) };
            Ok(Firing::Fired { run, lease })
        }
        "already" => Ok(Firing::Already(reports::schedule(of.list()?)?)),
        "busy" => Ok(Firing::Busy { run: of.run_id()? }),
        "paused" => Ok(Firing::Paused { note: note(&of.json().unwrap_or_default()) }),
        "not yet" => Ok(Firing::NotYet { wait: Duration::from_millis(of.number()?) }),
        "stale" => Ok(Firing::Stale),
        other => strange(other),
    }
}

pub(crate) fn passing(mut of: List) -> Read<Passing> {
    match &*of.text()? {
        "passed" => Ok(Passing::Passed),
        "already" => Ok(Passing::Already(reports::schedule(of.list()?)?)),
        "not yet" => Ok(Passing::NotYet),
        "stale" => Ok(Passing::Stale),
        other => strange(other),
    }
}

pub(crate) fn appended(mut of: List) -> Read<Appended> {
    match &*of.text()? {
        "stored" => Ok(Appended::Stored { ready: of.number()?, total: of.number()? }),
        "lost" => Ok(Appended::Lost),
        "out of order" => Ok(Appended::OutOfOrder { expected: of.number()? }),
        other => strange(other),
    }
}

pub(crate) fn settled(mut of: List) -> Read<Settled> {
    Ok(Settled {
        leases: of.list()?.readable(lease)?,
        lost: of.each(List::token)?,
        ended: of.each(List::run_id)?,
        next_due: of.maybe_millis()?,
    })
}

pub(crate) fn completion(mut of: List) -> Read<Completion> {
    match &*of.text()? {
        "completed" => Ok(Completion::Completed(Box::new(reports::report(of.list()?)?))),
        "already" => Ok(Completion::Already(Box::new(reports::report(of.list()?)?))),
        "open" => Ok(Completion::Open),
        "unknown" => Ok(Completion::Unknown),
        other => strange(other),
    }
}

pub(crate) fn cancelled(mut of: List) -> Read<Cancellation> {
    match &*of.text()? {
        "cancelled" => Ok(Cancellation::Cancelled { more: of.flag()? }),
        "over" => Ok(Cancellation::Over),
        "none" => Ok(Cancellation::Unknown),
        other => strange(other),
    }
}

pub(crate) fn pruned(mut of: List) -> Read<Pruned> {
    Ok(Pruned { removed: of.number::<u64>()? as usize, more: of.flag()? })
}

pub(crate) fn grave(mut of: List) -> Read<Grave> {
    let (number, item) = (of.text()?, of.text()?);
    let header = headers::chunk(of.list()?)?.header;
    let payload = reports::trimmed(of.bytes()?);
    Ok(Grave { number, item, header, payload })
}

/// The run that dead items were moved to, if they were; nothing if they have changed meanwhile.
pub(crate) fn requeued(mut of: List) -> Read<Option<Option<Requeued>>> {
    match &*of.text()? {
        "requeued" => {
            let run = RunId::new(of.number()?);
            Ok(Some(Some(Requeued { run, items: of.number()? })))
        }
        "none" => Ok(Some(None)),
        "changed" => Ok(None),
        other => strange(other),
    }
}

pub(crate) fn named_cell(mut of: List) -> Read<(String, Cell)> {
    let name = of.text()?;
    match cell(of.list()?)? {
        Some(cell) => Ok((name, cell)),
        None => strange(&name),
    }
}

fn cell(mut of: List) -> Read<Option<Cell>> {
    if of.is_empty() {
        return Ok(None);
    }
    let (version, value, expires_at, owner) = (of.number()?, of.json()?, of.maybe_millis()?, of.text()?);
    let owner = if owner.is_empty() { None } else { Some(session(&owner)?) };
    Ok(Some(Cell { version, value, expires_at, owner }))
}

pub(crate) fn put(mut of: List) -> Read<Result<u64, Option<Cell>>> {
    match &*of.text()? {
        "put" => Ok(Ok(of.number()?)),
        "differs" => Ok(Err(cell(of.list()?)?)),
        other => strange(other),
    }
}

/// The next place and the mark in it, and a page of items.
pub(crate) type ItemPage = (Option<(u64, String)>, Vec<ItemInfo>);

/// A page of the items of a run.
pub(crate) fn items(mut of: List) -> Read<ItemPage> {
    let mut next = of.list()?;
    let next = if next.is_empty() { None } else { Some((next.number()?, next.text()?)) };
    let items = of.list()?.readable(reports::items)?;
    Ok((next, items.into_iter().flatten().collect()))
}
