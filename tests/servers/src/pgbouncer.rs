//! Poolers before a server of Postgres.

use std::{
    fs, io,
    net::TcpStream,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    port,
    postgres::{Server, own, unprivileged},
    process,
    process::Process,
};

/// So long it may take until it accepts connections.
const PATIENCE: Duration = Duration::from_secs(20);

/// A private pooler that gives a connection for a transaction (`pool_mode = transaction`); killed when it is dropped.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    // Dropped before its folder.
    _process: Process,
    _folder: TempDir,
}

impl Pooler {
    /// Starts a pooler with so many connections to the server, and waits until it accepts connections.
    ///
    /// # Errors
    /// If the program is not installed, with the command that installs it; if it does not start, with what it said.
    pub fn start(server: &Server, connections: u32) -> io::Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, port::free()?);
        own(folder.path())?;
        let users = folder.path().join("users.txt");
        fs::write(&users, "\"postgres\" \"\"\n")?;
        let configuration = folder.path().join("pgbouncer.ini");
        let lines = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = {connections}\n\
             max_client_conn = 1000\n",
            server.port(),
            users.display()
        );
        fs::write(&configuration, lines)?;
        let program = process::find("pgbouncer", &["/usr/sbin", "/usr/local/bin"]).ok_or_else(|| {
            let text = "there is no `pgbouncer`; install it with `apt-get install pgbouncer`";
            io::Error::new(io::ErrorKind::NotFound, text)
        })?;
        let log = folder.path().join("log");
        let mut command = unprivileged(&program, folder.path())?;
        command.arg(&configuration).stdout(Stdio::null()).stderr(fs::File::create(&log)?);
        let mut process = Process::start(&mut command, folder.path())?;
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if !process.is_running()? || begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(&log).unwrap_or_default();
                return Err(io::Error::other(format!("the pooler does not answer; it said:\n{said}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { port, _process: process, _folder: folder })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
