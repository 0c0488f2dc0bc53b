//! The records that `write_2` takes, each a row, or the change of one.

use jobs_core::Counts;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct SessionWrite {
    pub(crate) session: i64,
    pub(crate) lease: i64,
    pub(crate) until: i64,
    pub(crate) connected_at: i64,
    pub(crate) node: String,
    pub(crate) node_name: String,
    pub(crate) build: String,
    pub(crate) past: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct LinkWrite {
    pub(crate) job: String,
    pub(crate) fingerprint: Option<String>,
    pub(crate) link: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct SessionRenewed {
    pub(crate) id: i64,
    pub(crate) until: i64,
    pub(crate) connected_at: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct LeaseWrite {
    pub(crate) token: i64,
    pub(crate) open: u32,
    pub(crate) settled: Option<String>,
    pub(crate) header: Option<String>,
    pub(crate) suspect: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct RunWrite {
    pub(crate) id: i64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    pub(crate) fresh: u64,
    pub(crate) filling: bool,
    pub(crate) busy: bool,
    pub(crate) ended: bool,
    pub(crate) filled: Option<i64>,
    pub(crate) page: Option<usize>,
    pub(crate) is_cancelled: bool,
    pub(crate) sweep: bool,
    pub(crate) begun: bool,
    pub(crate) over: bool,
    pub(crate) record: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct TallyWrite {
    pub(crate) run: i64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    pub(crate) fresh: u64,
    pub(crate) errors: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobNew {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) link: String,
    pub(crate) keep_runs: u32,
    pub(crate) keep_ticks: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct Move {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) ticks: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct Renamed {
    pub(crate) was: String,
    pub(crate) name: String,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct JobWrite {
    pub(crate) id: i64,
    pub(crate) link: Option<String>,
    pub(crate) keep_runs: Option<u32>,
    pub(crate) keep_ticks: Option<u32>,
    pub(crate) schedule: Option<String>,
    pub(crate) ticks: usize,
    pub(crate) finished: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct TickChanged {
    pub(crate) job: i64,
    pub(crate) n: i64,
    pub(crate) info: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct TickNew {
    pub(crate) job: i64,
    pub(crate) info: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct RunNew {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) request: Option<i64>,
    pub(crate) total: u64,
    pub(crate) fresh: u64,
    pub(crate) filling: bool,
    pub(crate) busy: bool,
    pub(crate) begun: bool,
    pub(crate) record: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct LeaseNew {
    pub(crate) session: i64,
    pub(crate) token: i64,
    pub(crate) job: i64,
    pub(crate) number: i64,
    pub(crate) stage: i16,
    pub(crate) header: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct FailureNew {
    pub(crate) number: i64,
    pub(crate) item: i64,
    pub(crate) failure: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct FailuresCut {
    pub(crate) number: i64,
    pub(crate) item: i64,
    pub(crate) keep: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct FailuresGone {
    pub(crate) number: i64,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeadNew {
    pub(crate) job: i64,
    pub(crate) number: i64,
    pub(crate) item: i64,
    pub(crate) header: String,
    pub(crate) payload: usize,
    pub(crate) attempts: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct CellWrite {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) expires_at: Option<i64>,
    pub(crate) owner: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Staged {
    pub(crate) id: i64,
    pub(crate) job: i64,
    pub(crate) run: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct LineWrite {
    pub(crate) job: i64,
    pub(crate) kind: i16,
    pub(crate) run: i64,
    pub(crate) builds: String,
    pub(crate) rank: i64,
    pub(crate) number: i64,
    pub(crate) start: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct BodyNew {
    pub(crate) start: i64,
    pub(crate) count: u32,
    pub(crate) header: String,
    pub(crate) items: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReadyNew {
    pub(crate) line: Option<i64>,
    pub(crate) line_of: Option<usize>,
    pub(crate) rank: i64,
    pub(crate) number: i64,
    pub(crate) start: i64,
    pub(crate) count: u32,
    pub(crate) format: i16,
    pub(crate) stage: i16,
    pub(crate) tracked: bool,
    pub(crate) suspect: bool,
    pub(crate) body: Option<i64>,
    pub(crate) body_of: Option<usize>,
    pub(crate) at: u32,
    pub(crate) header: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct DelayedNew {
    pub(crate) job: i64,
    pub(crate) due: i64,
    pub(crate) number: i64,
    pub(crate) start: i64,
    pub(crate) count: u32,
    pub(crate) body: Option<i64>,
    pub(crate) body_of: Option<usize>,
    pub(crate) at: u32,
    pub(crate) header: Option<String>,
    pub(crate) since: Option<i64>,
}

/// A chunk that is deleted.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ChunkGone {
    pub(crate) line: i64,
    pub(crate) rank: i64,
    pub(crate) number: i64,
    pub(crate) start: i64,
    pub(crate) id: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Published {
    pub(crate) line: i64,
    pub(crate) job: i64,
    pub(crate) run: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    pub(crate) bodies: Vec<i64>,
    pub(crate) items: Vec<i64>,
}
