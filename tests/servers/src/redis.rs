//! Servers of Redis.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Read, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{port, process, process::Process};

/// Names the program to test on: another version of `redis-server`, or a `valkey-server`.
const ASKED: &str = "JOBS_TEST_REDIS";
/// Where the program stands on systems whose `PATH` does not name it.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/usr/local/opt/redis/bin", "/opt/homebrew/bin"];
/// So long a server may take until it accepts connections.
const PATIENCE: Duration = Duration::from_secs(20);
/// So often a port is tried that somebody else took first.
const TRIES: usize = 5;

/// How a server is set up: with its append-only file, synced every second, until something else is asked for.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Options {
    settings: Vec<(String, String)>,
    password: Option<String>,
    tls: Option<Tls>,
}

/// What a server proves itself with, each as PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The certificate of whoever signed the server's.
    pub ca: String,
    /// The server's certificate, for 127.0.0.1 and localhost.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Options {
    /// With the append-only file, synced every second.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line to the server's configuration; of two for one setting the later one counts.
    pub fn setting(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// `always`, `everysec` or `no`.
    pub fn appendfsync(self, when: &str) -> Self {
        self.setting("appendfsync", when)
    }

    /// The password of the default user.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// A user with a password, who may do what `rules` say (`~* &* +@all`: everything).
    pub fn user(self, name: &str, password: &str, rules: &str) -> Self {
        self.setting("user", format!("{name} on >{password} {rules}"))
    }

    /// No more memory than this, in bytes; beyond it writes fail.
    pub fn maxmemory(self, bytes: u64) -> Self {
        self.setting("maxmemory", bytes).setting("maxmemory-policy", "noeviction")
    }

    /// A read-only replica of another server.
    pub fn replica_of(self, primary: &Server) -> Self {
        self.setting("replicaof", format!("127.0.0.1 {}", primary.port))
    }

    /// Speaks TLS alone.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// A private server on a port of 127.0.0.1; killed when it is dropped, and its data are gone.
#[derive(Debug)]
pub struct Server {
    options: Options,
    port: u16,
    folder: TempDir,
    process: Option<Process>,
    starts: u32,
}

impl Server {
    /// Starts a server, and waits until it accepts connections.
    ///
    /// # Errors
    /// If the program is not installed, with the command that installs it; if the server does not start, with what it
    /// said.
    pub fn start(options: Options) -> io::Result<Self> {
        let mut tried = 0;
        loop {
            let (port, folder) = (port::free()?, tempfile::tempdir()?);
            let mut server = Self { options: options.clone(), port, folder, process: None, starts: 0 };
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

    /// The URL to connect to, with the password of the default user.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The same through another port: that of a proxy.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        let scheme = if self.options.tls.is_some() { "rediss" } else { "redis" };
        let password = self.options.password.as_ref().map(|password| format!(":{password}@"));
        format!("{scheme}://{}127.0.0.1:{port}", password.unwrap_or_default())
    }

    /// Kills it with SIGKILL: nothing is written any more, and the data stay as they are.
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
        let log = self.folder.path().join(format!("log-{}", self.starts));
        let configuration = self.folder.path().join("redis.conf");
        fs::write(&configuration, self.configuration(&log)?)?;
        let mut command = Command::new(program()?);
        command.arg(&configuration).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Process::start(&mut command, self.folder.path())?;
        await_ready(&mut process, &log)?;
        self.process = Some(process);
        Ok(())
    }

    /// What it answers to a command, as it answers it: for one that asks for no password and speaks no TLS.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn says(&self, command: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        // It closes the connection when it has answered all.
        write!(connection, "{command}\r\nQUIT\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Stops it as it stands, as a debugger would.
    ///
    /// # Errors
    /// If it is not running.
    pub fn stop(&self) -> io::Result<()> {
        self.running()?.stop()
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it is not running.
    pub fn go_on(&self) -> io::Result<()> {
        self.running()?.go_on()
    }

    fn running(&self) -> io::Result<&Process> {
        self.process.as_ref().ok_or_else(|| io::Error::other("the server is not running"))
    }

    fn configuration(&self, log: &Path) -> io::Result<String> {
        let folder = self.folder.path();
        let mut lines = format!(
            "bind 127.0.0.1\ndir {}\nlogfile {}\nsave \"\"\nappendonly yes\nappendfsync everysec\n",
            folder.display(),
            log.display()
        );
        let mut line = |name: &str, value: &str| {
            // Writing into a string does not fail.
            let _written = writeln!(lines, "{name} {value}");
        };
        match &self.options.tls {
            None => line("port", &self.port.to_string()),
            Some(tls) => {
                line("port", "0");
                line("tls-port", &self.port.to_string());
                line("tls-auth-clients", "no");
                for (name, pem) in [("ca-cert", &tls.ca), ("cert", &tls.certificate), ("key", &tls.key)] {
                    let file = folder.join(format!("{name}.pem"));
                    fs::write(&file, pem)?;
                    line(&format!("tls-{name}-file"), &file.display().to_string());
                }
            }
        }
        if let Some(password) = &self.options.password {
            line("requirepass", password);
        }
        for (name, value) in &self.options.settings {
            line(name, value);
        }
        Ok(lines)
    }
}

fn program() -> io::Result<PathBuf> {
    if let Some(program) = process::asked(ASKED) {
        let text = || format!("there is no program {}, which `{ASKED}` names", program.display());
        let missing = || io::Error::new(io::ErrorKind::NotFound, text());
        return if program.is_file() { Ok(program) } else { Err(missing()) };
    }
    process::find("redis-server", &FOLDERS).ok_or_else(|| {
        let text = "there is no `redis-server`; install it with `apt-get install redis-server`";
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

/// Waits until a server says that it accepts connections.
fn await_ready(process: &mut Process, log: &Path) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let said = fs::read_to_string(log).unwrap_or_default();
        if said.contains("Ready to accept connections") {
            return Ok(());
        }
        let taken = said.contains("Address already in use") || said.contains("Failed listening on port");
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
