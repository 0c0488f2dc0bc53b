//! What only a process of its own shows: signals, the environment, a blocking handler that never ends.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test may panic.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use behaviour::{MILLI, SECOND, secs};
use jobs_runner::prelude::*;

#[derive(Default)]
struct Process;

#[cron_group("process")]
impl Process {
    // Ends when it is told to.
    #[job("polite")]
    async fn polite(&self, cx: &JobContext) {
        println!("started");
        while !cx.is_shutting_down() {
            tokio::time::sleep(MILLI).await;
        }
        println!("polite end");
    }

    // Does not care.
    #[job("stubborn")]
    async fn stubborn(&self) {
        println!("started");
        std::future::pending::<()>().await;
    }

    #[job("blocking")]
    fn blocking(&self) {
        println!("started");
        loop {
            std::thread::park();
        }
    }
}

const CHILD: &str = "BEHAVIOUR_CHILD";

/// In the child: runs the job that its environment names, and waits to be told to end.
#[tokio::test]
async fn child() -> Result<()> {
    let Ok(job) = std::env::var(CHILD) else { return Ok(()) };
    let runner = Runner::builder().grace(MILLI * 300).start().await?;
    // Signals are handled from when `wait` is first polled: nothing is said, and so nothing is sent, before.
    let begin = async {
        println!("node {}", runner.node());
        runner.run(&job).await
    };
    let (ended, run) = tokio::join!(runner.wait(), begin);
    run?;
    println!("ended {ended:?}");
    Ok(())
}

/// A child that is killed if the test ends before it.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    seen: Vec<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

impl Running {
    fn start(job: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(CHILD, job);
        for name in ["JOBS_STORE", "JOBS_NODE", "JOBS_NAMESPACE"] {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, seen: Vec::new() }
    }

    /// Reads until a line that contains this.
    fn until(&mut self, text: &str) -> String {
        loop {
            let Some(Ok(line)) = self.lines.next() else { panic!("no `{text}` in {:?}", self.seen) };
            self.seen.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Sends a signal; the child may have ended just before.
    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{name}")).arg(self.child.id().to_string()).stderr(Stdio::null()).status().unwrap();
    }

    /// Waits for the end, not for ever.
    fn end(&mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                let mut rest = self.seen.join("\n");
                for line in self.lines.by_ref().map_while(std::result::Result::ok) {
                    rest = format!("{rest}\n{line}");
                }
                let mut stderr = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                return (status, format!("{rest}\n{stderr}"));
            }
            assert!(began.elapsed() < secs(30), "it does not end: {:?}", self.seen);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_signal_ends_the_runner_when_its_attempts_have_ended() {
    for signal in ["TERM", "INT"] {
        let mut child = Running::start("process.polite", &[]);
        child.until("started");
        child.signal(signal);
        let (status, text) = child.end();
        assert!(status.success(), "{signal}: {text}");
        assert!(text.contains("polite end") && text.contains("ended Ok(())"), "{signal}: {text}");
    }
}

#[test]
fn after_the_grace_what_does_not_end_is_dropped() {
    let mut child = Running::start("process.stubborn", &[]);
    child.until("started");
    child.signal("TERM");
    let (status, text) = child.end();
    assert!(status.success(), "{text}");
    assert!(text.contains("1 attempts were still running when the grace was over"), "{text}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut child = Running::start("process.stubborn", &[]);
    child.until("started");
    child.signal("TERM");
    // Signals that come together are one: it is told until it hears.
    let began = Instant::now();
    while child.child.try_wait().unwrap().is_none() && began.elapsed() < SECOND * 5 {
        child.signal("TERM");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (_, text) = child.end();
    assert!(text.contains("the runner was ended by force"), "{text}");
}

#[test]
fn a_blocking_handler_that_never_ends_does_not_keep_the_process() {
    let mut child = Running::start("process.blocking", &[]);
    child.until("started");
    child.signal("TERM");
    let (status, text) = child.end();
    assert_eq!(status.code(), Some(1), "{text}");
}

#[test]
fn store_and_node_come_from_the_environment() {
    let mut child = Running::start("process.polite", &[("JOBS_NODE", "web-7"), ("JOBS_STORE", "memory:")]);
    assert!(child.until("node ").ends_with("node web-7"));
    child.signal("TERM");
    assert!(child.end().0.success());

    let mut child = Running::start("process.polite", &[("JOBS_STORE", "bogus://me:secret@host")]);
    let (status, text) = child.end();
    assert!(!status.success() && text.contains("bogus://me:***@host"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}
