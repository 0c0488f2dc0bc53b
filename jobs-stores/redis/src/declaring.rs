//! What sessions that open, and their beats, send to their scripts.

use jobs_core::{Attach, Beat, Link};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    headers::whole_millis,
    request::{Made, millis, session},
};

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
