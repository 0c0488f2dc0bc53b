//! Compresses every file of a folder into another, and records its checksum.
//!
//! ```console
//! $ cargo run --example backup -- DIR OUT
//! $ cd DIR && sha256sum --check OUT/some/file.sha256
//! ```
//!
//! `some/file` becomes `some/file.gz`, with the checksum of the file itself in `some/file.sha256`. How far it is stands in
//! `OUT/backup.db`: killed in the middle and started again, it goes on.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};
use jobs_runner::{DeadFilter, RunFilter, SqliteStore, prelude::*};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use walkdir::WalkDir;

struct Backup {
    from: PathBuf,
    to: PathBuf,
}

#[cron_group("backup")]
impl Backup {
    /// All that is not a folder, as it is found: nobody holds the whole list.
    ///
    /// An item is an `OsString`, because items are stored as JSON, and a file's name need not be UTF-8.
    #[query("file")]
    fn files(&self) -> impl Iterator<Item = OsString> {
        // What is read here is not to be what is written there.
        let walk = WalkDir::new(&self.from).into_iter().filter_entry(|entry| entry.path() != self.to);
        walk.filter_map(|found| match found {
            Ok(entry) if entry.file_type().is_dir() => None,
            Ok(entry) => self.relative(entry.path()),
            // A folder that cannot be read is an item too: its attempt fails, and says why.
            Err(error) => self.relative(error.path()?),
        })
    }

    /// Not `async`, so it runs where it may block; at most two at a time.
    #[job("file", "0 2 * * *", concurrency = 2)]
    fn compress(&self, path: OsString) -> Result<Outcome> {
        let path = Path::new(&path);
        let source = self.from.join(path);
        let at = |error: io::Error| format!("{}: {error}", source.display());
        let kind = fs::symlink_metadata(&source).map_err(at)?.file_type();
        if !kind.is_file() && !kind.is_dir() {
            return Ok(Outcome::Discard("neither a file nor a folder".into()));
        }
        self.copy(&source, path).map_err(at)?;
        Ok(Outcome::Done)
    }

    /// An item may be worked on more than once, if a runner dies: so each time gives the same files, and each is
    /// there whole or not at all.
    fn copy(&self, source: &Path, path: &Path) -> io::Result<()> {
        let mut file = File::open(source)?;
        let folder = self.to.join(path.parent().unwrap_or(Path::new("")));
        fs::create_dir_all(&folder)?;

        let mut zip = GzEncoder::new(NamedTempFile::new_in(&folder)?, Compression::default());
        let (mut sum, mut buffer) = (Sha256::new(), [0; 64 * 1024]);
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => {
                    sum.update(&buffer[..n]);
                    zip.write_all(&buffer[..n])?;
                }
            }
        }
        persist(zip.finish()?, &with_suffix(&self.to.join(path), ".gz"))?;

        let sum: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut sidecar = NamedTempFile::new_in(&folder)?;
        sidecar.write_all(&[sum.as_bytes(), b"  ", path.as_os_str().as_encoded_bytes(), b"\n"].concat())?;
        persist(sidecar, &with_suffix(&self.to.join(path), ".sha256"))
    }

    fn relative(&self, path: &Path) -> Option<OsString> {
        Some(path.strip_prefix(&self.from).ok()?.into())
    }
}

/// Gives a complete file its name, in one step.
fn persist(file: NamedTempFile, to: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(to)
        .map(|_| ())
        .map_err(|error| io::Error::other(format!("{}: {}", to.display(), error.error)))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [from, to] = &args[..] else { return Err("write: backup DIR OUT".into()) };
    if !from.is_dir() {
        return Err(format!("{} is not a folder", from.display()).into());
    }
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    let backup = Backup { from: from.canonicalize()?, to: to.canonicalize()? };
    if backup.from == backup.to {
        return Err("the files are not to be mixed with their copies; name another OUT".into());
    }

    let store = SqliteStore::at(to.join("backup.db")).await?;
    let runner = Runner::builder().store(store).provide(backup).start().await?;
    let client = runner.client();
    // A run that was cut off goes on where it was.
    let last = client.runs(RunFilter::new().job(Backup::COMPRESS).limit(1)).await?;
    let run = match last.first().filter(|run| !run.state.is_final()) {
        Some(unfinished) => client.handle(unfinished.id).await?,
        None => client.run(Backup::COMPRESS).await?,
    };
    let report = run.wait().await?;
    let counts = report.counts;
    println!(
        "{} files: {} saved, {} left out, {} failed",
        counts.total, counts.ok, counts.discarded, counts.dead
    );
    let dead = DeadFilter::new().run(report.id).limit(usize::MAX);
    for failure in client.dead(dead).await?.iter().filter_map(|dead| dead.attempts.last()) {
        println!("  {}", failure.message);
    }
    runner.shutdown(Duration::from_secs(5)).await?;
    report.ok()?;
    Ok(())
}
