//! Runs, dead items, verdicts and failures as the scripts tell them.

use std::collections::HashMap;

use jobs_core::{
    Counts, DeadItem, ErrorGroup, Failure, ItemId, ItemInfo, ItemState, JobRecord, Link, Millis, Node,
    Reaped, RunId, RunReport, RunState, ScheduleState, SessionRecord, TickInfo,
};

use crate::{
    headers,
    reply::{List, Read, named},
};

/// A run.
pub(crate) fn report(mut of: List) -> Read<RunReport> {
    let mut flat = of.list()?;
    let (id, job) = (flat.run_id()?, flat.text()?);
    let errors = of.lists(|mut group| {
        Ok(ErrorGroup {
            kind: group.named()?,
            message: group.text()?,
            count: group.number()?,
            sample: group.text()?.parse()?,
        })
    })?;
    let mut fields = HashMap::new();
    while !flat.is_empty() {
        fields.insert(flat.text()?, flat.text()?);
    }
    let fields = Fields(fields);
    let started_at = fields.millis("started")?.unwrap_or_default();
    let mut report = RunReport::new(id, job, fields.named("trigger")?, started_at.timestamp());
    report.tick = fields.millis("tick")?.map(Millis::timestamp);
    report.state = fields.state()?;
    report.counts = fields.counts()?;
    report.errors = errors;
    report.finished_at = fields.millis("over_at")?.map(Millis::timestamp);
    report.note = fields.0.get("note").cloned();
    Ok(report)
}

/// The fields of a run.
struct Fields(HashMap<String, String>);

impl Fields {
    fn millis(&self, field: &str) -> Read<Option<Millis>> {
        Ok(self.0.get(field).map(|text| text.parse()).transpose()?.map(Millis))
    }

    fn count(&self, field: &str) -> Read<u64> {
        Ok(self.0.get(field).map(|text| text.parse()).transpose()?.unwrap_or(0))
    }

    fn named<T: serde::de::DeserializeOwned>(&self, field: &str) -> Read<T> {
        named(self.0.get(field).map_or("", |text| text))
    }

    fn state(&self) -> Read<RunState> {
        let has = |field| self.0.contains_key(field);
        Ok(match () {
            () if has("over") => self.named("over")?,
            () if !has("begun") => RunState::Queued,
            () if has("filling") => RunState::Filling,
            () => RunState::Working,
        })
    }

    fn counts(&self) -> Read<Counts> {
        Ok(Counts {
            total: self.count("total")?,
            ok: self.count("ok")?,
            retries: self.count("retries")?,
            dead: self.count("dead")?,
            discarded: self.count("discarded")?,
            expired: self.count("expired")?,
            cancelled: self.count("cancels")?,
        })
    }
}

/// A failed attempt: as its runner sent it, or in pieces if it was the store that killed the item.
pub(crate) fn failure(mut of: List) -> Read<Failure> {
    let first = of.text()?;
    if of.is_empty() {
        return Ok(serde_json::from_str(&first)?);
    }
    let (message, attempt) = (of.text()?, of.number()?);
    let mut failure = Failure::new(named(&first)?, message, of.millis()?.timestamp());
    failure.attempt = attempt;
    failure.node = of.text()?;
    Ok(failure)
}

/// A dead item.
pub(crate) fn dead(mut of: List) -> Read<DeadItem> {
    let _number = of.text()?;
    let (id, job): (ItemId, _) = (of.text()?.parse()?, of.text()?);
    let run: Option<u64> = of.maybe()?;
    let payload = DeadItem::payload(&trimmed(of.bytes()?));
    let mut dead = DeadItem::new(id, job, payload);
    dead.run = run.map(RunId::new);
    dead.attempts = of.lists(failure)?;
    Ok(dead)
}

/// A payload without the line feed that it is stored with.
pub(crate) fn trimmed(bytes: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = bytes.unwrap_or_default();
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    bytes
}

/// What a reap did.
pub(crate) fn reaped(mut of: List) -> Read<Reaped> {
    Ok(Reaped {
        nodes: of.each(List::text)?,
        items: of.number()?,
        dead: of.lists(|mut killed| {
            let (job, run): (_, Option<u64>) = (killed.text()?.into(), killed.maybe()?);
            Ok((job, run.map(RunId::new), killed.text()?.parse()?, failure(killed.list()?)?))
        })?,
        ended: of.each(List::run_id)?,
        more: of.flag()?,
    })
}

/// A session.
pub(crate) fn session(mut of: List) -> Read<SessionRecord> {
    let session = of.session()?;
    // A newer version may say more of it.
    let node: Node = of.json().unwrap_or_default();
    Ok(SessionRecord { session, node, holds: of.number()?, until: of.millis()? })
}

/// Where a schedule stands.
pub(crate) fn schedule(mut of: List) -> Read<ScheduleState> {
    Ok(ScheduleState { cursor: of.millis()?, waiting: of.maybe_millis()?, fingerprint: of.text()?.into() })
}

/// A job.
pub(crate) fn job(mut of: List) -> Read<JobRecord> {
    let (name, link, stands) = (of.text()?, of.text()?, of.list()?);
    let link = if link.is_empty() {
        Link::new(&*name)
    } else {
        serde_json::from_str(&link).unwrap_or_else(|_| Link::new(&*name))
    };
    Ok(JobRecord {
        // It may have been renamed since.
        link: Link { job: name.into(), ..link },
        schedule: if stands.is_empty() { None } else { Some(schedule(stands)?) },
        live: of.flag()?,
        ready: of.number()?,
        delayed: of.number()?,
        in_flight: of.number()?,
        dead: of.number()?,
    })
}

/// A verdict.
pub(crate) fn verdict(mut of: List) -> Read<TickInfo> {
    let (tick, last, count) = (of.millis()?.timestamp(), of.millis()?.timestamp(), of.number()?);
    let mut info = TickInfo::passed(tick, last, count, of.json()?);
    info.run = of.maybe()?.map(RunId::new);
    Ok(info)
}

/// Neighbouring items of a run that are not settled.
pub(crate) fn items(mut of: List) -> Read<Vec<ItemInfo>> {
    let (state, since, node) = (of.text()?, of.maybe_millis()?, of.text()?);
    let since = since.unwrap_or_default().timestamp();
    let (chunk, settled) = (headers::chunk(of.list()?)?, of.text()?);
    let state = match &*state {
        "in flight" => ItemState::InFlight { node, since },
        "delayed" => ItemState::Delayed { until: since },
        _ => ItemState::Ready,
    };
    let header = &chunk.header;
    let open = (0_u32..).zip(chunk.body.items()).filter(|(index, _)| {
        let settled = settled.as_bytes().get(*index as usize);
        settled.is_none_or(|letter| *letter == b'.')
    });
    Ok(open
        .map(|(index, payload)| ItemInfo {
            id: header.item(index),
            job: header.job.to_string(),
            run: header.run(),
            stage: header.stage,
            state: state.clone(),
            attempt: header.attempt + 1,
            redelivered: header.redelivered,
            enqueued_at: header.enqueued_at.timestamp(),
            payload: DeadItem::payload(payload),
        })
        .collect())
}

/// In flight, then ready, then those that wait for their time.
pub(crate) fn rank_of(state: &ItemState) -> u8 {
    match state {
        ItemState::InFlight { .. } => 0,
        ItemState::Ready => 1,
        _ => 2,
    }
}
