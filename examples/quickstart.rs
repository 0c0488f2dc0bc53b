//! Is every archive in cargo's cache what this workspace's `Cargo.lock` says it is?
//!
//! ```console
//! $ cargo run --example quickstart                   # checks them now
//! $ cargo run --example quickstart -- --serve        # every few seconds, until Ctrl-C
//! $ cargo run --example quickstart -- --cache DIR    # looks in another folder
//! ```

use std::{env, fs, io, path::PathBuf, time::Duration};

use jobs_runner::{Event, Events, prelude::*};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The items are packages. They go through the store, so they are plain data.
#[derive(Serialize, Deserialize)]
struct Package {
    name: String,
    version: String,
    /// Empty for the packages of the workspace itself.
    #[serde(default)]
    checksum: String,
}

#[derive(Deserialize)]
struct LockFile {
    package: Vec<Package>,
}

/// The group is an ordinary struct, which holds what its jobs need.
struct Archives {
    lock_file: PathBuf,
    cache: PathBuf,
}

#[cron_group("archives")]
impl Archives {
    /// The query finds the items …
    #[query("verify")]
    fn packages(&self) -> Result<Vec<Package>> {
        let mut lock: LockFile = toml::from_str(&fs::read_to_string(&self.lock_file)?)?;
        lock.package.retain(|package| !package.checksum.is_empty());
        Ok(lock.package)
    }

    /// … and the job is called for each of them.
    #[job("verify", "0 3 * * *", retries = 2, retry_delay = "1s")]
    fn verify(&self, package: Package) -> Result<Outcome> {
        let archive = format!("{}-{}.crate", package.name, package.version);
        let copies = self.copies(&archive)?;
        if copies.is_empty() {
            return Ok(Outcome::Discard("not cached".into()));
        }
        for copy in copies {
            let found = sha256(&fs::read(&copy)?);
            let wanted = &package.checksum;
            if found != *wanted {
                // Another attempt would find the same.
                return Err(fatal(format!("{archive} has sha-256 {found}, Cargo.lock has {wanted}")).into());
            }
        }
        Ok(Outcome::Done)
    }

    /// Cargo has a folder per registry; `--cache` may have them too, or not.
    fn copies(&self, archive: &str) -> io::Result<Vec<PathBuf>> {
        let mut copies = vec![self.cache.join(archive)];
        for entry in fs::read_dir(&self.cache)? {
            copies.push(entry?.path().join(archive));
        }
        copies.retain(|copy| copy.is_file());
        Ok(copies)
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::main]
async fn main() -> Result<()> {
    let Options { cache, serve } = Options::parse()?;
    let lock_file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock"));
    let store = env::var("JOBS_STORE").unwrap_or("sqlite://quickstart.db".to_owned());
    let mut builder = Runner::builder().store(store).provide(Archives { lock_file, cache });
    if serve {
        builder = builder.configure("archives.verify", JobOptions::new().schedule("3s"));
    }
    let runner = builder.start().await?;
    if serve {
        tokio::spawn(watch(runner.events()));
        return Ok(runner.wait().await?);
    }
    let report = runner.run(Archives::VERIFY).await?.wait().await?;
    show(&report);
    runner.shutdown(Duration::from_secs(5)).await?;
    report.ok()?;
    Ok(())
}

/// Shows each run that ends.
async fn watch(mut events: Events) {
    while let Some(event) = events.recv().await {
        if let Event::RunFinished(report) = event {
            show(&report);
        }
    }
}

fn show(report: &RunReport) {
    let (id, job, state, counts) = (report.id, &report.job, report.state, report.counts);
    println!("run {id} of {job}: {state:?}");
    println!(
        "  {} packages: {} as locked, {} not cached, {} dead",
        counts.total, counts.ok, counts.discarded, counts.dead
    );
    for error in &report.errors {
        println!("  {} × {}", error.count, error.message);
    }
}

struct Options {
    cache: PathBuf,
    serve: bool,
}

impl Options {
    fn parse() -> Result<Self> {
        let (mut cache, mut serve) = (None, false);
        let mut flags = lexopt::Parser::from_env();
        while let Some(flag) = flags.next()? {
            match flag {
                lexopt::Arg::Long("cache") => cache = Some(PathBuf::from(flags.value()?)),
                lexopt::Arg::Long("serve") => serve = true,
                other => return Err(other.unexpected().into()),
            }
        }
        let cargo_home = || {
            let home = || env::home_dir().map(|home| home.join(".cargo"));
            env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
        };
        let cache = cache.or_else(|| Some(cargo_home()?.join("registry/cache"))).unwrap_or_default();
        if !cache.is_dir() {
            return Err(
                format!("there is no folder {}; name another with --cache DIR", cache.display()).into()
            );
        }
        Ok(Self { cache, serve })
    }
}
