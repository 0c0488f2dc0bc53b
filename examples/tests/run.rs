//! Every example, run as its reader would run it.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A test may panic.

mod run {
    mod backup;
    mod control;
    mod next_fires;
    mod quickstart;
    mod session_cleanup;
    mod testing;
    mod watchdog;
}

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

/// An example, which cargo has built beside this test; on a store of its own.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not built; run `cargo test -p examples`", program.display());
    static STORES: AtomicU32 = AtomicU32::new(0);
    let store = format!("{}-{}.db", std::process::id(), STORES.fetch_add(1, Ordering::Relaxed));
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(store);
    let mut command = Command::new(program);
    command.env("JOBS_STORE", format!("sqlite://{}", store.display()));
    command
}

/// What it printed, and its exit code.
#[derive(Debug)]
struct Ran {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code(),
        }
    }
}

fn run(command: &mut Command) -> Ran {
    command.output().unwrap().into()
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
