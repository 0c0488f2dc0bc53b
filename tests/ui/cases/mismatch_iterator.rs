//! An iterator of other items than the job takes.
use jobs_runner::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Order;
#[derive(Serialize, Deserialize)]
pub struct Invoice;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[query("process")]
    async fn find(&self) -> impl Iterator<Item = Invoice> {
        [].into_iter()
    }
    #[job("process", "0 9 * * *")]
    async fn run(&self, order: Order) {
        let _ = order;
    }
}

fn main() {}
