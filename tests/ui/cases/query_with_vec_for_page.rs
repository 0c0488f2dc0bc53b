//! A paged query that returns no page.
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
    async fn find(&self, after: Option<u64>) -> Vec<Order> {
        let _ = after;
        vec![]
    }
    #[job("process", "0 9 * * *")]
    async fn run(&self, order: Order) {
        let _ = order;
    }
}

fn main() {}
