//! Over caches that each test makes: copies of archives that cargo has, and one of them is spoilt.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use crate::{Ran, example, root, run};

/// Archives of the lock file that are in cargo's cache, with the checksum that it has for each.
fn cached() -> Vec<(PathBuf, String)> {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo"))).unwrap();
    let folders: Vec<_> =
        fs::read_dir(home.join("registry/cache")).unwrap().map(|folder| folder.unwrap().path()).collect();
    let mut cached = Vec::new();
    for package in lock["package"].as_array().unwrap() {
        let Some(checksum) = package.get("checksum") else { continue };
        let text = |key: &str| package[key].as_str().unwrap();
        let name = format!("{}-{}.crate", text("name"), text("version"));
        if let Some(found) = folders.iter().map(|folder| folder.join(&name)).find(|copy| copy.exists()) {
            cached.push((found, checksum.as_str().unwrap().to_owned()));
        }
    }
    assert!(cached.len() > 20, "cargo has fetched what this test is built from");
    cached
}

fn packages() -> usize {
    fs::read_to_string(root().join("Cargo.lock")).unwrap().matches("\nchecksum = ").count()
}

fn quickstart(cache: &Path) -> Ran {
    run(example("quickstart").arg("--cache").arg(cache))
}

/// `total`, as locked, not cached, dead.
fn counts(ran: &Ran) -> [usize; 4] {
    let line = ran.stdout.lines().find(|line| line.contains(" packages: ")).unwrap();
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    numbers.collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn every_archive_in_cargos_own_cache_is_as_locked() {
    let ran = run(&mut example("quickstart"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("archives.verify: Succeeded"), "{ran:?}");
    let [total, ok, missing, dead] = counts(&ran);
    assert_eq!((total, dead), (packages(), 0), "{ran:?}");
    assert_eq!(ok + missing, total);
    assert_eq!(ok, cached().len());
    assert!(ran.stderr.contains("archives.verify  0 3 * * * UTC  next "), "{ran:?}");
}

#[test]
fn one_spoilt_archive_is_one_dead_item_and_both_sums_are_named() {
    let cache = tempfile::tempdir().unwrap();
    let cached = cached();
    for (copy, _) in &cached {
        fs::copy(copy, cache.path().join(copy.file_name().unwrap())).unwrap();
    }
    let (spoilt, wanted) = &cached[7];
    let name = spoilt.file_name().unwrap().to_str().unwrap();
    let mut bytes = fs::read(spoilt).unwrap();
    bytes[100] ^= 1;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(cache.path().join(name), bytes).unwrap();

    let ran = quickstart(cache.path());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(counts(&ran), [packages(), cached.len() - 1, packages() - cached.len(), 1]);
    let error = format!("1 × {name} has sha-256 {found}, Cargo.lock has {wanted}");
    assert!(ran.stdout.contains(&error), "{ran:?}");
    assert!(ran.stderr.contains("failed: 1 of ") && ran.stderr.contains(&error), "{ran:?}");
}

#[test]
fn a_cache_may_have_one_level_of_folders() {
    let cache = tempfile::tempdir().unwrap();
    for (n, (copy, _)) in cached().iter().take(6).enumerate() {
        let folder = cache.path().join(format!("registry-{}", n % 2));
        fs::create_dir_all(&folder).unwrap();
        fs::copy(copy, folder.join(copy.file_name().unwrap())).unwrap();
    }
    let ran = quickstart(cache.path());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(counts(&ran), [packages(), 6, packages() - 6, 0]);
}

#[test]
fn an_empty_cache_discards_everything_and_succeeds() {
    let ran = quickstart(tempfile::tempdir().unwrap().path());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(counts(&ran), [packages(), 0, packages(), 0]);
}

#[test]
fn what_is_not_understood_is_said() {
    for (args, said) in [
        (&["--cached"][..], "invalid option '--cached'"),
        (&["now"], "unexpected argument \"now\""),
        (&["--cache"], "missing argument for option '--cache'"),
        (&["--cache", "/no/such/folder"], "there is no folder /no/such/folder"),
    ] {
        let ran = run(example("quickstart").args(args));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains(said), "{ran:?}");
        assert_eq!(ran.stdout, "");
    }
}

#[cfg(unix)]
#[test]
fn serving_goes_on_until_it_is_interrupted() {
    let cache = tempfile::tempdir().unwrap();
    let mut command = example("quickstart");
    command.arg("--serve").arg("--cache").arg(cache.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Two runs: it stays on its schedule.
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for _ in 0..2 {
        lines.find(|line| line.ends_with("archives.verify: Succeeded")).expect("it runs again and again");
    }
    assert_eq!(child.try_wait().unwrap(), None);

    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it does not end when it is interrupted");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(status.success(), "{status}: {stderr}");
    assert!(stderr.contains("archives.verify  every 3s  next "), "{stderr}");
}
