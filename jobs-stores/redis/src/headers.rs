//! Chunks on their way to the scripts and back.

use std::{sync::Arc, time::Duration};

use jobs_core::{Body, Chunk, Header, ItemOptions, Lease, Stage, Undecodable};
use serde::Serialize;

use crate::{
    reply::{List, Read},
    reports::report,
    request::{millis, name_of},
};

/// A header as the scripts keep it: what is at its default is left out. The job, the number and the times are theirs
/// to say, but for a chunk that is planted.
#[derive(Debug, Serialize)]
pub(crate) struct Sent {
    format: u16,
    job: Arc<str>,
    number: String,
    #[serde(skip_serializing_if = "is_default")]
    tracked: bool,
    trigger: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tick: Option<i64>,
    stage: u8,
    priority: i16,
    due: i64,
    #[serde(skip_serializing_if = "is_default")]
    attempt: u32,
    #[serde(skip_serializing_if = "is_default")]
    fresh: bool,
    item_type: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Arc<str>>,
    #[serde(skip_serializing_if = "is_default")]
    suspect: bool,
    #[serde(skip_serializing_if = "is_default")]
    crashes: u32,
    #[serde(skip_serializing_if = "is_default")]
    redelivered: u32,
    start: u64,
    enqueued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undecodable: Option<SentUndecodable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_since: Option<i64>,
    count: u32,
}

#[derive(Debug, Serialize)]
struct SentUndecodable {
    since: i64,
    message: String,
    builds: Vec<Arc<str>>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A stage as the scripts keep it.
pub(crate) fn stage_number(stage: Stage) -> u8 {
    match stage {
        Stage::Fill => 0,
        Stage::Work => 1,
        Stage::Finish => 2,
    }
}

impl Sent {
    /// The header of so many items.
    pub(crate) fn new(header: &Header, count: u32) -> serde_json::Result<Self> {
        let options = if is_default(&header.options) { None } else { Some(&header.options) };
        let undecodable = header.undecodable.as_ref().map(|failed| SentUndecodable {
            since: millis(failed.since),
            message: failed.message.clone(),
            builds: failed.builds.clone(),
        });
        Ok(Self {
            format: header.format,
            job: header.job.clone(),
            number: header.number.to_string(),
            tracked: header.tracked,
            trigger: name_of(&header.trigger)?,
            tick: header.tick.map(millis),
            stage: stage_number(header.stage),
            priority: header.priority,
            due: millis(header.due),
            attempt: header.attempt,
            fresh: header.fresh,
            item_type: header.item_type.clone(),
            key: header.key.clone(),
            suspect: header.suspect,
            crashes: header.crashes,
            redelivered: header.redelivered,
            start: header.start,
            enqueued_at: millis(header.enqueued_at),
            options: options.map(serde_json::to_string).transpose()?,
            undecodable,
            waits_since: header.waits_since.map(millis),
            count,
        })
    }
}

/// A lease as a script tells it.
pub(crate) fn lease(mut of: List) -> Read<Lease> {
    let token = of.token()?;
    let cursor = of.list()?.bytes_if_any()?;
    Ok(Lease { token, chunk: chunk(of.list()?)?, cursor })
}

/// A chunk as a script tells it.
pub(crate) fn chunk(mut of: List) -> Read<Chunk> {
    let header = Header {
        job: of.text()?.into(),
        number: of.number()?,
        tracked: of.flag()?,
        trigger: of.named()?,
        tick: of.maybe_millis()?,
        stage: match of.number::<i64>()? {
            0 => Stage::Fill,
            1 => Stage::Work,
            _ => Stage::Finish,
        },
        priority: of.number()?,
        due: of.millis()?,
        attempt: of.number()?,
        fresh: of.flag()?,
        item_type: of.text()?.into(),
        key: of.list()?.text_if_any()?.map(Into::into),
        suspect: of.flag()?,
        crashes: of.number()?,
        redelivered: of.number()?,
        start: of.number()?,
        enqueued_at: of.millis()?,
        options: options(&of.text()?)?,
        undecodable: undecodable(of.list()?)?,
        format: of.number()?,
        waits_since: of.maybe_millis()?,
    };
    let (count, of_run) = (of.number::<u32>()?, of.list()?);
    // What the finish item is given is the report of its run.
    let body = match (of_run.is_empty(), of.bytes()?) {
        (false, _) => Body::one(&report(of_run)?)?,
        (true, Some(bytes)) => Body::from_bytes(bytes),
        (true, None) => Body::unit(),
    };
    if body.count() != count {
        return Err(format!("{count} items were leased, and {} are stored", body.count()).into());
    }
    Ok(Chunk { header, body })
}

fn options(json: &str) -> Read<ItemOptions> {
    if json.is_empty() { Ok(ItemOptions::default()) } else { Ok(serde_json::from_str(json)?) }
}

fn undecodable(mut of: List) -> Read<Option<Undecodable>> {
    if of.is_empty() {
        return Ok(None);
    }
    let (since, message) = (of.millis()?, of.text()?);
    let builds = of.each(|build| Ok(build.text()?.into()))?;
    Ok(Some(Undecodable { since, builds, message }))
}

/// A time span in whole milliseconds.
pub(crate) fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(jobs_core::Token::MAX.0)
}
