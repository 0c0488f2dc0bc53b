//! One item in a `Result`: its error would be lost.
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
    async fn find(&self) -> Result<Order, std::io::Error> {
        Ok(Order)
    }
    #[job("process", "0 9 * * *")]
    async fn run(&self, order: Order) {
        let _ = order;
    }
}

fn main() {}
