//! This process, as other processes and people see it.

use std::sync::Arc;

use jobs_core::{Process, SessionId, SessionRecord};

use crate::{env::Env, registry::Job};

/// The host's name.
pub(crate) fn name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

/// The host's name and a random part.
pub(crate) fn node_name(env: &Env) -> String {
    format!("{}-{:04x}", name(), env.random() & 0xffff)
}

/// What tells this process from every other, now and later.
pub(crate) fn process() -> Process {
    process_of(std::process::id())
}

/// The process of an id, as seen from this one's pid namespace.
fn process_of(pid: u32) -> Process {
    let namespace = std::fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned());
    Process {
        boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        namespace: namespace.unwrap_or_default(),
        pid,
        started: stat(pid).map(|stat| stat.started).unwrap_or_default(),
    }
}

/// The sessions whose process is gone for certain.
pub(crate) fn gone(sessions: &[SessionRecord], ours: &jobs_core::Node) -> Vec<SessionId> {
    let of_host = sessions.iter().filter(|other| other.node.host == ours.host);
    of_host.filter(|other| is_gone(&other.node.process, &ours.process)).map(|other| other.session).collect()
}

/// Whether a process is gone for certain: only of its own kernel and pid namespace can a process say that.
fn is_gone(process: &Process, ours: &Process) -> bool {
    let near = (&process.boot, &process.namespace) == (&ours.boot, &ours.namespace);
    // What could not be read where it was written says nothing.
    if !near || process.boot.is_empty() || process.namespace.is_empty() || process.started == 0 {
        return false;
    }
    match stat(process.pid) {
        // The id is another process's now; or this one has ended, and nobody has asked for its status.
        Some(stat) => stat.started != process.started || stat.ended,
        // `/proc` may hide what belongs to others.
        None => i32::try_from(process.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH)),
    }
}

/// What the kernel tells of a process.
struct Stat {
    /// In its ticks since boot.
    started: u64,
    /// Whether it is a zombie, with no thread left.
    ended: bool,
}

fn stat(pid: u32) -> Option<Stat> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in brackets, may contain anything. After it come the state, and 16 and 18 fields later
    // the number of threads and the time of the start.
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?;
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let started = fields.nth(1)?.parse().ok()?;
    Some(Stat { started, ended: matches!(state, "Z" | "X") && threads <= 1 })
}

/// The version and a hash of what is linked, with the types of its items: who cannot decode a payload now will not
/// be able to later.
pub(crate) fn build(jobs: &[Job]) -> Arc<str> {
    let mut hash = Fnv::new();
    for job in jobs {
        hash.add(&job.id);
        hash.add(job.link.item_type.as_deref().unwrap_or_default());
    }
    if let Ok(program) = std::env::current_exe().and_then(std::fs::metadata) {
        let modified = program.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        hash.add(&format!("{} {:?}", program.len(), modified));
    }
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hash.0).into()
}

/// FNV-1a: the same in every process, which the standard library's hashes are not.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_gone_when_it_has_ended() {
        let ours = process();
        assert!(ours.started > 0 && !is_gone(&ours, &ours));
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let theirs = process_of(child.id());
        assert!(!is_gone(&theirs, &ours));
        let other = Process { started: theirs.started + 1, ..theirs.clone() };
        assert!(is_gone(&other, &ours), "the id is another process's");
        child.kill().unwrap();
        // It ends at some time after the signal, and is a zombie then.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while !is_gone(&theirs, &ours) {
            assert!(std::time::Instant::now() < deadline, "a zombie has ended");
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(is_gone(&theirs, &ours));
    }

    #[test]
    fn nothing_is_said_of_a_process_that_is_out_of_sight() {
        let ours = process();
        let dead = Process { pid: 4_194_303, started: 1, ..ours.clone() };
        assert!(is_gone(&dead, &ours));
        for unseen in [
            Process { boot: "another".into(), ..dead.clone() },
            Process { namespace: "pid:[1]".into(), ..dead.clone() },
            Process { started: 0, ..dead.clone() },
            Process::default(),
        ] {
            assert!(!is_gone(&unseen, &ours), "{unseen:?}");
        }
    }
}
