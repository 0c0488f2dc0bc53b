//! The headers of what a store makes: the first item of a run, what its query found, its finish item, and dead items
//! that are tried again. The same for every store.

use std::sync::Arc;

use crate::{
    BodyWriter, Chunk, FORMAT, Fire, Header, ItemOptions, Millis, RunId, RunReport, Stage, Trigger,
    Undecodable,
};

impl Header {
    /// Of the item that a run begins with: its fill item, or the one item of a job without a query.
    #[must_use]
    pub fn of_first_item(
        fire: &Fire,
        run: RunId,
        trigger: Trigger,
        tick: Option<Millis>,
        now: Millis,
    ) -> Self {
        Self {
            format: FORMAT,
            job: fire.job.clone(),
            number: run.number(),
            tracked: false,
            trigger,
            tick,
            stage: if fire.query { Stage::Fill } else { Stage::Work },
            priority: fire.priority,
            due: tick.unwrap_or(now),
            attempt: 0,
            fresh: true,
            item_type: if fire.query { Arc::from("") } else { fire.item_type.clone() },
            key: None,
            suspect: false,
            crashes: 0,
            redelivered: 0,
            start: 0,
            enqueued_at: now,
            options: ItemOptions::default(),
            undecodable: None,
            waits_since: None,
        }
    }

    /// Of what the query of this fill item found, from its item `start` on.
    #[must_use]
    pub fn of_found(&self, item_type: &Arc<str>, start: u64, now: Millis) -> Self {
        Self {
            stage: Stage::Work,
            item_type: item_type.clone(),
            start,
            enqueued_at: now,
            attempt: 0,
            fresh: true,
            suspect: false,
            crashes: 0,
            redelivered: 0,
            undecodable: None,
            waits_since: None,
            // A retried query does not put its items behind those of a later run. None of them waits.
            due: self.tick.unwrap_or(self.enqueued_at).min(now),
            ..self.clone()
        }
    }

    /// Of the finish item of a run that is over.
    #[must_use]
    pub fn of_finish(report: &RunReport, job: &Arc<str>, priority: i16, now: Millis) -> Self {
        Self {
            format: FORMAT,
            job: job.clone(),
            number: report.id.number(),
            tracked: false,
            trigger: report.trigger,
            tick: report.tick.map(Millis::from),
            stage: Stage::Finish,
            priority,
            due: now,
            attempt: 0,
            fresh: false,
            item_type: Arc::from("RunReport"),
            key: None,
            suspect: false,
            crashes: 0,
            redelivered: 0,
            start: 0,
            enqueued_at: now,
            options: ItemOptions::default(),
            undecodable: None,
            waits_since: None,
        }
    }

    /// Of a dead item that is tried again in a new run, as if it had never been.
    fn requeued(&self, run: RunId, job: &Arc<str>, now: Millis) -> Self {
        Self {
            job: job.clone(),
            number: run.number(),
            trigger: Trigger::Requeued,
            tick: None,
            due: now,
            attempt: 0,
            // It holds no tick of its job.
            fresh: false,
            suspect: false,
            crashes: 0,
            redelivered: 0,
            start: 0,
            enqueued_at: now,
            // Whoever asks for it now wants it now.
            options: ItemOptions { expires_at: None, ..self.options.clone() },
            undecodable: None,
            waits_since: None,
            ..self.clone()
        }
    }

    /// Notes that a build could not decode the payload: it is not offered to it again.
    pub fn not_decoded(&mut self, build: &Arc<str>, message: &str, now: Millis) {
        let none = || Undecodable { since: now, builds: Vec::new(), message: String::new() };
        let failed = self.undecodable.get_or_insert_with(none);
        message.clone_into(&mut failed.message);
        if !failed.builds.contains(build) {
            failed.builds.push(build.clone());
        }
    }
}

/// The chunks of a run of dead items, given as the header and the payload of each, in the order of their deaths: alike
/// neighbours are in one.
pub fn requeued_chunks<'a>(
    dead: impl IntoIterator<Item = (&'a Header, &'a [u8])>,
    run: RunId,
    job: &Arc<str>,
    now: Millis,
) -> Vec<Chunk> {
    let anew = dead.into_iter().map(|(header, payload)| (header.requeued(run, job, now), payload));
    let (mut chunks, mut start) = (Vec::new(), 0);
    for alike in anew.collect::<Vec<_>>().chunk_by(|(one, _), (other, _)| one == other) {
        let Some((header, _)) = alike.first() else { continue };
        let mut writer = BodyWriter::default();
        let mut bodies: Vec<_> = alike.iter().filter_map(|(_, payload)| writer.push_raw(payload)).collect();
        bodies.extend(writer.finish());
        for body in bodies {
            let header = Header { start, ..header.clone() };
            start += u64::from(body.count());
            chunks.push(Chunk { header, body });
        }
    }
    chunks
}
