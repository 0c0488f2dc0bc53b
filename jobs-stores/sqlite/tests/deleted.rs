//! Any row may be deleted by hand while runs are in the middle: nothing hangs for ever, and jobs go on firing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::{sync::Arc, time::Duration};

use common::{File, append, done};
use jobs_core::{
    Attach, Beat, Cause, Complete, Declaration, End, Failure, FailureKind, Fire, Firing, IfBusy, JobWant,
    Lease, Link, Millis, Node, RunFilter, RunId, RunState, ScheduleState, SessionId, Settle, Settlement,
    Stage, Store, Trigger, Verdict, Want,
};
use jobs_sqlite::SqliteStore;

const JOB: &str = "suite.tick";
const SECOND: Duration = Duration::from_secs(1);

/// A node of one job with a query, and a tick each second.
struct World {
    file: File,
    store: SqliteStore,
    seconds: i64,
    session: u64,
    n: u64,
    schedule: Option<ScheduleState>,
    held: Vec<Lease>,
    fired: Vec<RunId>,
}

impl World {
    async fn new() -> Self {
        let file = File::new();
        let store = file.open().await;
        let mut world = Self {
            file,
            store,
            seconds: 0,
            session: 0,
            n: 0,
            schedule: None,
            held: Vec::new(),
            fired: Vec::new(),
        };
        world.attach().await;
        world
    }

    fn now(&self) -> SqliteStore {
        self.store.shifted(self.seconds * 1_000)
    }

    async fn attach(&mut self) {
        self.session += 1;
        let declared = Declaration {
            text: "* * * * * *".into(),
            tz: "UTC".into(),
            fingerprint: "one".into(),
            instant: None,
        };
        let link = Link { query: true, concurrency: 50, schedule: Some(declared), ..Link::new(JOB) };
        let attach = Attach {
            session: SessionId(self.session),
            lease: 5 * SECOND,
            node: Node::default(),
            links: vec![link],
            gone: Vec::new(),
        };
        let attached = self.now().attach(attach).await.unwrap().value;
        self.schedule = attached.schedules.get(JOB).cloned();
        self.held.clear();
    }

    async fn fire(&mut self, cause: Cause, if_busy: IfBusy) -> Firing {
        let fire = Fire {
            job: JOB.into(),
            cause,
            if_busy,
            priority: 0,
            query: true,
            exclusive: false,
            item_type: "u64".into(),
        };
        let session = Some(SessionId(self.session));
        self.now().fire(session, vec![fire], Want::default()).await.unwrap().value.remove(0)
    }

    async fn fire_tick(&mut self) {
        let Some(state) = self.schedule.clone() else { return };
        let tick = Millis(state.cursor.0 / 1_000 * 1_000) + SECOND;
        let cause = Cause::Tick {
            schedule: JOB.into(),
            fingerprint: state.fingerprint,
            cursor: state.cursor,
            tick,
            at: tick,
            verdict: Verdict::Fired,
            trigger: Trigger::Schedule,
            passed: Vec::new(),
        };
        match self.fire(cause, IfBusy::Fire).await {
            Firing::Fired { run, .. } => {
                self.fired.push(run);
                self.schedule =
                    Some(ScheduleState { cursor: tick, waiting: None, fingerprint: "one".into() });
            }
            Firing::Already(state) => self.schedule = Some(state),
            Firing::NotYet { .. } | Firing::Stale => {}
            other => panic!("{other:?}"),
        }
    }

    async fn settle(&mut self, settlements: Vec<Settlement>, slots: u32) {
        self.n += 1;
        let want = Want { slots, jobs: vec![JobWant { job: Arc::from(JOB), slots, per_slot: 1 }] };
        let session = SessionId(self.session);
        let settle = Settle { session, lane: 0, n: self.n, settlements, effects: Vec::new(), want };
        let settled = self.now().settle(settle).await.unwrap().value;
        self.held.retain(|lease| !settled.lost.contains(&lease.token));
        self.held.extend(settled.leases);
    }

    /// What a runner does in a second.
    async fn round(&mut self) {
        self.seconds += 1;
        let held = Some(self.held.iter().map(|lease| lease.token).collect());
        let beat = Beat { session: SessionId(self.session), held, as_of: Millis::MAX, reconnected: false };
        let pulse = self.now().beat(beat).await.unwrap().value;
        if pulse.alive {
            self.held.retain(|lease| !pulse.lost.contains(&lease.token));
        } else {
            self.attach().await;
        }
        self.fire_tick().await;
        let mut settlements = Vec::new();
        for lease in std::mem::take(&mut self.held) {
            match lease.chunk.header.stage {
                Stage::Fill => drop(append(&self.now(), lease.token, 0, 0..3, true).await.unwrap()),
                _ => settlements.push(done(&lease)),
            }
        }
        self.settle(settlements, 50).await;
        self.now().reap(SessionId(self.session)).await.unwrap();
        let ended = self.now().completable(100).await.unwrap().value;
        let ended = ended.into_iter().map(|run| Complete { run, finish: false }).collect();
        self.now().complete(ended).await.unwrap();
        for _ in 0..100 {
            if !self.now().prune(100).await.unwrap().value.more {
                return;
            }
        }
        panic!("pruning never ends");
    }

    /// Runs in every state: one that is filled, of which items wait, are leased, wait for their time, and are dead; one
    /// whose query is staging; one that waits.
    async fn in_the_middle(&mut self) {
        for request in 1..=3 {
            let cause = Cause::Manual { request, note: None };
            assert!(matches!(self.fire(cause, IfBusy::Fire).await, Firing::Fired { .. }));
        }
        self.settle(Vec::new(), 2).await;
        let (one, other) = (self.held[0].token, self.held[1].token);
        append(&self.now(), one, 0, 0..100, true).await.unwrap();
        append(&self.now(), other, 0, 0..100, false).await.unwrap();
        self.held.remove(0);
        self.settle(Vec::new(), 6).await;
        let items = self.held.iter().find(|lease| lease.chunk.header.stage == Stage::Work).cloned().unwrap();
        let failure = || Box::new(Failure::new(FailureKind::Error, "no", Millis(0).timestamp()));
        let now = self.now().jobs().await.unwrap().now;
        let ends = [End::retry(now + 3 * SECOND, now, failure()), End::Dead(failure()), End::Back];
        let settlement = |(from, end)| Settlement { token: items.token, from, to: from + 1, end };
        let settlements = (0..).zip(ends).map(settlement).collect();
        self.settle(settlements, 0).await;
        assert!(items.chunk.count() > 3, "some are leased still");
    }

    fn delete(&self, sql: &str) -> usize {
        let conn = rusqlite::Connection::open(self.file.path()).unwrap();
        conn.busy_timeout(10 * SECOND).unwrap();
        conn.execute(sql, []).unwrap()
    }
}

/// Statements that delete rows: all of each table, and one of each.
async fn deletions() -> Vec<String> {
    let file = File::new();
    drop(file.open().await);
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    let strings = |sql: &str| -> Vec<String> {
        let mut select = conn.prepare(sql).unwrap();
        let rows = select.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<rusqlite::Result<_>>().unwrap()
    };
    let tables = strings("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    assert!(tables.len() > 15, "{tables:?}");
    let mut deletions = Vec::new();
    for table in tables {
        let key = strings(&format!("SELECT name FROM pragma_table_info('{table}') WHERE pk > 0 ORDER BY pk"));
        let key = key.join(", ");
        deletions.push(format!("DELETE FROM {table}"));
        for at in ["0", "(SELECT count(*) / 2 FROM {}", "(SELECT count(*) - 1 FROM {}"] {
            let at = if at == "0" { at.to_owned() } else { format!("{})", at.replace("{}", &table)) };
            let one = format!("SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {at}");
            deletions.push(format!("DELETE FROM {table} WHERE ({key}) = ({one})"));
        }
    }
    for line in ["kind = 0", "kind = 1", "kind = 5"] {
        deletions.push(format!("DELETE FROM line WHERE {line}"));
    }
    deletions
}

#[tokio::test(flavor = "multi_thread")]
async fn any_row_may_be_deleted_while_runs_are_in_the_middle() {
    for sql in deletions().await {
        let mut world = World::new().await;
        world.in_the_middle().await;
        world.delete(&sql);
        for _ in 0..30 {
            world.round().await;
        }
        let before = world.fired.len();
        for _ in 0..10 {
            world.round().await;
        }
        assert!(world.fired.len() >= before + 9, "jobs go on firing after `{sql}`");
        let runs = world.now().runs(RunFilter::new().limit(1_000)).await.unwrap().value;
        let newest = world.fired[world.fired.len() - 4];
        let open: Vec<_> = runs
            .iter()
            .filter(|run| run.finished_at.is_none() && run.id < newest)
            .map(|run| run.id)
            .collect();
        assert!(open.is_empty(), "after `{sql}` these never end: {open:?}");
        let newest = runs.iter().find(|run| run.id == newest).unwrap();
        assert_eq!(newest.state, RunState::Succeeded, "after `{sql}`: {newest:?}");
        assert_eq!(newest.counts.ok, 3, "after `{sql}`: {newest:?}");
    }
}
