//! An error inside of `Ok` would pass for a success; aliases do not hide it.
use jobs_runner::prelude::*;

type Once = std::result::Result<u8, String>;
type Twice = std::result::Result<Once, String>;

#[derive(Default)]
pub struct Jobs;

#[cron_group("g")]
impl Jobs {
    #[job("a", "0 9 * * *")]
    async fn run(&self) -> std::result::Result<std::result::Result<(), String>, String> {
        Ok(Err("lost".into()))
    }
    #[job("b", "0 9 * * *")]
    fn aliased(&self) -> Twice {
        Ok(Err("lost".into()))
    }
}

fn main() {}
