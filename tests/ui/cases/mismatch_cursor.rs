//! A page with another cursor than the query takes.
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
    async fn find(&self, after: Option<u64>) -> Result<Page<Order, String>> {
        let _ = after;
        Ok(Page::last(vec![]))
    }
    #[job("process", "0 9 * * *")]
    async fn run(&self, order: Order) {
        let _ = order;
    }
}

fn main() {}
