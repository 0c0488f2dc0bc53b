//! Servers of Postgres.

use std::{
    fs, io,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::{port, process, process::Process};

/// Names the folder that holds the programs of the version to test on.
const ASKED: &str = "JOBS_TEST_POSTGRES";
/// Where Debian puts each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// So long a server may take until it accepts connections.
const PATIENCE: Duration = Duration::from_secs(60);
/// So often a port is tried that somebody else took first.
const TRIES: usize = 5;
/// The superuser, who needs no password; everybody else does.
const ACCESS: &str = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n\
                      host replication postgres 127.0.0.1/32 trust\n";

/// How a server is set up: as Postgres is by itself, so every commit waits for the disk.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Options {
    settings: Vec<(String, String)>,
}

impl Options {
    /// As Postgres is by itself.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a parameter of the server; of two for one parameter the later one counts.
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A private server on a port of 127.0.0.1; killed with its children when it is dropped, and its data are gone.
#[derive(Debug)]
pub struct Server {
    options: Options,
    port: u16,
    folder: TempDir,
    process: Option<Running>,
    starts: u32,
}

impl Server {
    /// Makes a new cluster, starts it, and waits until it accepts connections.
    ///
    /// # Errors
    /// If the program is not installed, with the command that installs it; if the server does not start, with what it
    /// said.
    pub fn start(options: Options) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        own(folder.path())?;
        initialize(folder.path())?;
        let mut server = Self { options, port: 0, folder, process: None, starts: 0 };
        let mut tried = 0;
        loop {
            server.port = port::free()?;
            tried += 1;
            match server.restart() {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tried < TRIES => {}
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, with all of its data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The URL to connect to, as the superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The same through another port: that of a proxy or a pooler.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres")
    }

    /// Kills it and all of its children with SIGKILL: what is not on the disk yet is lost.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it anew, on the same port and with the data that are there.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        self.starts += 1;
        let folder = self.folder.path();
        let log = folder.join(format!("log-{}", self.starts));
        let file = fs::File::create(&log)?;
        let mut command = unprivileged(&program("postgres")?, folder)?;
        command.arg("-D").arg(folder.join("data")).args(["-p", &self.port.to_string()]);
        let settings = [
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", ""),
            // Postgres 13 would keep passwords in a form that the access rules do not take.
            ("password_encryption", "scram-sha-256"),
        ];
        for (name, value) in settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.options.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdout(Stdio::null()).stderr(file);
        let mut process = Process::start(&mut command, folder)?;
        await_ready(&mut process, &log)?;
        self.process = Some(Running { process });
        Ok(())
    }

    /// Ends the connections of all clients, as an administrator would.
    ///
    /// # Errors
    /// If the server does not do it.
    pub fn terminate_all(&self) -> io::Result<()> {
        self.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
    }

    /// Executes a statement as the superuser.
    ///
    /// # Errors
    /// If the server does not do it, with what it says.
    pub fn execute(&self, statement: &str) -> io::Result<()> {
        let mut psql = Command::new(program("psql")?);
        psql.args(["--no-psqlrc", "--quiet", "--command", statement, &self.url()]);
        let ended = psql.stdin(Stdio::null()).output()?;
        let said = || io::Error::other(String::from_utf8_lossy(&ended.stderr).into_owned());
        if ended.status.success() { Ok(()) } else { Err(said()) }
    }

    /// Stops the server as it stands, and all that work for it, as a debugger would.
    ///
    /// # Errors
    /// If it is not running.
    pub fn stop(&self) -> io::Result<()> {
        let running = self.process.as_ref().ok_or_else(|| io::Error::other("the server is not running"))?;
        running.process.stop()?;
        signal(&children(running.process.id()), Signal::STOP);
        Ok(())
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// If it is not running.
    pub fn go_on(&self) -> io::Result<()> {
        let running = self.process.as_ref().ok_or_else(|| io::Error::other("the server is not running"))?;
        signal(&children(running.process.id()), Signal::CONT);
        running.process.go_on()
    }
}

/// A postmaster with its children.
#[derive(Debug)]
struct Running {
    process: Process,
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.process.id();
        // Nobody is started any more while the children are looked up.
        let _stopped = self.process.stop();
        let children = children(pid);
        self.process.kill();
        signal(&children, Signal::KILL);
        // Until they are gone, a new server finds the memory in use that they share.
        let begun = Instant::now();
        while children.iter().any(|pid| is_alive(*pid)) && begun.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The processes that a process has started and that run still.
fn children(of: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent(*pid) == Some(of)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything: the state, and the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether a process has not ended yet. One that nobody has waited for has.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn signal(pids: &[u32], signal: Signal) {
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?)) {
        // One that has ended is as good.
        let _ended = kill_process(pid, signal);
    }
}

/// Makes a cluster in `folder`.
fn initialize(folder: &Path) -> io::Result<()> {
    let data = folder.join("data");
    let mut command = unprivileged(&program("initdb")?, folder)?;
    command.arg("-D").arg(&data).args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]);
    let made = command.stdin(Stdio::null()).output()?;
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        return Err(io::Error::other(format!("`initdb` failed; it said:\n{said}")));
    }
    fs::write(data.join("pg_hba.conf"), ACCESS)
}

/// The user that servers run as, where this process is root: they refuse to be.
pub(crate) fn user() -> io::Result<Option<(u32, u32)>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut parts = line.split(':').skip(2).map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    Ok(Some(ids("postgres").or_else(|| ids("nobody")).unwrap_or((65_534, 65_534))))
}

/// Gives a folder to the user that servers run as.
pub(crate) fn own(folder: &Path) -> io::Result<()> {
    match user()? {
        Some((uid, gid)) => chown(folder, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// A program that is run by the user that servers run as.
pub(crate) fn unprivileged(program: &Path, folder: &Path) -> io::Result<Command> {
    let mut command = Command::new(program);
    command.current_dir(folder);
    if let Some((uid, gid)) = user()? {
        command.uid(uid).gid(gid);
    }
    Ok(command)
}

/// Where a program is: of the version that was asked for, else in `PATH`, else of the highest version there is.
fn program(name: &str) -> io::Result<PathBuf> {
    if let Some(folder) = process::asked(ASKED) {
        let program = folder.join(name);
        // A folder with a server alone is enough: its clients may be of another version.
        if program.is_file() {
            return Ok(program);
        }
        if name != "psql" {
            let text = format!("there is no `{name}` in {}, which `{ASKED}` names", folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
    }
    let mut folders: Vec<(u32, String)> = Vec::new();
    for version in fs::read_dir(VERSIONS).into_iter().flatten().flatten() {
        let number = version.file_name().to_str().and_then(|name| name.parse().ok());
        folders.extend(number.map(|number| (number, format!("{VERSIONS}/{number}/bin"))));
    }
    folders.sort_by(|a, b| b.cmp(a));
    let folders: Vec<&str> = folders.iter().map(|(_, folder)| &**folder).collect();
    process::find(name, &folders).ok_or_else(|| {
        let text = format!("there is no `{name}`; install it with `apt-get install postgresql`");
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

/// Waits until a server says that it accepts connections.
fn await_ready(process: &mut Process, log: &Path) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let said = fs::read_to_string(log).unwrap_or_default();
        if ["ready to accept connections", "ready to accept read-only connections"]
            .iter()
            .any(|text| said.contains(text))
        {
            return Ok(());
        }
        let taken = said.contains("Address already in use");
        let kind = if taken { io::ErrorKind::AddrInUse } else { io::ErrorKind::Other };
        if !process.is_running()? {
            return Err(io::Error::new(kind, format!("the server ended at once; it said:\n{said}")));
        }
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("not ready yet; it said:\n{said}")));
        }
        thread::sleep(Duration::from_millis(5));
    }
}
