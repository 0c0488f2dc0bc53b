//! Processes that end with their value, or with the process that started them.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

/// Waits for the end of whoever holds the other end of its standard input, then kills a process and removes a folder.
const GUARD: &str = "read -r _; kill -9 \"$0\"; rm -rf \"$1\"";

/// A process that was started; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    guard: Child,
}

impl Process {
    /// Starts a process. If this one ends without dropping it, it is killed all the same, and `folder` removed.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command, folder: &Path) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::null()).spawn()?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, &child.id().to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match guard {
            Ok(guard) => Ok(Self { child, guard }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it runs still.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn is_running(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Stops it as it stands, as a debugger would: it answers nobody, and its connections stay open.
    ///
    /// # Errors
    /// If it is not there.
    pub fn stop(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// If it is not there.
    pub fn go_on(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("no process has that id"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Kills it, at any instruction, and waits for its end.
    pub fn kill(&mut self) {
        // First the guard, so that it never kills another process that was given the same id.
        for child in [&mut self.guard, &mut self.child] {
            // One that has ended is as good.
            let _ended = child.kill();
            let _status = child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The path that an environment variable names, unless it is empty.
pub(crate) fn asked(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Where a program is: in `PATH`, or in one of these folders.
#[must_use]
pub fn find(program: &str, folders: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(folders.iter().map(PathBuf::from));
    places.map(|folder| folder.join(program)).find(|place| place.is_file())
}
