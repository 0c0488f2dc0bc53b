//! What the operations on items and cells send to their scripts. Whatever has more digits than a number of Lua is text.

use std::{collections::HashMap, sync::Arc};

use jobs_core::{
    Append, Body, BoxError, Complete, Effect, End, Failure, Millis, PutCell, Requeue, RunId, SessionId,
    Settle, Settlement, Want, requeued_chunks,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    answers::Grave,
    bodies::stored,
    headers::{Sent, whole_millis},
};

/// What making a request gives.
pub(crate) type Made<T> = Result<T, BoxError>;

/// The greatest time that the scripts reckon with: beyond it a number has not all of its digits.
const LATEST: i64 = (1 << 53) - 1;

/// A time as the scripts keep it.
pub(crate) fn millis(at: Millis) -> i64 {
    at.0.clamp(-LATEST, LATEST)
}

/// The name of an enum's variant without data.
pub(crate) fn name_of(variant: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_value(variant)?.as_str().unwrap_or_default().to_owned())
}

/// The name of a session in the server.
pub(crate) fn session(id: SessionId) -> String {
    id.to_string()
}

#[derive(Serialize)]
struct SentFailure {
    kind: String,
    message: String,
    json: String,
}

fn failure(failure: Failure) -> Made<SentFailure> {
    let (kind, json) = (name_of(&failure.kind)?, serde_json::to_string(&failure)?);
    Ok(SentFailure { kind, json, message: failure.message })
}

/// How an attempt ended.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum SentEnd {
    Done,
    Retry { at: i64, wait: u64, failure: SentFailure },
    Snooze { at: i64, wait: u64 },
    Dead { failure: SentFailure },
    Discarded,
    Cancelled,
    Expired,
    Undecodable { message: String },
    Back,
}

fn end(end: &End) -> Made<SentEnd> {
    let mut end = end.clone();
    end.cut();
    Ok(match end {
        End::Done(_) => SentEnd::Done,
        End::Retry { at, wait, failure: why } => {
            SentEnd::Retry { at: millis(at), wait: whole_millis(wait), failure: failure(*why)? }
        }
        End::Snooze { at, wait } => SentEnd::Snooze { at: millis(at), wait: whole_millis(wait) },
        End::Dead(why) => SentEnd::Dead { failure: failure(*why)? },
        End::Discarded(_) => SentEnd::Discarded,
        End::Cancelled => SentEnd::Cancelled,
        End::Expired => SentEnd::Expired,
        End::Undecodable(message) => SentEnd::Undecodable { message },
        End::Back => SentEnd::Back,
    })
}

#[derive(Serialize)]
struct SentSettlement {
    token: String,
    from: u32,
    to: u32,
    #[serde(flatten)]
    end: SentEnd,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    effects: Vec<SentPut>,
}

/// A cell to write.
#[derive(Serialize)]
pub(crate) struct SentPut {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

pub(crate) fn put(name: &str, expected: Option<u64>, put: &PutCell) -> Made<SentPut> {
    Ok(SentPut {
        name: name.to_owned(),
        expected: expected.map(|version| version.to_string()),
        value: put.value.as_ref().map(serde_json::to_string).transpose()?,
        expires_in: put.expires_in.map(whole_millis),
        owner: put.owner.map(session),
    })
}

#[derive(Serialize)]
pub(crate) struct SentWant {
    slots: u32,
    jobs: Vec<SentJobWant>,
}

#[derive(Serialize)]
struct SentJobWant {
    job: Arc<str>,
    slots: u32,
    per_slot: u32,
}

pub(crate) fn want(want: &Want) -> SentWant {
    let jobs = want.jobs.iter().map(|wanted| SentJobWant {
        job: wanted.job.clone(),
        slots: wanted.slots,
        per_slot: wanted.per_slot,
    });
    SentWant { slots: want.slots, jobs: jobs.collect() }
}

#[derive(Serialize)]
pub(crate) struct SentSettle {
    session: String,
    lane: String,
    /// Twenty digits, so that the order of texts is that of the numbers.
    n: String,
    settlements: Vec<SentSettlement>,
    want: SentWant,
}

pub(crate) fn settle(settle: &Settle) -> Made<SentSettle> {
    let mut effects: HashMap<usize, Vec<SentPut>> = HashMap::new();
    for (index, effect) in &settle.effects {
        let Effect::PutCell { name, put: cell } = effect;
        effects.entry(*index).or_default().push(put(name, None, cell)?);
    }
    let settlements = settle.settlements.iter().enumerate().map(|(index, settlement)| {
        let Settlement { token, from, to, end: how } = settlement;
        let effects = effects.remove(&index).unwrap_or_default();
        Ok(SentSettlement { token: token.0.to_string(), from: *from, to: *to, end: end(how)?, effects })
    });
    Ok(SentSettle {
        session: session(settle.session),
        lane: settle.lane.to_string(),
        n: format!("{:020}", settle.n),
        settlements: settlements.collect::<Made<_>>()?,
        want: want(&settle.want),
    })
}

#[derive(Serialize)]
pub(crate) struct SentAppend<'a> {
    token: String,
    seq: u64,
    item_type: &'a str,
    counts: Vec<u32>,
    page: bool,
    cursor: bool,
    last: bool,
}

/// An append; its bodies are sent beside it, those that have items.
pub(crate) fn append(append: &Append) -> SentAppend<'_> {
    SentAppend {
        token: append.token.0.to_string(),
        seq: append.seq,
        item_type: &append.item_type,
        counts: append.bodies.iter().map(Body::count).filter(|count| *count > 0).collect(),
        page: append.page.is_some(),
        cursor: append.page.as_ref().is_some_and(Option::is_some),
        last: append.last,
    }
}

/// Runs to end.
pub(crate) fn complete(runs: &[Complete]) -> Value {
    let sent = runs.iter().map(|one| json!({ "run": one.run.to_string(), "finish": one.finish }));
    json!({ "runs": sent.collect::<Vec<_>>() })
}

/// The chunks of a run of dead items, and the bodies that are sent beside them.
pub(crate) fn requeue(requeue: &Requeue, graves: &[Grave]) -> Made<(Value, Vec<Vec<u8>>)> {
    let dead = graves.iter().map(|grave| (&grave.header, &*grave.payload));
    // The run's number and the store's time are the script's to say.
    let chunks = requeued_chunks(dead, RunId::new(0), &requeue.job, Millis(0));
    let sent = chunks.iter().map(|chunk| Sent::new(&chunk.header, chunk.count()));
    let mut request = json!({
        "request": requeue.request.to_string(),
        "job": requeue.job,
        "items": graves.iter().map(|grave| &*grave.item).collect::<Vec<_>>(),
        "numbers": graves.iter().map(|grave| &*grave.number).collect::<Vec<_>>(),
        "chunks": sent.collect::<Result<Vec<_>, _>>()?,
    });
    if let Some(note) = &requeue.note {
        request["note"] = json!(note);
    }
    Ok((request, chunks.iter().map(|chunk| stored(&chunk.body)).collect()))
}
