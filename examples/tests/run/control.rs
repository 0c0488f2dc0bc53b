//! `control`: a second process looks into the store of the first, and steers it.

use std::{
    process::Child,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Ran, example, run};

/// The quickstart on its schedule, in a process of its own; killed in the end.
struct Served {
    child: Child,
    folder: TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        std::fs::create_dir(&cache).unwrap();
        let url = format!("sqlite://{}/jobs.db", folder.path().display());
        let mut command = example("quickstart");
        command.env("JOBS_STORE", &url).arg("--serve").arg("--cache").arg(cache);
        let quiet = std::process::Stdio::null;
        let child = command.stdout(quiet()).stderr(quiet()).spawn().unwrap();
        let served = Self { child, folder };
        served.until("it is there", &["nodes"], |nodes| nodes.len() == 1);
        served
    }

    fn control(&self, words: &[&str]) -> Ran {
        let url = format!("sqlite://{}/jobs.db", self.folder.path().display());
        run(example("control").arg("--store").arg(url).args(words))
    }

    /// What it prints: a line of JSON each.
    fn ask(&self, words: &[&str]) -> Vec<Value> {
        let ran = self.control(words);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn until(&self, what: &str, words: &[&str], holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let seen = self.ask(words);
            if holds(&seen) {
                return seen;
            }
            assert!(Instant::now() < deadline, "waited in vain until {what}: {seen:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

const JOB: &str = "archives.verify";

#[test]
fn a_running_process_is_looked_at_and_steered_through_the_file() {
    let served = Served::start();
    let jobs = served.ask(&["jobs"]);
    assert_eq!((jobs.len(), &jobs[0]["id"], &jobs[0]["schedule"]), (1, &JOB.into(), &"every 3s".into()));
    served
        .until("a tick fires", &["ticks", JOB], |ticks| ticks.iter().any(|tick| tick["verdict"] == "Fired"));
    assert_eq!(served.ask(&["next", JOB, "3"]).len(), 3);

    assert!(served.ask(&["pause", "archives.*", "the disk is being moved"]).is_empty());
    assert_eq!(served.ask(&["jobs"])[0]["paused"], "the disk is being moved");
    served.until("a tick is skipped", &["ticks", JOB], |ticks| {
        ticks[0]["verdict"] == serde_json::json!({ "Skipped": "Paused" })
    });
    let refused = served.control(&["run", JOB]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("the disk is being moved"), "{refused:?}");
    served.ask(&["resume", "archives.*"]);

    let ran = served.ask(&["run", JOB, "by hand"]);
    assert_eq!((&ran[0]["state"], &ran[0]["note"]), (&"Succeeded".into(), &"by hand".into()));
    let id = ran[0]["id"].to_string().replace('"', "");
    assert_eq!(served.ask(&["report", &id]), ran);
    assert!(served.ask(&["runs", JOB]).contains(&ran[0]));
    assert_eq!(served.ask(&["stats"])[0]["nodes"], 1);
}

#[test]
fn dead_items_are_requeued_and_discarded_from_outside() {
    let served = Served::start();
    // A copy that is not what the lock file says.
    let lock = std::fs::read_to_string(crate::root().join("Cargo.lock")).unwrap();
    let package = lock.split("[[package]]").find(|package| package.contains("checksum")).unwrap();
    let field =
        |name: &str| package.split_once(&format!("{name} = \"")).unwrap().1.split('"').next().unwrap();
    let archive = format!("cache/{}-{}.crate", field("name"), field("version"));
    std::fs::write(served.folder.path().join(archive), "no archive").unwrap();
    let dead = served.until("an item is dead", &["dead", JOB], |dead| !dead.is_empty());
    assert_eq!(dead[0]["payload"]["name"], field("name"));
    served.ask(&["pause", "*", "to look at it"]);
    assert!(served.ask(&["requeue", JOB])[0].as_u64().unwrap() >= 1);
    assert_eq!(served.ask(&["dead"]).len(), 0);
    served.ask(&["resume", "*"]);
    served.until("it is dead again", &["dead", JOB], |dead| !dead.is_empty());
    assert!(served.ask(&["discard"])[0].as_u64().unwrap() >= 1);
}

#[test]
fn what_is_not_understood_is_said() {
    let served = Served::start();
    for (words, said) in [
        (&["halt"][..], "write: control"),
        (&["ticks", "archives.verfy"], "archives.verify"),
        (&["report", "12"], "12"),
        (&["report", "twelve"], "twelve"),
    ] {
        let ran = served.control(words);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
    }
}
