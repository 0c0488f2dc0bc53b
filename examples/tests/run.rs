//! Every example, run as its reader would run it.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // A test may panic.

mod run {
    mod backup;
    mod next_fires;
    mod quickstart;
    mod testing;
}

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// An example, which cargo has built beside this test.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(program.exists(), "{} is not built; run `cargo test -p examples`", program.display());
    Command::new(program)
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
