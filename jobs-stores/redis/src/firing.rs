//! What ticks that fire and ticks that are passed over send to their scripts.

use jobs_core::{Cause, Fire, Header, IfBusy, Millis, Pass, RunId, SessionId, TickInfo, Trigger, Want};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    headers::Sent,
    request::{Made, SentWant, millis, session, want},
};

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
