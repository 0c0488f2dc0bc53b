//! This process, as other processes and people see it.

use std::sync::Arc;

use jobs_core::Process;

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
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    // The name of the program, in brackets, may contain anything; the start time is the 20th field after it.
    let stat = read("/proc/self/stat");
    let started = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19)?.parse().ok());
    let namespace = std::fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned());
    Process {
        boot: read("/proc/sys/kernel/random/boot_id").trim().to_owned(),
        namespace: namespace.unwrap_or_default(),
        pid: std::process::id(),
        started: started.unwrap_or_default(),
    }
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
