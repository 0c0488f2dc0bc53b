//! Where the store of a scenario lives: in a file, or on a server of its own.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use jobs_runner::prelude::*;
use servers::{postgres, redis};
use tempfile::TempDir;

use crate::limits;

/// A kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file of SQLite.
    Sqlite,
    /// A server of Redis that syncs every write.
    Redis,
    /// A server of Postgres that syncs every commit.
    Postgres,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sqlite, Self::Redis, Self::Postgres];

    /// Its name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }

    /// The kind of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        let names = || Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| format!("there is no store `{name}`; there are {}", names()).into())
    }

    /// Whether processes reach it by way of a server.
    #[must_use]
    pub fn is_served(self) -> bool {
        self != Self::Sqlite
    }
}

/// An empty store of some kind; it is gone when this is dropped.
#[derive(Debug)]
pub enum Backend {
    /// A file.
    Sqlite(TempDir),
    /// A server of Redis.
    Redis(redis::Server),
    /// A server of Postgres.
    Postgres(postgres::Server),
}

impl Backend {
    /// Makes one.
    ///
    /// # Errors
    /// If there is no place for it, or its server does not start.
    pub fn start(kind: Kind) -> Result<Self> {
        Ok(match kind {
            Kind::Sqlite => Self::Sqlite(tempfile::tempdir()?),
            Kind::Redis => Self::Redis(redis::Server::start(watched("always"))?),
            Kind::Postgres => Self::Postgres(postgres::Server::start(postgres::Options::new())?),
        })
    }

    /// A server of Redis that syncs what was written once a second.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn synced_every_second() -> Result<Self> {
        Ok(Self::Redis(redis::Server::start(watched("everysec"))?))
    }

    /// What processes connect to.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(folder) => format!("sqlite://{}", folder.path().join("jobs.db").display()),
            Self::Redis(server) => server.url(),
            Self::Postgres(server) => server.url(),
        }
    }

    /// The same by way of a proxy that listens on this port.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        match self {
            Self::Sqlite(_) => self.url(),
            Self::Redis(server) => server.url_through(port),
            Self::Postgres(server) => server.url_through(port),
        }
    }

    /// The port of its server.
    ///
    /// # Errors
    /// If it has none.
    pub fn port(&self) -> io::Result<u16> {
        match self {
            Self::Sqlite(_) => Err(no_server()),
            Self::Redis(server) => Ok(server.port()),
            Self::Postgres(server) => Ok(server.port()),
        }
    }

    /// Kills the server, at any instruction.
    pub fn kill(&mut self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Redis(server) => server.kill(),
            Self::Postgres(server) => server.kill(),
        }
    }

    /// Starts the server anew, with the data that are there.
    ///
    /// # Errors
    /// If it does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Redis(server) => server.restart(),
            Self::Postgres(server) => server.restart(),
        }
    }

    /// Stops the server as it stands: it answers nobody, and its connections stay open.
    ///
    /// # Errors
    /// If there is none.
    pub fn stop(&self) -> io::Result<()> {
        match self {
            Self::Sqlite(_) => Err(no_server()),
            Self::Redis(server) => server.stop(),
            Self::Postgres(server) => server.stop(),
        }
    }

    /// Lets the server go on.
    ///
    /// # Errors
    /// If there is none.
    pub fn go_on(&self) -> io::Result<()> {
        match self {
            Self::Sqlite(_) => Err(no_server()),
            Self::Redis(server) => server.go_on(),
            Self::Postgres(server) => server.go_on(),
        }
    }

    /// The server of Redis.
    ///
    /// # Errors
    /// If it is another store.
    pub fn redis(&self) -> io::Result<&redis::Server> {
        match self {
            Self::Redis(server) => Ok(server),
            Self::Sqlite(_) | Self::Postgres(_) => Err(io::Error::other("it is no server of Redis")),
        }
    }

    /// Cuts the connections of all clients, as an operator would.
    ///
    /// # Errors
    /// If the server does not do it.
    pub fn cut_all(&self) -> io::Result<()> {
        match self {
            Self::Sqlite(_) => Err(no_server()),
            Self::Redis(server) => {
                server.says("CLIENT KILL TYPE pubsub")?;
                server.says("CLIENT KILL TYPE normal").map(drop)
            }
            Self::Postgres(server) => server.terminate_all(),
        }
    }

    /// Lets the store take no value of more than a mebibyte from now on, as if its limit were no higher.
    ///
    /// # Errors
    /// If that cannot be set.
    pub fn refuse_long_values(&self) -> io::Result<()> {
        match self {
            Self::Sqlite(folder) => limits::of_sqlite(&folder.path().join("jobs.db")),
            Self::Redis(server) => limits::of_redis(server),
            Self::Postgres(server) => limits::of_postgres(server),
        }
    }

    /// The longest script since the server was started, in milliseconds; `None` of another store, and of a server that was
    /// killed and has another one in its place.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn longest_script(&self) -> io::Result<Option<u64>> {
        let Self::Redis(server) = self else { return Ok(None) };
        let said = match server.says("LATENCY LATEST") {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
            said => said?,
        };
        // Of each kind of event: its name, when it last happened, and how long it took then and at most.
        let mut lines = said.lines().skip_while(|line| *line != "command");
        let longest = lines.nth(3).and_then(|line| line.strip_prefix(':')?.parse().ok());
        Ok(Some(longest.unwrap_or(0)))
    }

    /// The folder that holds all of its data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self {
            Self::Sqlite(folder) => folder.path(),
            Self::Redis(server) => server.folder(),
            Self::Postgres(server) => server.folder(),
        }
    }
}

/// A server of Redis that keeps how long its slowest commands took.
fn watched(appendfsync: &str) -> redis::Options {
    redis::Options::new().appendfsync(appendfsync).setting("latency-monitor-threshold", 1)
}

fn no_server() -> io::Error {
    io::Error::other("a file has no server")
}

/// A copy of all data, made while nobody writes them.
#[derive(Debug)]
pub struct Backup {
    copy: TempDir,
}

impl Backup {
    /// Copies what is in the backend's folder.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn of(backend: &Backend) -> io::Result<Self> {
        let copy = tempfile::tempdir()?;
        copy_all(backend.folder(), copy.path())?;
        Ok(Self { copy })
    }

    /// Puts the copy in the place of what is there.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn restore(&self, backend: &Backend) -> io::Result<()> {
        for entry in fs::read_dir(backend.folder())? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        copy_all(self.copy.path(), backend.folder())
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (meta, target): (_, PathBuf) = (entry.metadata()?, to.join(entry.file_name()));
        if meta.is_dir() {
            fs::create_dir(&target)?;
            copy_all(&entry.path(), &target)?;
        } else if meta.is_file() {
            fs::copy(entry.path(), &target)?;
        } else {
            continue;
        }
        // A server may run as another user than this.
        fs::set_permissions(&target, meta.permissions())?;
        chown(&target, Some(meta.uid()), Some(meta.gid()))?;
    }
    Ok(())
}
