//! Processes under test: started, killed, stopped.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{oracle::Fault, record, worker::Orders};

/// A process under test; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stderr: PathBuf,
}

impl Process {
    /// Starts one.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(program: &Path, orders: &Orders) -> io::Result<Self> {
        let stderr = orders.logs.join(format!("{}.stderr", record::now()));
        let mut command = Command::new(program);
        command.arg("worker").arg(serde_json::to_string(orders)?);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&stderr)?);
        if let Some(clock) = &orders.clock {
            // The time of day alone: what measures how long something takes is nobody's to set.
            let environment = [("FAKETIME", &**clock), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
            command.envs(environment).env("LD_PRELOAD", faketime()?);
        }
        let child = command.spawn()?;
        Ok(Self { child, stderr })
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said on stderr.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn said(&self) -> io::Result<String> {
        std::fs::read_to_string(&self.stderr)
    }

    /// How many facts it has noted.
    ///
    /// # Errors
    /// If its log cannot be read.
    pub fn facts(&self, logs: &Path) -> io::Result<u64> {
        record::length(logs, self.pid())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If it is not there.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("no process has that id"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it, at any instruction.
    ///
    /// # Errors
    /// If it is not there.
    pub fn kill(mut self) -> io::Result<Fault> {
        let fault = Fault { pid: self.pid(), at: record::now() };
        self.child.kill()?;
        self.child.wait()?;
        Ok(fault)
    }

    /// Stops it as SIGSTOP does, and waits until it has stopped.
    ///
    /// # Errors
    /// If it does not stop.
    pub fn stop(&self) -> io::Result<Fault> {
        self.signal(Signal::STOP)?;
        until("the process is stopped", Duration::from_secs(30), || Ok(self.is_stopped()))?;
        // Not before: what it came to the end of until then is not in flight.
        Ok(Fault { pid: self.pid(), at: record::now() })
    }

    /// Whether it is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }

    /// The most memory that it had, in bytes.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn peak(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("the kernel says nothing of its memory"))
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// If it does not end, or ends badly.
    pub fn end(mut self) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(io::Error::other(format!("{status}: {}", self.said()?))),
                None if Instant::now() > deadline => return Err(io::Error::other("it does not end")),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
///
/// # Errors
/// If it does not within `patience`, or cannot be seen.
pub fn until(what: &str, patience: Duration, mut holds: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    while !holds()? {
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("waited {} s in vain until {what}", patience.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The library that shows a process another time of day.
fn faketime() -> io::Result<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib")?.flatten().map(|entry| entry.path());
    let mut places = libraries.map(|folder| folder.join("faketime/libfaketime.so.1"));
    places.find(|place| place.is_file()).ok_or_else(|| {
        let text = "there is no libfaketime; install it with `apt-get install faketime`";
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}
