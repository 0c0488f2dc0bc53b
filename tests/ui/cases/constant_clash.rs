//! Two jobs whose constants have one name, and one that has the name of a member.
use jobs_runner::prelude::*;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn send_all(&self) {}
    #[job("b", "0 9 * * *", handle = SEND_ALL)]
    async fn send_some(&self) {}

    pub const LIMIT: u32 = 3;
    #[job("c", "0 9 * * *")]
    async fn limit(&self) {}
}

fn main() {}
