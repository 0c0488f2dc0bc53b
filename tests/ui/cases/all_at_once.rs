//! Every mistake of a block is reported at once, and its methods are still there.
use jobs_runner::prelude::*;

pub struct Jobs;

#[cron_group("the group", retires = 3)]
impl Jobs {
    #[job("a", "61 * * * *", timeout = 30)]
    pub async fn a(&self) {}
    #[job("b.c", "5m", tz = "UTC")]
    pub async fn b(&mut self) {}
    #[query("d")]
    pub async fn find(&self) -> Vec<u8> {
        vec![]
    }
}

pub async fn use_them(jobs: &Jobs) -> &'static str {
    jobs.a().await;
    Jobs::A.id()
}

fn main() {}
