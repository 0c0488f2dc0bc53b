//! What the operations of the contract send to their scripts. Whatever has more digits than a number of Lua is text.

use std::{collections::HashMap, sync::Arc};

use jobs_core::{
    Append, Attach, Beat, BoxError, Cause, Effect, End, Failure, Fire, Header, IfBusy, Link, Millis, Pass,
    PutCell, Requeue, RunId, SessionId, Settle, Settlement, TickInfo, Trigger, Want, requeued_chunks,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    answers::Grave,
    bodies::stored,
    headers::{Sent, whole_millis},
};

type Made<T> = Result<T, BoxError>;

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

fn failure(failure: &Failure) -> Made<SentFailure> {
    Ok(SentFailure {
        kind: name_of(&failure.kind)?,
        message: failure.message.clone(),
        json: serde_json::to_string(failure)?,
    })
}

/// How an attempt ended.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum SentEnd {
    Done,
    Retry { at: i64, failure: SentFailure },
    Snooze { at: i64 },
    Dead { failure: SentFailure },
    Discarded,
    Cancelled,
    Expired,
    Undecodable { message: String },
    Back,
}

fn end(end: &End) -> Made<SentEnd> {
    Ok(match end {
        End::Done(_) => SentEnd::Done,
        End::Retry { at, failure: why } => SentEnd::Retry { at: millis(*at), failure: failure(why)? },
        End::Snooze { at } => SentEnd::Snooze { at: millis(*at) },
        End::Dead(why) => SentEnd::Dead { failure: failure(why)? },
        End::Discarded(_) => SentEnd::Discarded,
        End::Cancelled => SentEnd::Cancelled,
        End::Expired => SentEnd::Expired,
        End::Undecodable(message) => SentEnd::Undecodable { message: message.clone() },
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
        counts: append.bodies.iter().map(jobs_core::Body::count).filter(|count| *count > 0).collect(),
        page: append.page.is_some(),
        cursor: append.page.as_ref().is_some_and(Option::is_some),
        last: append.last,
    }
}

#[derive(Serialize)]
struct SentTick {
    tick: i64,
    last: i64,
    count: u64,
    verdict: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<String>,
}

fn ticks(infos: &[TickInfo]) -> Made<Vec<SentTick>> {
    let sent = infos.iter().map(|info| {
        Ok(SentTick {
            tick: millis(info.tick.into()),
            last: millis(info.last.into()),
            count: info.count,
            verdict: serde_json::to_string(&info.verdict)?,
            run: info.run.map(|run| run.to_string()),
        })
    });
    sent.collect()
}

#[derive(Serialize)]
pub(crate) struct SentFires {
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    fires: Vec<Value>,
    want: SentWant,
}

pub(crate) fn fires(by: Option<SessionId>, fires: &[Fire], room: &Want) -> Made<SentFires> {
    let fires = fires.iter().map(fire).collect::<Made<_>>()?;
    Ok(SentFires { session: by.map(session), fires, want: want(room) })
}

fn fire(fire: &Fire) -> Made<Value> {
    let if_busy = match fire.if_busy {
        IfBusy::Skip => "skip",
        IfBusy::Queue => "queue",
        IfBusy::Wait => "wait",
        IfBusy::Fire => "fire",
    };
    let (trigger, tick) = match &fire.cause {
        Cause::Tick { trigger, tick, .. } => (*trigger, Some(*tick)),
        Cause::Manual { .. } => (Trigger::Manual, None),
    };
    // The run's number and the store's time are the script's to say.
    let first = Header::of_first_item(fire, RunId::new(0), trigger, tick, Millis(0));
    let mut sent = json!({ "job": fire.job, "if_busy": if_busy, "first": Sent::new(&first, 1)? });
    let more = match &fire.cause {
        Cause::Tick { schedule, fingerprint, cursor, tick, at, verdict, passed, .. } => json!({
            "schedule": schedule,
            "fingerprint": fingerprint,
            "cursor": millis(*cursor),
            "tick": millis(*tick),
            "at": millis(*at),
            "verdict": serde_json::to_string(verdict)?,
            "passed": ticks(passed)?,
        }),
        Cause::Manual { request, note: Some(note) } => {
            json!({ "request": request.to_string(), "note": note })
        }
        Cause::Manual { request, note: None } => json!({ "request": request.to_string() }),
    };
    if let (Some(sent), Value::Object(more)) = (sent.as_object_mut(), more) {
        sent.extend(more);
    }
    Ok(sent)
}

pub(crate) fn passes(passes: &[Pass]) -> Made<Value> {
    let sent = passes.iter().map(|pass| {
        Ok(json!({
            "schedule": pass.schedule,
            "fingerprint": pass.fingerprint,
            "cursor": millis(pass.cursor),
            "passed": ticks(&pass.passed)?,
        }))
    });
    Ok(json!({ "passes": sent.collect::<Made<Vec<_>>>()? }))
}

/// What a session says of a job: what the scripts look at, and all of it as JSON.
#[derive(Serialize)]
struct SentLink<'a> {
    job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instant: Option<i64>,
    priority: i16,
    concurrency: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    global: Option<u32>,
    exclusive: bool,
    keep_runs: u32,
    keep_ticks: u32,
    keep_dead: u64,
    json: String,
}

fn link(link: &Link) -> Made<SentLink<'_>> {
    Ok(SentLink {
        job: &link.job,
        was: link.was.as_deref(),
        fingerprint: link.schedule.as_ref().map(|declared| &*declared.fingerprint),
        instant: link.schedule.as_ref().and_then(|declared| declared.instant).map(millis),
        priority: link.priority,
        concurrency: link.concurrency,
        global: link.global_concurrency,
        exclusive: link.exclusive(),
        keep_runs: link.keep_runs,
        keep_ticks: link.keep_ticks,
        keep_dead: whole_millis(link.keep_dead),
        json: serde_json::to_string(link)?,
    })
}

pub(crate) fn attach(attach: &Attach) -> Made<Value> {
    Ok(json!({
        "session": session(attach.session),
        "lease": whole_millis(attach.lease),
        "node": serde_json::to_string(&attach.node)?,
        "name": attach.node.name,
        "build": attach.node.build,
        "links": attach.links.iter().map(link).collect::<Made<Vec<_>>>()?,
        "gone": attach.gone.iter().copied().map(session).collect::<Vec<_>>(),
    }))
}

pub(crate) fn beat(beat: &Beat) -> Value {
    let mut sent = json!({
        "session": session(beat.session),
        "as_of": millis(beat.as_of),
        "reconnected": beat.reconnected,
    });
    if let (Some(held), Some(sent)) = (&beat.held, sent.as_object_mut()) {
        let tokens: Vec<String> = held.iter().map(|token| token.0.to_string()).collect();
        sent.insert("held".to_owned(), json!(tokens));
    }
    sent
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
