//! Looks every five minutes whether this machine is well, and those that it talks to.
//!
//! ```console
//! $ cargo run --example watchdog -- --once                                # now: memory and disk
//! $ cargo run --example watchdog -- --once example.org:443 127.0.0.1:22   # and whether these answer
//! $ cargo run --example watchdog -- --every 10s --free 10                 # until Ctrl-C; alarm below 10 %
//! ```
//!
//! A check that fails is tried once more, and is a dead item then: `control dead` shows it, with the error of each
//! attempt.

use std::{fs, time::Duration};

use jobs_runner::{DeadFilter, Event, prelude::*};
use lexopt::{
    Arg::{Long, Value},
    ValueExt,
};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

/// What is looked at.
#[derive(Debug, Serialize, Deserialize)]
enum Check {
    /// So many percent of the memory are available.
    Memory { percent: u64 },
    /// So many percent of the disk that holds a folder are free.
    Disk { folder: String, percent: u64 },
    /// Somebody accepts connections.
    Answers { address: String },
}

struct Watchdog {
    /// Percent of the memory and of the disk that have to be left.
    free: u64,
    addresses: Vec<String>,
}

#[cron_group("watchdog")]
impl Watchdog {
    #[query("check")]
    fn checks(&self) -> Vec<Check> {
        let percent = self.free;
        let mut checks = vec![Check::Memory { percent }, Check::Disk { folder: ".".into(), percent }];
        checks.extend(self.addresses.iter().map(|address| Check::Answers { address: address.clone() }));
        checks
    }

    #[job("check", "*/5 * * * *", timeout = "5s", retries = 1, retry_delay = "1s")]
    async fn check(&self, check: Check) -> Result<()> {
        match check {
            Check::Memory { percent } => {
                let info = fs::read_to_string("/proc/meminfo")?;
                let kib = |key: &str| -> Option<u64> {
                    let line = info.lines().find_map(|line| line.strip_prefix(key))?;
                    line.split_whitespace().next()?.parse().ok()
                };
                let (available, total) =
                    kib("MemAvailable:").zip(kib("MemTotal:")).ok_or("no memory is told of")?;
                enough("memory", available * 100 / total.max(1), percent)
            }
            Check::Disk { folder, percent } => {
                let disk = rustix::fs::statvfs(&*folder)?;
                enough("disk", disk.f_bavail * 100 / disk.f_blocks.max(1), percent)
            }
            Check::Answers { address } => {
                let connected = TcpStream::connect(&*address).await;
                connected.map(drop).map_err(|error| format!("{address}: {error}").into())
            }
        }
    }
}

fn enough(what: &str, free: u64, wanted: u64) -> Result<()> {
    if free >= wanted {
        Ok(())
    } else {
        Err(format!("{free} % of the {what} is left, less than {wanted} %").into())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let (mut addresses, mut free, mut every, mut once) = (Vec::new(), 5, None, false);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Value(address) => addresses.push(address.string()?),
            Long("free") => free = arguments.value()?.parse()?,
            Long("every") => every = Some(arguments.value()?.string()?),
            Long("once") => once = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut builder = Runner::builder().provide(Watchdog { free, addresses });
    if let Some(every) = every {
        builder = builder.configure("watchdog.check", JobOptions::new().schedule(&every));
    }
    let runner = builder.start().await?;

    if once {
        let report = runner.run(Watchdog::CHECK).await?.wait().await?;
        println!("{} checks: {} well, {} not", report.counts.total, report.counts.ok, report.counts.dead);
        for item in runner.client().dead(DeadFilter::new().run(report.id)).await? {
            println!("  {}", item.attempts.last().map_or("", |failure| &failure.message));
        }
        runner.shutdown(Duration::from_secs(5)).await?;
        report.ok()?;
        return Ok(());
    }
    let mut events = runner.events();
    let alarm = async {
        while let Some(event) = events.recv().await {
            if let Event::ItemDead { failure, .. } = event {
                eprintln!("ALARM: {}", failure.message);
            }
        }
    };
    tokio::select! {
        ended = runner.wait() => ended?,
        () = alarm => {}
    }
    Ok(())
}
