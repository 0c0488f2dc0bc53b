//! The store driven bare: one task, no runner, the same items and the same calls of the store.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jobs_core::{
    Append, Attach, BodyWriter, Cause, End, Fire, Firing, IfBusy, JobWant, Link, Node, SessionId, Settle,
    Settlement, Store, Want,
};
use jobs_runner::prelude::Result;

use crate::fan_out::User;

/// Items per second, from the query to the last settlement.
pub async fn drive(store: Arc<dyn Store>, items: u64) -> Result<f64> {
    let (session, job) = (SessionId(1), Arc::<str>::from("bare.job"));
    let mut link = Link::new(job.clone());
    (link.query, link.concurrency) = (true, 256);
    let lease = Duration::from_secs(60);
    store
        .attach(Attach { session, lease, node: Node::default(), links: vec![link], gone: Vec::new() })
        .await?;

    let began = Instant::now();
    let fire = Fire {
        job: job.clone(),
        cause: Cause::Manual { request: 1, note: None },
        if_busy: IfBusy::Skip,
        priority: 0,
        query: true,
        exclusive: false,
        item_type: Arc::from("User"),
    };
    let want = Want { slots: 1, jobs: Vec::new() };
    let fired = store.fire(Some(session), vec![fire], want).await?.value.pop();
    let Some(Firing::Fired { lease: Some(fill), .. }) = fired else {
        return Err("no lease of the query".into());
    };
    let (mut writer, mut seq) = (BodyWriter::default(), 0);
    let append = |seq, bodies, last| Append {
        token: fill.token,
        seq,
        item_type: Arc::from("User"),
        bodies,
        page: None,
        last,
    };
    for id in 0..items {
        if let Some(body) = writer.push(&User::new(id))? {
            store.append(append(seq, vec![body], false)).await?;
            seq += 1;
        }
    }
    store.append(append(seq, writer.finish().into_iter().collect(), true)).await?;

    // What a runner asks for whose 64 slots are free.
    let want = Want { slots: 256, jobs: vec![JobWant { job, slots: 64, per_slot: 64 }] };
    let (mut n, mut settlements, mut handled) = (0, Vec::new(), 0);
    while handled < items {
        n += 1;
        let settle = Settle { session, lane: 0, n, settlements, effects: Vec::new(), want: want.clone() };
        let settled = store.settle(settle).await?.value;
        settlements = Vec::new();
        for lease in settled.leases {
            for item in lease.chunk.body.items() {
                let user: User = serde_json::from_slice(item)?;
                std::hint::black_box(user);
            }
            let to = lease.chunk.count();
            handled += u64::from(to);
            settlements.push(Settlement { token: lease.token, from: 0, to, end: End::Done(None) });
        }
    }
    Ok(items as f64 / began.elapsed().as_secs_f64())
}
